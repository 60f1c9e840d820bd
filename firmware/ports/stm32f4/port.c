/* Port of the STM32F4 family: clock tree, one USART, pins.
 *
 * From the board (tq_build.h):
 *
 *   TQ_CLOCK_HZ             core clock to reach, 84 .. 180 MHz, an even number of MHz
 *   TQ_BAUD                 line rate
 *   TQ_USART                1, 2, 3 or 6
 *   TQ_TX_PORT, TQ_TX_PIN   A .. H, 0 .. 15
 *   TQ_RX_PORT, TQ_RX_PIN
 *   TQ_HSE_HZ               crystal or external clock; 0 for none: the internal 16 MHz oscillator
 *   TQ_HSE_BYPASS           1 when the external clock is a signal, 0 for a crystal
 *   TQ_VOS                  regulator scale to select (PWR_CR.VOS), 0 to leave the reset value
 *   TQ_OVERDRIVE            1 for the over-drive that 180 MHz needs on STM32F42x and STM32F446
 *
 * Source: reference manuals RM0090 (F405/407), RM0368 (F401), RM0383 (F411), RM0390 (F446):
 * chapters on PWR, RCC, GPIO and USART. */
#include "tq_build.h"
#include "tq_core.h"
#include "tq_port.h"

#define PASTE(left, right) left##right
#define PORT_NUMBER(letter) PASTE(PORT_, letter)
enum { PORT_A, PORT_B, PORT_C, PORT_D, PORT_E, PORT_F, PORT_G, PORT_H };

#define PWR_CR TQ_REGISTER(0x40007000u)
#define PWR_CSR TQ_REGISTER(0x40007004u)
#define FLASH_ACR TQ_REGISTER(0x40023C00u)
#define RCC_CR TQ_REGISTER(0x40023800u)
#define RCC_PLLCFGR TQ_REGISTER(0x40023804u)
#define RCC_CFGR TQ_REGISTER(0x40023808u)
#define RCC_AHB1ENR TQ_REGISTER(0x40023830u)
#define RCC_APB1ENR TQ_REGISTER(0x40023840u)
#define RCC_APB2ENR TQ_REGISTER(0x40023844u)

#define CR_HSION (1u << 0)
#define CR_HSIRDY (1u << 1)
#define CR_HSEON (1u << 16)
#define CR_HSERDY (1u << 17)
#define CR_HSEBYP (1u << 18)
#define CR_PLLON (1u << 24)
#define CR_PLLRDY (1u << 25)

#define PLLCFGR_SOURCE_HSE (1u << 22)
#define PLLCFGR_KEEP 0xF0000000u /* PLLR on the F446, reserved on the others */

#define CFGR_SW_MASK 3u
#define CFGR_SW_PLL 2u
#define CFGR_SWS_MASK (3u << 2)
#define CFGR_SWS_PLL (2u << 2)
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

#if TQ_USART == 1
#define USART 0x40011000u
#define USART_ENABLE_REGISTER RCC_APB2ENR
#define USART_ENABLE (1u << 4)
#elif TQ_USART == 2
#define USART 0x40004400u
#define USART_ENABLE_REGISTER RCC_APB1ENR
#define USART_ENABLE (1u << 17)
#elif TQ_USART == 3
#define USART 0x40004800u
#define USART_ENABLE_REGISTER RCC_APB1ENR
#define USART_ENABLE (1u << 18)
#elif TQ_USART == 6
#define USART 0x40011400u
#define USART_ENABLE_REGISTER RCC_APB2ENR
#define USART_ENABLE (1u << 5)
#else
#error "TQ_USART must be 1, 2, 3 or 6"
#endif

#define USART_ON_APB2 (TQ_USART == 1 || TQ_USART == 6)
#define USART_FUNCTION (TQ_USART == 6 ? 8u : 7u) /* alternate function of the pins */

#define USART_SR TQ_REGISTER(USART + 0x00u)
#define USART_DR TQ_REGISTER(USART + 0x04u)
#define USART_BRR TQ_REGISTER(USART + 0x08u)
#define USART_CR1 TQ_REGISTER(USART + 0x0Cu)
#define USART_CR2 TQ_REGISTER(USART + 0x10u)
#define USART_CR3 TQ_REGISTER(USART + 0x14u)

#define SR_ORE (1u << 3)
#define SR_RXNE (1u << 5)
#define SR_TC (1u << 6)
#define SR_TXE (1u << 7)
#define CR1_RE (1u << 2)
#define CR1_TE (1u << 3)
#define CR1_UE (1u << 13)

static uint32_t core_hz;

/* 1 when (register & mask) == value within the given polls, else 0. */
static uint32_t wait_for(volatile uint32_t *reg, uint32_t mask, uint32_t value, uint32_t polls)
{
    for (; polls > 0u; polls--) {
        if ((*reg & mask) == value) {
            return 1u;
        }
    }
    return 0u;
}

/* Back to the state after reset: the internal oscillator drives the core, PLL off. A boot loader
 * may have left another clock. */
static void select_hsi(void)
{
    RCC_CR |= CR_HSION;
    (void)wait_for(&RCC_CR, CR_HSIRDY, CR_HSIRDY, READY_POLLS);
    RCC_CFGR &= ~(CFGR_SW_MASK | CFGR_PRESCALERS);
    (void)wait_for(&RCC_CFGR, CFGR_SWS_MASK, 0u, READY_POLLS);
    RCC_CR &= ~CR_PLLON;
    (void)wait_for(&RCC_CR, CR_PLLRDY, 0u, READY_POLLS);
}

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
    *function = (*function & ~(0xFu << shift)) | USART_FUNCTION << shift;
    *speed = (*speed & ~(3u << 2u * pin)) | 2u << 2u * pin;
    *pull = (*pull & ~(3u << 2u * pin)) | 1u << 2u * pin;
    *mode = (*mode & ~(3u << 2u * pin)) | 2u << 2u * pin;
}

/* BRR = bus clock / baud, rounded: 16 times oversampling, 8 data bits, no parity, 1 stop bit. */
static void start_usart(void)
{
    const uint32_t divider = USART_ON_APB2 ? APB2_DIVIDER : APB1_DIVIDER;
    const uint32_t bus_hz = core_hz == HSI_HZ ? HSI_HZ : core_hz / divider;
    USART_ENABLE_REGISTER |= USART_ENABLE;
    (void)USART_ENABLE_REGISTER;
    USART_CR1 = 0u;
    USART_CR2 = 0u;
    USART_CR3 = 0u;
    USART_BRR = (bus_hz + TQ_BAUD / 2u) / TQ_BAUD;
    USART_CR1 = CR1_UE | CR1_TE | CR1_RE;
    start_pin(PORT_NUMBER(TQ_TX_PORT), TQ_TX_PIN);
    start_pin(PORT_NUMBER(TQ_RX_PORT), TQ_RX_PIN);
}

void tq_port_init(void)
{
    start_clock();
    start_usart();
    tq_core_start_cycles();
}

/* Polled, without an interrupt or a ring buffer, and no byte is lost:
 *
 *   - The host sends one request and then waits for the reply, so nothing arrives during an
 *     inference. If it gives up and repeats too early, the overrun damages that frame only and its
 *     CRC says so.
 *   - Within a request a byte comes every 10 bits: 870 cycles at 921600 baud and 80 MHz, several
 *     times what the receiver spends on one.
 *   - An emulated line has no baud rate. The emulator holds bytes back while RXNE is set, which an
 *     interrupt would undo: it would drain the line into a buffer that overflows.
 *
 * And the cycles of an inference stay free of interrupts. Reading SR, then DR clears the error
 * flags. */
int32_t tq_port_read(void)
{
    const uint32_t state = USART_SR;
    if ((state & SR_RXNE) != 0u) {
        return (int32_t)(USART_DR & 0xFFu);
    }
    if ((state & SR_ORE) != 0u) {
        (void)USART_DR;
    }
    return -1;
}

void tq_port_write(const uint8_t *bytes, int32_t count)
{
    for (int32_t i = 0; i < count; i++) {
        while ((USART_SR & SR_TXE) == 0u) {
        }
        USART_DR = bytes[i];
    }
}

uint32_t tq_port_clock_hz(void)
{
    return core_hz;
}

void tq_port_reset(void)
{
    /* Two characters at most are under way; 2^20 polls are more than that at any line rate above
     * 300. */
    (void)wait_for(&USART_SR, SR_TC, SR_TC, 1u << 20);
    tq_core_restart();
}
