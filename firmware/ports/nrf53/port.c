/* Port of Nordic's nRF5340, application core: the UARTE, a serial line that moves bytes by DMA and
 * that this family and its successors have instead of the UART. All devices are addressed in the
 * secure state, in which the core leaves reset.
 *
 * From the board (tq_build.h):
 *
 *   TQ_CLOCK_HZ   64 or 128 MHz
 *   TQ_BAUD       line rate, 1200 .. 1000000
 *   TQ_TX, TQ_RX  pins, 32 * port + number
 *
 * Source: nRF5340 Product Specification 1.3 (4418_1315), chapters on CACHE, CLOCK, GPIO, UARTE. */
#include "tq_build.h"
#include "tq_core.h"
#include "tq_port.h"

/* Twin: tinyq/hardware/clock_rules.py. */
#if TQ_CLOCK_HZ != 64000000 && TQ_CLOCK_HZ != 128000000
#error "TQ_CLOCK_HZ: the core has 64 or 128 MHz"
#endif

#define FICR_TRIM_ADDRESS(index) TQ_REGISTER(0x00FF0300u + 8u * (index))
#define FICR_TRIM_VALUE(index) TQ_REGISTER(0x00FF0304u + 8u * (index))
#define TRIMS 32u
#define UICR_APPROTECT TQ_REGISTER(0x00FF8000u)
#define UICR_SECUREAPPROTECT TQ_REGISTER(0x00FF801Cu)
#define CTRLAP_APPROTECT_DISABLE TQ_REGISTER(0x50006544u)
#define CTRLAP_SECUREAPPROTECT_DISABLE TQ_REGISTER(0x5000654Cu)

#define CACHE_ENABLE TQ_REGISTER(0x50001500u)

#define CLOCK_HFCLKSTART TQ_REGISTER(0x50005000u)
#define CLOCK_HFCLKSTARTED TQ_REGISTER(0x50005100u)
#define CLOCK_HFCLKCTRL TQ_REGISTER(0x50005558u)
#define HFCLKCTRL_64_MHZ 1u
#define HFCLKCTRL_128_MHZ 0u

#define UARTE 0x50008000u
#define UARTE_STARTRX TQ_REGISTER(UARTE + 0x000u)
#define UARTE_STARTTX TQ_REGISTER(UARTE + 0x008u)
#define UARTE_ENDRX TQ_REGISTER(UARTE + 0x110u)
#define UARTE_ENDTX TQ_REGISTER(UARTE + 0x120u)
#define UARTE_ENABLE TQ_REGISTER(UARTE + 0x500u)
#define UARTE_PSELRTS TQ_REGISTER(UARTE + 0x508u)
#define UARTE_PSELTXD TQ_REGISTER(UARTE + 0x50Cu)
#define UARTE_PSELCTS TQ_REGISTER(UARTE + 0x510u)
#define UARTE_PSELRXD TQ_REGISTER(UARTE + 0x514u)
#define UARTE_BAUDRATE TQ_REGISTER(UARTE + 0x524u)
#define UARTE_RXDPTR TQ_REGISTER(UARTE + 0x534u)
#define UARTE_RXDMAXCNT TQ_REGISTER(UARTE + 0x538u)
#define UARTE_TXDPTR TQ_REGISTER(UARTE + 0x544u)
#define UARTE_TXDMAXCNT TQ_REGISTER(UARTE + 0x548u)
#define UARTE_CONFIG TQ_REGISTER(UARTE + 0x56Cu)
#define ENABLE_UARTE 8u
#define NO_PIN 0xFFFFFFFFu

#define PORT(pin) (0x50842500u + 0x300u * ((pin) / 32u))
#define PORT_OUTSET(pin) TQ_REGISTER(PORT(pin) + 0x008u)
#define PORT_CONFIG(pin) TQ_REGISTER(PORT(pin) + 0x200u + 4u * ((pin) % 32u))
#define CONFIG_OUTPUT 3u         /* direction out, input buffer disconnected */
#define CONFIG_INPUT_PULL_UP 12u /* an open line then reads as idle */

/* As in nrf/port.c: the line rate comes from the internal oscillator if no crystal starts. */
#define CRYSTAL_POLLS 65536u

/* BAUDRATE = baud * 2^32 / 16 MHz, in steps of 2^12. */
#define BAUDRATE ((uint32_t)(((uint64_t)TQ_BAUD << 32) / 16000000u + 0x800u) & 0xFFFFF000u)

/* The DMA reads and writes RAM alone, one byte at a time: a frame's length is not known before. */
static volatile uint8_t received;
static volatile uint8_t sent;

/* Values that were measured when the chip was made, for registers that do not keep them. */
static void trim(void)
{
    for (uint32_t index = 0; index < TRIMS; index++) {
        const uint32_t address = FICR_TRIM_ADDRESS(index);
        if (address == 0xFFFFFFFFu || address == 0u) {
            return;
        }
        TQ_REGISTER(address) = FICR_TRIM_VALUE(index);
    }
}

void tq_port_init(void)
{
    trim();
    /* As in nrf/port.c: the debug port stays open where UICR says so. */
    CTRLAP_APPROTECT_DISABLE = UICR_APPROTECT;
    CTRLAP_SECUREAPPROTECT_DISABLE = UICR_SECUREAPPROTECT;
    CLOCK_HFCLKCTRL = TQ_CLOCK_HZ > 64000000u ? HFCLKCTRL_128_MHZ : HFCLKCTRL_64_MHZ;
    CLOCK_HFCLKSTARTED = 0u;
    CLOCK_HFCLKSTART = 1u;
    for (uint32_t polls = CRYSTAL_POLLS; polls > 0u && CLOCK_HFCLKSTARTED == 0u; polls--) {
    }
    CACHE_ENABLE = 1u;
    PORT_OUTSET(TQ_TX) = 1u << TQ_TX % 32u; /* the level of an idle line */
    PORT_CONFIG(TQ_TX) = CONFIG_OUTPUT;
    PORT_CONFIG(TQ_RX) = CONFIG_INPUT_PULL_UP;
    UARTE_PSELTXD = TQ_TX;
    UARTE_PSELRXD = TQ_RX;
    UARTE_PSELRTS = NO_PIN;
    UARTE_PSELCTS = NO_PIN;
    UARTE_BAUDRATE = BAUDRATE;
    UARTE_CONFIG = 0u;
    UARTE_ENABLE = ENABLE_UARTE;
    UARTE_RXDPTR = (uint32_t)&received;
    UARTE_RXDMAXCNT = 1u;
    UARTE_TXDPTR = (uint32_t)&sent;
    UARTE_TXDMAXCNT = 1u;
    UARTE_ENDRX = 0u;
    UARTE_STARTRX = 1u;
    tq_core_start_cycles();
}

/* Polling loses nothing: see stm32v1/port.c; what comes between the end of one transfer and the
 * start of the next stays in the receiver's FIFO. */
int32_t tq_port_read(void)
{
    if (UARTE_ENDRX == 0u) {
        return -1;
    }
    UARTE_ENDRX = 0u;
    const int32_t byte = (int32_t)received;
    UARTE_STARTRX = 1u;
    return byte;
}

void tq_port_write(const uint8_t *bytes, int32_t count)
{
    for (int32_t i = 0; i < count; i++) {
        sent = bytes[i];
        UARTE_ENDTX = 0u;
        UARTE_STARTTX = 1u;
        while (UARTE_ENDTX == 0u) {
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
