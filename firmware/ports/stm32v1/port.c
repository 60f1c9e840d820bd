/* Port of the STM32 families whose USART has version 1: F1 and F4.
 *
 * From the board (tq_build.h):
 *
 *   TQ_STM32_<family>       which family: chip_<family>.h
 *   TQ_CLOCK_HZ             core clock to reach
 *   TQ_BAUD                 line rate
 *   TQ_USART                1, 2 or 3, of the STM32F4 also 6
 *   TQ_TX_PORT, TQ_TX_PIN   A .. H, 0 .. 15
 *   TQ_RX_PORT, TQ_RX_PIN
 *   TQ_HSE_HZ               crystal or external clock; 0 for none: the internal oscillator
 *   TQ_HSE_BYPASS           1 when the external clock is a signal, 0 for a crystal
 *
 * Source: reference manuals RM0008 (F101 to F107), RM0041 (F100), RM0090 (F405/407), RM0368 (F401),
 * RM0383 (F411), RM0390 (F446): chapters on RCC and USART. */
#include "tq_build.h"
#include "tq_core.h"
#include "tq_port.h"

#define PASTE(left, right) left##right
#define PORT_NUMBER(letter) PASTE(PORT_, letter)
enum { PORT_A, PORT_B, PORT_C, PORT_D, PORT_E, PORT_F, PORT_G, PORT_H };

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

static void select_hsi(void);

/* A chip's header has, beside its registers: start_clock, which sets core_hz, and start_pins. */
#if defined(TQ_STM32_F1)
#include "chip_f1.h"
#elif defined(TQ_STM32_F4)
#include "chip_f4.h"
#else
#error "define TQ_STM32_F1 or F4"
#endif

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

#if TQ_USART == 1
#define USART USART1
#define USART_ENABLE_REGISTER RCC_APB2ENR
#define USART_ENABLE USART1_ENABLE
#elif TQ_USART == 2
#define USART 0x40004400u
#define USART_ENABLE_REGISTER RCC_APB1ENR
#define USART_ENABLE (1u << 17)
#elif TQ_USART == 3
#define USART 0x40004800u
#define USART_ENABLE_REGISTER RCC_APB1ENR
#define USART_ENABLE (1u << 18)
#elif TQ_USART == 6 && defined(USART6)
#define USART USART6
#define USART_ENABLE_REGISTER RCC_APB2ENR
#define USART_ENABLE USART6_ENABLE
#else
#error "the chip has no such TQ_USART"
#endif

#define USART_ON_APB2 (TQ_USART == 1 || TQ_USART == 6)

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
    start_pins();
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
