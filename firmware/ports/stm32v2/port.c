/* Port of the STM32 families whose USART has version 2: F0, F7, G4, H7, L4, U5, WB.
 *
 * From the board (tq_build.h):
 *
 *   TQ_STM32_<family>       which family: chip.h, clock_<family>.c
 *   TQ_CLOCK_HZ, TQ_BAUD    core clock to reach, line rate
 *   TQ_USART                1, 2 or 3; 0 for LPUART1 (G4, L4)
 *   TQ_TX_PORT, TQ_TX_PIN   A .. H, 0 .. 15
 *   TQ_RX_PORT, TQ_RX_PIN
 *   TQ_PIN_FUNCTION         alternate function of both pins
 *
 * Source: reference manuals RM0091 (F0), RM0385 and RM0410 (F7), RM0440 (G4), RM0433 (H7), RM0351
 * and RM0432 (L4), RM0456 (U5), RM0434 (WB): chapters on GPIO and USART. */
#include "chip.h"
#include "tq_port.h"

#define PASTE(left, right) left##right
#define PORT_NUMBER(letter) PASTE(PORT_, letter)
enum { PORT_A, PORT_B, PORT_C, PORT_D, PORT_E, PORT_F, PORT_G, PORT_H };

#if TQ_USART == 0
#define USART TQ_LPUART1
#define USART_ENABLE_REGISTER TQ_LPUART1_ENABLE_REGISTER
#define USART_ENABLE (1u << 0)
#define CLOCKS_PER_STEP 256u /* of BRR: a low-power UART divides in steps of 1/256 */
#elif TQ_USART == 1
#define USART TQ_USART1
#define USART_ENABLE_REGISTER TQ_APB2_ENABLE
#define USART_ENABLE TQ_USART1_ENABLE
#define CLOCKS_PER_STEP 1u
#elif TQ_USART == 2
#define USART TQ_USART2
#define USART_ENABLE_REGISTER TQ_APB1_ENABLE
#define USART_ENABLE (1u << 17)
#define CLOCKS_PER_STEP 1u
#elif TQ_USART == 3
#define USART TQ_USART3
#define USART_ENABLE_REGISTER TQ_APB1_ENABLE
#define USART_ENABLE (1u << 18)
#define CLOCKS_PER_STEP 1u
#else
#error "TQ_USART must be 0, 1, 2 or 3"
#endif

#define USART_CR1 TQ_REGISTER(USART + 0x00u)
#define USART_CR2 TQ_REGISTER(USART + 0x04u)
#define USART_CR3 TQ_REGISTER(USART + 0x08u)
#define USART_BRR TQ_REGISTER(USART + 0x0Cu)
#define USART_ISR TQ_REGISTER(USART + 0x1Cu)
#define USART_ICR TQ_REGISTER(USART + 0x20u)
#define USART_RDR TQ_REGISTER(USART + 0x24u)
#define USART_TDR TQ_REGISTER(USART + 0x28u)

#define CR1_UE (1u << 0)
#define CR1_RE (1u << 2)
#define CR1_TE (1u << 3)
#define ISR_ERRORS 0xFu /* parity, framing, noise, overrun; ICR clears them at the same bits */
#define ISR_RXNE (1u << 5)
#define ISR_TC (1u << 6)
#define ISR_TXE (1u << 7)

static tq_stm32_clock clock;

uint32_t tq_stm32_wait(volatile uint32_t *reg, uint32_t mask, uint32_t value)
{
    for (uint32_t polls = TQ_READY_POLLS; polls > 0u; polls--) {
        if ((*reg & mask) == value) {
            return 1u;
        }
    }
    return 0u;
}

/* Alternate function, fast edges, pull-up (an open line then reads as idle). */
static void start_pin(uint32_t port, uint32_t pin)
{
    const uint32_t base = TQ_GPIO + 0x400u * port;
    volatile uint32_t *const mode = &TQ_REGISTER(base + 0x00u);
    volatile uint32_t *const speed = &TQ_REGISTER(base + 0x08u);
    volatile uint32_t *const pull = &TQ_REGISTER(base + 0x0Cu);
    volatile uint32_t *const function = &TQ_REGISTER(base + 0x20u + 4u * (pin / 8u));
    const uint32_t shift = 4u * (pin % 8u);
    TQ_GPIO_ENABLE |= 1u << (TQ_GPIO_ENABLE_BIT + port);
    (void)TQ_GPIO_ENABLE;
    *function = (*function & ~(0xFu << shift)) | (uint32_t)TQ_PIN_FUNCTION << shift;
    *speed = (*speed & ~(3u << 2u * pin)) | 2u << 2u * pin;
    *pull = (*pull & ~(3u << 2u * pin)) | 1u << 2u * pin;
    *mode = (*mode & ~(3u << 2u * pin)) | 2u << 2u * pin;
}

/* 16 times oversampling, 8 data bits, no parity, 1 stop bit. */
static void start_usart(void)
{
    const uint64_t clocks = (uint64_t)clock.bus_hz * CLOCKS_PER_STEP;
    USART_ENABLE_REGISTER |= USART_ENABLE;
    (void)USART_ENABLE_REGISTER;
    USART_CR1 = 0u;
    USART_CR2 = 0u;
    USART_CR3 = 0u;
    USART_BRR = (uint32_t)((clocks + TQ_BAUD / 2u) / TQ_BAUD);
    USART_CR1 = CR1_UE | CR1_TE | CR1_RE;
    start_pin(PORT_NUMBER(TQ_TX_PORT), TQ_TX_PIN);
    start_pin(PORT_NUMBER(TQ_RX_PORT), TQ_RX_PIN);
}

void tq_port_init(void)
{
    tq_core_enable_caches();
    clock = tq_stm32_start_clock();
    start_usart();
    tq_core_start_cycles();
}

/* Polling loses nothing: see stm32v1/port.c. */
int32_t tq_port_read(void)
{
    const uint32_t state = USART_ISR;
    if ((state & ISR_ERRORS) != 0u) {
        USART_ICR = state & ISR_ERRORS;
    }
    return (state & ISR_RXNE) != 0u ? (int32_t)(USART_RDR & 0xFFu) : -1;
}

void tq_port_write(const uint8_t *bytes, int32_t count)
{
    for (int32_t i = 0; i < count; i++) {
        while ((USART_ISR & ISR_TXE) == 0u) {
        }
        USART_TDR = bytes[i];
    }
}

uint32_t tq_port_clock_hz(void)
{
    return clock.core_hz;
}

void tq_port_reset(void)
{
    /* Two characters at most are under way: less than the polls at any line rate above 9600. */
    for (uint32_t i = 0; i < 16u && tq_stm32_wait(&USART_ISR, ISR_TC, ISR_TC) == 0u; i++) {
    }
    tq_core_restart();
}
