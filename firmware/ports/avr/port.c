/* Port of the ATmega328P and ATmega2560: USART 0, timer 1 as cycle counter, and the pages of a model
 * whose constants do not fit into RAM. Start-up, vectors and .data come from avr-libc.
 *
 * From the board: TQ_CLOCK_HZ, TQ_BAUD.
 *
 * Source: Microchip DS40001906 (ATmega328P) and DS40002211 (ATmega2560): chapters on USART, 16-bit
 * timers and the watchdog; avr-libc manual, "Memory Sections". */
#include "tq_build.h"
#include "tq_pages.h"
#include "tq_port.h"

#include <avr/interrupt.h>
#include <avr/io.h>
#include <avr/pgmspace.h>

#define STACK_PATTERN 0xA5u
#define OWN_BYTES 32 /* below the stack pointer: what the painting function may save yet */

/* Doubled speed halves the error of the divider: 2.1 % at 115200 baud and 16 MHz, as the USB bridge
 * of the Arduino boards has it too. */
#define DIVIDER ((TQ_CLOCK_HZ / 4u / TQ_BAUD - 1u) / 2u)

/* Addresses from the linker script. */
extern uint8_t tq_stack_start[];
extern uint8_t tq_stack_top[];
extern uint8_t tq_page_start[];
extern const tq_page tq_page_table[];

static volatile uint16_t overflows;

/* The watchdog is still on after the reset that it made. In .init3 the stack is there and .data is
 * not yet. */
void tq_stop_watchdog(void);
__attribute__((naked, used, section(".init3"))) void tq_stop_watchdog(void)
{
    MCUSR = 0;
    WDTCSR = (uint8_t)(1u << WDCE | 1u << WDE);
    WDTCSR = 0;
}

/* Once in 65,536 cycles, for some 40 of them. */
ISR(TIMER1_OVF_vect)
{
    overflows++;
}

void tq_port_init(void)
{
    UBRR0 = (uint16_t)DIVIDER;
    UCSR0A = (uint8_t)(1u << U2X0);
    UCSR0C = (uint8_t)(1u << UCSZ01 | 1u << UCSZ00); /* 8 data bits, no parity, 1 stop bit */
    UCSR0B = (uint8_t)(1u << RXEN0 | 1u << TXEN0);
    TCCR1A = 0;
    TCCR1B = (uint8_t)(1u << CS10); /* the core's clock, undivided */
    TIMSK1 = (uint8_t)(1u << TOIE1);
    sei();
}

int32_t tq_port_read(void)
{
    return (UCSR0A & 1u << RXC0) != 0u ? (int32_t)UDR0 : -1;
}

void tq_port_write(const uint8_t *bytes, int32_t count)
{
    for (int32_t i = 0; i < count; i++) {
        while ((UCSR0A & 1u << UDRE0) == 0u) {
        }
        UCSR0A = (uint8_t)(1u << TXC0 | 1u << U2X0); /* written as 1, TXC0 is cleared */
        UDR0 = bytes[i];
    }
}

uint32_t tq_port_cycles(void)
{
    const uint8_t state = SREG;
    cli();
    uint16_t high = overflows;
    const uint16_t low = TCNT1;
    /* An overflow that has not had its interrupt yet. */
    if ((TIFR1 & 1u << TOV1) != 0u && low < 0x8000u) {
        high++;
    }
    SREG = state;
    return (uint32_t)high << 16 | low;
}

uint32_t tq_port_clock_hz(void)
{
    return TQ_CLOCK_HZ;
}

void tq_port_stack_paint(void)
{
    /* volatile: the loop may not become a call, whose frame would lie in what it paints. */
    for (volatile uint8_t *byte = tq_stack_start; byte + OWN_BYTES < (volatile uint8_t *)SP;
         byte++) {
        *byte = STACK_PATTERN;
    }
}

int32_t tq_port_stack_used(void)
{
    const volatile uint8_t *byte = tq_stack_start;
    while (byte < tq_stack_top && *byte == STACK_PATTERN) {
        byte++;
    }
    return (int32_t)(tq_stack_top - byte);
}

/* By the watchdog. The boot loader that Arduino ships on the Mega 2560 does not stop it and starts
 * anew until power is cut (github.com/arduino/ArduinoCore-avr/issues/183); newer ones do. */
void tq_port_reset(void)
{
    while ((UCSR0A & 1u << TXC0) == 0u) {
    }
    cli();
    WDTCSR = (uint8_t)(1u << WDCE | 1u << WDE);
    WDTCSR = (uint8_t)(1u << WDE); /* 16 ms */
    for (;;) {
    }
}

void tq_page_load(int32_t layer)
{
    const uint32_t from = tq_page_table[layer].flash_address;
    const uint16_t count = tq_page_table[layer].bytes;
    for (uint16_t i = 0; i < count; i++) {
#if defined(RAMPZ)
        tq_page_start[i] = pgm_read_byte_far(from + i);
#else
        tq_page_start[i] = pgm_read_byte((uint16_t)from + i);
#endif
    }
}
