/* Port of Nordic's nRF51 and nRF52: the UART without DMA, which both families have at the same
 * address (the nRF52 has the UARTE besides; the nRF53 and later have that alone).
 *
 * From the board (tq_build.h):
 *
 *   TQ_CLOCK_HZ   16 MHz on the nRF51, 64 MHz on the nRF52: neither can be changed
 *   TQ_BAUD       line rate, 1200 .. 1000000
 *   TQ_TX, TQ_RX  pins, 32 * port + number
 *   TQ_CACHE      1 to switch the nRF52's instruction cache on
 *
 * Source: nRF51 Series Reference Manual 3.0, nRF52840 Product Specification 1.7 (4413_417),
 * chapters on CLOCK, GPIO, NVMC and UART. */
#include "tq_build.h"
#include "tq_core.h"
#include "tq_port.h"

/* Twin: tinyq/hardware/clock_rules.py. */
#if TQ_CLOCK_HZ != 16000000 && TQ_CLOCK_HZ != 64000000
#error "TQ_CLOCK_HZ: the nRF51 has 16 MHz, the nRF52 64 MHz"
#endif

#define CLOCK_HFCLKSTART TQ_REGISTER(0x40000000u)
#define CLOCK_HFCLKSTARTED TQ_REGISTER(0x40000100u)
#define NVMC_ICACHECNF TQ_REGISTER(0x4001E540u)

#define FICR_INFO_PART TQ_REGISTER(0x10000100u)
#define UICR_APPROTECT TQ_REGISTER(0x10001208u)
#define APPROTECT_DISABLE TQ_REGISTER(0x40000558u)

#define UART 0x40002000u
#define UART_STARTRX TQ_REGISTER(UART + 0x000u)
#define UART_STARTTX TQ_REGISTER(UART + 0x008u)
#define UART_RXDRDY TQ_REGISTER(UART + 0x108u)
#define UART_TXDRDY TQ_REGISTER(UART + 0x11Cu)
#define UART_ENABLE TQ_REGISTER(UART + 0x500u)
#define UART_PSELRTS TQ_REGISTER(UART + 0x508u)
#define UART_PSELTXD TQ_REGISTER(UART + 0x50Cu)
#define UART_PSELCTS TQ_REGISTER(UART + 0x510u)
#define UART_PSELRXD TQ_REGISTER(UART + 0x514u)
#define UART_RXD TQ_REGISTER(UART + 0x518u)
#define UART_TXD TQ_REGISTER(UART + 0x51Cu)
#define UART_BAUDRATE TQ_REGISTER(UART + 0x524u)
#define UART_CONFIG TQ_REGISTER(UART + 0x56Cu)
#define ENABLE_UART 4u
#define NO_PIN 0xFFFFFFFFu

#define PORT(pin) (0x50000000u + 0x300u * ((pin) / 32u))
#define PORT_OUTSET(pin) TQ_REGISTER(PORT(pin) + 0x508u)
#define PORT_CONFIG(pin) TQ_REGISTER(PORT(pin) + 0x700u + 4u * ((pin) % 32u))
#define CONFIG_OUTPUT 3u         /* direction out, input buffer disconnected */
#define CONFIG_INPUT_PULL_UP 12u /* an open line then reads as idle */

/* The crystal starts within 1 ms; this is at least 5 ms at 64 MHz. Without it the line rate comes
 * from the internal oscillator, which is within 1.5 % (nRF52) and mostly good enough. */
#define CRYSTAL_POLLS 65536u

/* BAUDRATE = baud * 2^32 / 16 MHz, in steps of 2^12. */
#define BAUDRATE ((uint32_t)(((uint64_t)TQ_BAUD << 32) / 16000000u + 0x800u) & 0xFFFFF000u)

/* Since revision 3 of the nRF52840 and B of the nRF52833 the debug port is locked after a reset until
 * the firmware opens it, which it does where whoever has flashed it says so in UICR. Without it the
 * next program has to erase the whole chip. */
static void open_debug_port(void)
{
    const uint32_t part = FICR_INFO_PART;
    if (part == 0x52840u || part == 0x52833u) {
        APPROTECT_DISABLE = UICR_APPROTECT;
    }
}

void tq_port_init(void)
{
    if (TQ_CLOCK_HZ == 64000000) {
        open_debug_port(); /* the nRF51 has no such lock */
    }
    CLOCK_HFCLKSTARTED = 0u;
    CLOCK_HFCLKSTART = 1u;
    for (uint32_t polls = CRYSTAL_POLLS; polls > 0u && CLOCK_HFCLKSTARTED == 0u; polls--) {
    }
    if (TQ_CACHE != 0) {
        NVMC_ICACHECNF = 1u;
    }
    PORT_OUTSET(TQ_TX) = 1u << TQ_TX % 32u; /* the level of an idle line */
    PORT_CONFIG(TQ_TX) = CONFIG_OUTPUT;
    PORT_CONFIG(TQ_RX) = CONFIG_INPUT_PULL_UP;
    UART_PSELTXD = TQ_TX;
    UART_PSELRXD = TQ_RX;
    UART_PSELRTS = NO_PIN;
    UART_PSELCTS = NO_PIN;
    UART_BAUDRATE = BAUDRATE;
    UART_CONFIG = 0u;
    UART_RXDRDY = 0u;
    UART_ENABLE = ENABLE_UART;
    UART_STARTTX = 1u;
    UART_STARTRX = 1u;
    tq_core_start_cycles();
}

/* Polling loses nothing: see stm32v1/port.c; the receiver holds six bytes besides. The event is
 * cleared before the byte is read, as the read may raise it again for the next one. */
int32_t tq_port_read(void)
{
    if (UART_RXDRDY == 0u) {
        return -1;
    }
    UART_RXDRDY = 0u;
    return (int32_t)(UART_RXD & 0xFFu);
}

void tq_port_write(const uint8_t *bytes, int32_t count)
{
    for (int32_t i = 0; i < count; i++) {
        UART_TXDRDY = 0u;
        UART_TXD = bytes[i];
        while (UART_TXDRDY == 0u) {
        }
    }
}

uint32_t tq_port_clock_hz(void)
{
    return TQ_CLOCK_HZ;
}

void tq_port_reset(void)
{
    tq_core_restart(); /* the last byte has been sent when tq_port_write returns */
}
