/* Port of the STM32F1 family: clock tree, one USART (version 1), pins.
 *
 * From the board (tq_build.h):
 *
 *   TQ_CLOCK_HZ             core clock to reach: 24 MHz on the STM32F100, up to 72 MHz on the others
 *   TQ_BAUD                 line rate
 *   TQ_USART                1, 2 or 3, on its pins without remapping
 *   TQ_TX_PORT, TQ_TX_PIN   A or B, 0 .. 15
 *   TQ_RX_PORT, TQ_RX_PIN
 *   TQ_HSE_HZ               crystal or external clock; 0 for none: the internal 8 MHz oscillator
 *   TQ_HSE_BYPASS           1 when the external clock is a signal, 0 for a crystal
 *
 * Source: reference manuals RM0008 (F101 to F107) and RM0041 (F100): chapters on RCC, GPIO, USART
 * and, in PM0075, on FLASH_ACR. */
#include "tq_build.h"
#include "tq_core.h"
#include "tq_port.h"

#define PASTE(left, right) left##right
#define PORT_NUMBER(letter) PASTE(PORT_, letter)
enum { PORT_A, PORT_B };

#define FLASH_ACR TQ_REGISTER(0x40022000u)
#define RCC_CR TQ_REGISTER(0x40021000u)
#define RCC_CFGR TQ_REGISTER(0x40021004u)
#define RCC_APB2ENR TQ_REGISTER(0x40021018u)
#define RCC_APB1ENR TQ_REGISTER(0x4002101Cu)

#define CR_HSION (1u << 0)
#define CR_HSIRDY (1u << 1)
#define CR_HSEON (1u << 16)
#define CR_HSERDY (1u << 17)
#define CR_HSEBYP (1u << 18)
#define CR_PLLON (1u << 24)
#define CR_PLLRDY (1u << 25)

#define CFGR_SW_MASK 3u
#define CFGR_SW_PLL 2u
#define CFGR_SWS_MASK (3u << 2)
#define CFGR_SWS_PLL (2u << 2)
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

/* Polls before a ready bit is given up: at least 40 and 10 ms at 8 MHz; a crystal takes 2 ms, the
 * PLL 0.2 ms (DS5319, tables on HSE and PLL characteristics). An emulator without a clock tree runs
 * through them at once. */
#define CRYSTAL_POLLS 65536u
#define READY_POLLS 16384u

#if TQ_USART == 1
#define USART 0x40013800u
#define USART_ENABLE_REGISTER RCC_APB2ENR
#define USART_ENABLE (1u << 14)
#elif TQ_USART == 2
#define USART 0x40004400u
#define USART_ENABLE_REGISTER RCC_APB1ENR
#define USART_ENABLE (1u << 17)
#elif TQ_USART == 3
#define USART 0x40004800u
#define USART_ENABLE_REGISTER RCC_APB1ENR
#define USART_ENABLE (1u << 18)
#else
#error "TQ_USART must be 1, 2 or 3"
#endif

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

#define PIN_ALTERNATE_OUTPUT 0xBu /* push-pull, 50 MHz */
#define PIN_INPUT_PULLED 0x8u

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

/* Back to the state after reset: a boot loader may have left another clock. */
static void select_hsi(void)
{
    RCC_CR |= CR_HSION;
    (void)wait_for(&RCC_CR, CR_HSIRDY, CR_HSIRDY, READY_POLLS);
    RCC_CFGR &= ~(CFGR_SW_MASK | CFGR_PRESCALERS);
    (void)wait_for(&RCC_CFGR, CFGR_SWS_MASK, 0u, READY_POLLS);
    RCC_CR &= ~CR_PLLON;
    (void)wait_for(&RCC_CR, CR_PLLRDY, 0u, READY_POLLS);
    core_hz = HSI_HZ;
}

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

/* BRR = bus clock / baud, rounded: 16 times oversampling, 8 data bits, no parity, 1 stop bit. */
static void start_usart(void)
{
    const uint32_t divider = TQ_USART == 1 || core_hz == HSI_HZ ? 1u : APB1_DIVIDER;
    USART_ENABLE_REGISTER |= USART_ENABLE;
    (void)USART_ENABLE_REGISTER;
    USART_CR1 = 0u;
    USART_CR2 = 0u;
    USART_CR3 = 0u;
    USART_BRR = (core_hz / divider + TQ_BAUD / 2u) / TQ_BAUD;
    USART_CR1 = CR1_UE | CR1_TE | CR1_RE;
    start_pin(PORT_NUMBER(TQ_TX_PORT), TQ_TX_PIN, PIN_ALTERNATE_OUTPUT);
    start_pin(PORT_NUMBER(TQ_RX_PORT), TQ_RX_PIN, PIN_INPUT_PULLED);
}

void tq_port_init(void)
{
    start_clock();
    start_usart();
    tq_core_start_cycles();
}

/* Polling loses nothing: see stm32f4/port.c. Reading SR, then DR clears the error flags. */
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
