/* Port of every Arduino core: Serial and micros(), which all of them have.
 *
 * Cycles are microseconds times the clock in MHz, so they come in steps: 64 cycles on a 16 MHz AVR,
 * whose micros() counts by 4. Where the core's clock is no constant, a cycle is a microsecond.
 *
 * From the board: TQ_BAUD.
 *
 * Source: Arduino language reference, Serial and micros(). */
#include <Arduino.h>

extern "C" {
#include "tq_build.h"
#include "tq_port.h"
}

#if defined(F_CPU)
#define MEGAHERTZ ((uint32_t)(F_CPU / 1000000UL))
#else
#define MEGAHERTZ 1u
#endif

/* A native USB port is there when a program has opened it: wait this long for one. */
#define OPEN_MILLISECONDS 3000u

extern "C" {

void tq_port_init(void)
{
    Serial.begin(TQ_BAUD);
    const uint32_t started = millis();
    while (!Serial && (uint32_t)millis() - started < OPEN_MILLISECONDS) {
    }
}

int32_t tq_port_read(void)
{
    return Serial.read();
}

void tq_port_write(const uint8_t *bytes, int32_t count)
{
    Serial.write(bytes, (size_t)count);
    Serial.flush();
}

uint32_t tq_port_cycles(void)
{
    return (uint32_t)micros() * MEGAHERTZ;
}

uint32_t tq_port_clock_hz(void)
{
    return MEGAHERTZ * 1000000u;
}

/* Where the stack lies is known to the core alone. */
void tq_port_stack_paint(void)
{
}

int32_t tq_port_stack_used(void)
{
    return 0;
}

/* No Arduino function resets a board. The host greets it again, which is all that it needs; AVR
 * starts anew, as an empty port would not. */
void tq_port_reset(void)
{
#if defined(__AVR__)
    Serial.flush();
    noInterrupts();
    ((void (*)(void))0)();
#elif defined(__arm__) && (defined(__ARM_ARCH_6M__) || defined(__ARM_ARCH_7M__) ||                 \
                           defined(__ARM_ARCH_7EM__) || defined(__ARM_ARCH_8M_MAIN__))
    Serial.flush();
    *(volatile uint32_t *)0xE000ED0Cu = 0x05FA0004u; /* AIRCR: SYSRESETREQ (Arm DDI 0403) */
    for (;;) {
    }
#elif defined(ESP32) || defined(ESP8266)
    Serial.flush();
    ESP.restart();
#endif
}
}
