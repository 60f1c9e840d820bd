/* STM32F4: registers, clock tree, pins.
 *
 * From the board, beside what port.c takes:
 *
 *   TQ_CLOCK_HZ             84 .. 180 MHz, an even number of MHz
 *   TQ_VOS                  regulator scale to select (PWR_CR.VOS), 0 to leave the reset value:
 *                           enough up to 84 MHz, on chips of more than 100 MHz up to 168 MHz
 *   TQ_OVERDRIVE            1 for the over-drive that 180 MHz needs on STM32F42x and STM32F446
 *
 * The internal oscillator has 16 MHz.
 *
 * Source: reference manuals RM0090 (F405/407), RM0368 (F401), RM0383 (F411), RM0390 (F446):
 * chapters on PWR, RCC and GPIO. */
#ifndef TQ_CHIP_F4_H
#define TQ_CHIP_F4_H

/* RM0090, RM0383, RM0390: chapter on PWR, voltage scaling and over-drive. Chips of up to 100 MHz
 * start with scale 2, which bears 84 MHz, the faster ones with scale 1; the same bits mean other
 * scales there. Twin: tinyq/hardware/clock_rules.py. */
#if TQ_CLOCK_HZ < 84000000 || TQ_CLOCK_HZ > 180000000
#error "TQ_CLOCK_HZ: the port reaches 84 to 180 MHz"
#elif TQ_CLOCK_HZ > 168000000 && TQ_OVERDRIVE != 1
#error "TQ_OVERDRIVE: the regulator needs over-drive above 168 MHz"
#elif TQ_VOS < 0 || TQ_VOS > 3
#error "TQ_VOS: the regulator has four settings"
#elif TQ_CLOCK_HZ > 84000000 && TQ_CLOCK_HZ <= 100000000 && TQ_VOS != 3
#error "TQ_VOS: chips of up to 100 MHz need scale 1 (3) above 84 MHz"
#elif TQ_CLOCK_HZ <= 84000000 && TQ_VOS == 1
#error "TQ_VOS: scale 3 bears up to 64 MHz on chips of up to 100 MHz"
#elif TQ_CLOCK_HZ > 120000000 && TQ_VOS == 1
#error "TQ_VOS: scale 3 bears up to 120 MHz"
#elif TQ_CLOCK_HZ > 144000000 && TQ_VOS == 2
#error "TQ_VOS: scale 2 bears up to 144 MHz"
#endif

#define PWR_CR TQ_REGISTER(0x40007000u)
#define PWR_CSR TQ_REGISTER(0x40007004u)
#define FLASH_ACR TQ_REGISTER(0x40023C00u)
#define RCC_CR TQ_REGISTER(0x40023800u)
#define RCC_PLLCFGR TQ_REGISTER(0x40023804u)
#define RCC_CFGR TQ_REGISTER(0x40023808u)
#define RCC_AHB1ENR TQ_REGISTER(0x40023830u)
#define RCC_APB1ENR TQ_REGISTER(0x40023840u)
#define RCC_APB2ENR TQ_REGISTER(0x40023844u)

#define PLLCFGR_SOURCE_HSE (1u << 22)
#define PLLCFGR_KEEP 0xF0000000u /* PLLR on the F446, reserved on the others */

#define CFGR_PRESCALERS (0x3Fu << 10 | 0xFu << 4)
#define CFGR_PPRE1_2 (4u << 10)
#define CFGR_PPRE1_4 (5u << 10)
#define CFGR_PPRE2_2 (4u << 13)

#define PWR_VOS_MASK (3u << 14)
#define PWR_ODEN (1u << 16)
#define PWR_ODSWEN (1u << 17)
#define PWR_CSR_ODRDY (1u << 16)
#define PWR_CSR_ODSWRDY (1u << 17)
#define APB1ENR_PWR (1u << 28)

#define ACR_LATENCY_MASK 0xFu
#define ACR_PREFETCH_AND_CACHES (7u << 8)

#define HSI_HZ 16000000u

/* Polls before a ready bit is given up. A poll takes at least 5 cycles of the 16 MHz oscillator, so
 * these are at least 20 ms and 5 ms; a crystal starts within 2 ms and the PLL locks within 0.3 ms
 * (DS8626, tables on HSE and PLL characteristics). An emulator without a clock tree runs through
 * them at once. */
#define CRYSTAL_POLLS 65536u
#define READY_POLLS 16384u

/* The VCO runs at 192 .. 432 MHz on every member, from an input of 1 or 2 MHz (2 MHz has less
 * jitter). */
#define PLL_DIVIDER (2u * TQ_CLOCK_HZ >= 192000000u ? 2u : 4u)
#define VCO_HZ (PLL_DIVIDER * TQ_CLOCK_HZ)
#define USB_HZ 48000000u

/* One wait state per 30 MHz at 2.7 .. 3.6 V: never too few on any member. */
#define WAIT_STATES ((TQ_CLOCK_HZ - 1u) / 30000000u)

/* APB1 and APB2 stay within 42 and 84 MHz (F405), 42 and 84 (F401), 50 and 100 (F411), 45 and 90
 * (F446). */
#define APB1_DIVIDER (TQ_CLOCK_HZ > 100000000u ? 4u : 2u)
#define APB2_DIVIDER (TQ_CLOCK_HZ > 100000000u ? 2u : 1u)

#define USART1 0x40011000u
#define USART1_ENABLE (1u << 4)
#define USART6 0x40011400u
#define USART6_ENABLE (1u << 5)
#define PIN_FUNCTION (TQ_USART == 6 ? 8u : 7u) /* alternate function of the pins */

static uint32_t start_crystal(void)
{
    RCC_CR &= ~(CR_HSEON | CR_HSEBYP);
    RCC_CR |= TQ_HSE_BYPASS != 0 ? CR_HSEBYP : 0u;
    RCC_CR |= CR_HSEON;
    if (wait_for(&RCC_CR, CR_HSERDY, CR_HSERDY, CRYSTAL_POLLS) != 0u) {
        return 1u;
    }
    RCC_CR &= ~(CR_HSEON | CR_HSEBYP);
    return 0u;
}

/* TQ_CLOCK_HZ = source / M * N / P, with source / M = 1 or 2 MHz; Q keeps the USB clock within 48
 * MHz. */
static uint32_t start_pll(uint32_t source_hz, uint32_t source)
{
    const uint32_t input_hz = source_hz % 2000000u == 0u ? 2000000u : 1000000u;
    const uint32_t m = source_hz / input_hz;
    const uint32_t n = VCO_HZ / input_hz;
    const uint32_t q = (VCO_HZ + USB_HZ - 1u) / USB_HZ;
    RCC_PLLCFGR = (RCC_PLLCFGR & PLLCFGR_KEEP) | q << 24 | source | (PLL_DIVIDER / 2u - 1u) << 16 |
                  n << 6 | m;
    RCC_CR |= CR_PLLON;
    return wait_for(&RCC_CR, CR_PLLRDY, CR_PLLRDY, READY_POLLS);
}

static uint32_t start_overdrive(void)
{
    if (TQ_OVERDRIVE == 0) {
        return 1u;
    }
    PWR_CR |= PWR_ODEN;
    if (wait_for(&PWR_CSR, PWR_CSR_ODRDY, PWR_CSR_ODRDY, READY_POLLS) == 0u) {
        return 0u;
    }
    PWR_CR |= PWR_ODSWEN;
    return wait_for(&PWR_CSR, PWR_CSR_ODSWRDY, PWR_CSR_ODSWRDY, READY_POLLS);
}

/* The flash must be slow enough before the core becomes fast. */
static uint32_t select_pll(void)
{
    FLASH_ACR = (FLASH_ACR & ~ACR_LATENCY_MASK) | WAIT_STATES | ACR_PREFETCH_AND_CACHES;
    if (wait_for(&FLASH_ACR, ACR_LATENCY_MASK, WAIT_STATES, READY_POLLS) == 0u) {
        return 0u;
    }
    const uint32_t apb1 = APB1_DIVIDER == 4u ? CFGR_PPRE1_4 : CFGR_PPRE1_2;
    const uint32_t apb2 = APB2_DIVIDER == 2u ? CFGR_PPRE2_2 : 0u;
    RCC_CFGR = (RCC_CFGR & ~CFGR_PRESCALERS) | apb1 | apb2;
    RCC_CFGR = (RCC_CFGR & ~CFGR_SW_MASK) | CFGR_SW_PLL;
    return wait_for(&RCC_CFGR, CFGR_SWS_MASK, CFGR_SWS_PLL, READY_POLLS);
}

static void start_clock(void)
{
    RCC_APB1ENR |= APB1ENR_PWR;
    (void)RCC_APB1ENR; /* two peripheral clocks must pass before the unit answers (ES0182) */
    select_hsi();
    if (TQ_VOS != 0) {
        PWR_CR = (PWR_CR & ~PWR_VOS_MASK) | (uint32_t)TQ_VOS << 14;
    }
    core_hz = HSI_HZ;
    uint32_t locked = 0u;
    if (TQ_HSE_HZ != 0u && start_crystal() != 0u) {
        locked = start_pll(TQ_HSE_HZ, PLLCFGR_SOURCE_HSE);
    }
    if (locked == 0u) {
        RCC_CR &= ~CR_PLLON;
        (void)wait_for(&RCC_CR, CR_PLLRDY, 0u, READY_POLLS);
        locked = start_pll(HSI_HZ, 0u);
    }
    if (locked != 0u && start_overdrive() != 0u && select_pll() != 0u) {
        core_hz = TQ_CLOCK_HZ;
    } else {
        select_hsi();
    }
}

/* Alternate function, fast edges, pull-up (an open line then reads as idle). */
static void start_pin(uint32_t port, uint32_t pin)
{
    const uint32_t base = 0x40020000u + 0x400u * port;
    volatile uint32_t *const mode = &TQ_REGISTER(base + 0x00u);
    volatile uint32_t *const speed = &TQ_REGISTER(base + 0x08u);
    volatile uint32_t *const pull = &TQ_REGISTER(base + 0x0Cu);
    volatile uint32_t *const function = &TQ_REGISTER(base + 0x20u + 4u * (pin / 8u));
    const uint32_t shift = 4u * (pin % 8u);
    RCC_AHB1ENR |= 1u << port;
    (void)RCC_AHB1ENR;
    *function = (*function & ~(0xFu << shift)) | PIN_FUNCTION << shift;
    *speed = (*speed & ~(3u << 2u * pin)) | 2u << 2u * pin;
    *pull = (*pull & ~(3u << 2u * pin)) | 1u << 2u * pin;
    *mode = (*mode & ~(3u << 2u * pin)) | 2u << 2u * pin;
}

static void start_pins(void)
{
    start_pin(PORT_NUMBER(TQ_TX_PORT), TQ_TX_PIN);
    start_pin(PORT_NUMBER(TQ_RX_PORT), TQ_RX_PIN);
}

#endif
