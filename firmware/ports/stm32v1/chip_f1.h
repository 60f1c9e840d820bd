/* STM32F1: registers, clock tree, pins.
 *
 * The core clock reaches 24 MHz on the STM32F100 and up to 72 MHz on the others; the internal
 * oscillator has 8 MHz. The USARTs are on their pins without remapping.
 *
 * Source: reference manuals RM0008 (F101 to F107) and RM0041 (F100): chapters on RCC, GPIO and, in
 * PM0075, on FLASH_ACR. */
#ifndef TQ_CHIP_F1_H
#define TQ_CHIP_F1_H

/* RM0008, PLL. Twin: tinyq/hardware/clock_rules.py. */
#if TQ_CLOCK_HZ < 8000000 || TQ_CLOCK_HZ > 72000000
#error "TQ_CLOCK_HZ: the port reaches 8 to 72 MHz"
#endif

#define FLASH_ACR TQ_REGISTER(0x40022000u)
#define RCC_CR TQ_REGISTER(0x40021000u)
#define RCC_CFGR TQ_REGISTER(0x40021004u)
#define RCC_APB2ENR TQ_REGISTER(0x40021018u)
#define RCC_APB1ENR TQ_REGISTER(0x4002101Cu)

#define CFGR_PRESCALERS (0x3Fu << 8 | 0xFu << 4)
#define CFGR_PPRE1_2 (4u << 8)
#define CFGR_PLL_MASK (0x3Fu << 16)
#define CFGR_PLL_HSE (1u << 16)

/* Wait states: 0 to 24 MHz, 1 to 48, 2 to 72 (PM0075, 3.1). Bit 4 is the prefetch buffer; the
 * STM32F100 has neither and ignores them. */
#define ACR_LATENCY ((TQ_CLOCK_HZ - 1u) / 24000000u)
#define ACR_PREFETCH (1u << 4)

#define HSI_HZ 8000000u
#define APB1_DIVIDER (TQ_CLOCK_HZ > 36000000u ? 2u : 1u)
#define APB2_DIVIDER 1u

/* Polls before a ready bit is given up: at least 40 and 10 ms at 8 MHz; a crystal takes 2 ms, the
 * PLL 0.2 ms (DS5319, tables on HSE and PLL characteristics). An emulator without a clock tree runs
 * through them at once. */
#define CRYSTAL_POLLS 65536u
#define READY_POLLS 16384u

#define USART1 0x40013800u
#define USART1_ENABLE (1u << 14)

#define PIN_ALTERNATE_OUTPUT 0xBu /* push-pull, 50 MHz */
#define PIN_INPUT_PULLED 0x8u

static uint32_t start_crystal(void)
{
    RCC_CR &= ~(CR_HSEON | CR_HSEBYP);
    RCC_CR |= TQ_HSE_BYPASS != 0 ? CR_HSEBYP : 0u;
    RCC_CR |= CR_HSEON;
    return wait_for(&RCC_CR, CR_HSERDY, CR_HSERDY, CRYSTAL_POLLS);
}

/* PLL output = input * factor, factor 2 .. 16; never above TQ_CLOCK_HZ. Returns the clock, 0 when
 * the PLL does not lock. */
static uint32_t start_pll(uint32_t input_hz, uint32_t source)
{
    const uint32_t wanted = TQ_CLOCK_HZ / input_hz;
    const uint32_t factor = wanted > 16u ? 16u : wanted;
    RCC_CFGR = (RCC_CFGR & ~CFGR_PLL_MASK) | source | (factor - 2u) << 18;
    RCC_CR |= CR_PLLON;
    if (wait_for(&RCC_CR, CR_PLLRDY, CR_PLLRDY, READY_POLLS) == 0u) {
        RCC_CR &= ~CR_PLLON;
        return 0u;
    }
    return input_hz * factor;
}

static void start_clock(void)
{
    uint32_t pll_hz = 0u;
    select_hsi();
    core_hz = HSI_HZ;
    if (TQ_HSE_HZ != 0u && start_crystal() != 0u) {
        pll_hz = start_pll(TQ_HSE_HZ, CFGR_PLL_HSE);
    }
    if (pll_hz == 0u) {
        pll_hz = start_pll(HSI_HZ / 2u, 0u);
    }
    if (pll_hz == 0u) {
        return;
    }
    /* The flash must be slow enough before the core becomes fast. */
    FLASH_ACR = ACR_PREFETCH | ACR_LATENCY;
    (void)FLASH_ACR;
    RCC_CFGR |= APB1_DIVIDER == 2u ? CFGR_PPRE1_2 : 0u;
    RCC_CFGR = (RCC_CFGR & ~CFGR_SW_MASK) | CFGR_SW_PLL;
    if (wait_for(&RCC_CFGR, CFGR_SWS_MASK, CFGR_SWS_PLL, READY_POLLS) != 0u) {
        core_hz = pll_hz;
    } else {
        select_hsi();
    }
}

/* Four bits of mode for each pin; a pulled input takes the direction of the pull from ODR. */
static void start_pin(uint32_t port, uint32_t pin, uint32_t mode)
{
    const uint32_t base = 0x40010800u + 0x400u * port;
    volatile uint32_t *const config = &TQ_REGISTER(base + 4u * (pin / 8u));
    const uint32_t shift = 4u * (pin % 8u);
    RCC_APB2ENR |= 4u << port;
    (void)RCC_APB2ENR;
    TQ_REGISTER(base + 0x10u) = 1u << pin;
    *config = (*config & ~(0xFu << shift)) | mode << shift;
}

static void start_pins(void)
{
    start_pin(PORT_NUMBER(TQ_TX_PORT), TQ_TX_PIN, PIN_ALTERNATE_OUTPUT);
    start_pin(PORT_NUMBER(TQ_RX_PORT), TQ_RX_PIN, PIN_INPUT_PULLED);
}

#endif
