/* Port of Arm's MPS2 and MPS3 images (AN385, AN386, AN500, AN505, AN547): UART 0 of the Cortex-M
 * System Design Kit.
 *
 * From the board: TQ_CLOCK_HZ, TQ_BAUD, TQ_UART (address; the secure one where there are two).
 * Source: Cortex-M System Design Kit Technical Reference Manual (DDI 0479), section 4.3;
 * Application Notes AN386, AN505 and AN547, chapters on the programmer's model. */
#include "tq_build.h"
#include "tq_core.h"
#include "tq_port.h"

#if defined(TQ_SEMIHOSTING)
/* QEMU takes some 50 us for each byte of its UART. Semihosting hands over what has arrived at once: the
 * same bytes, by the file ":tt". Without a debugger the breakpoint is a fault, so a build for the real
 * board must not define TQ_SEMIHOSTING.
 * Source: Semihosting for AArch32 and AArch64 (Arm, release 3.0), sections 3.4 and 5.
 */
#define HOST_OPEN 0x01u
#define HOST_WRITE 0x05u
#define HOST_READ 0x06u
#define MODE_READ 0u
#define MODE_WRITE 4u

static uint8_t received[1024];
static uint32_t received_count;
static uint32_t received_at;
static uint32_t host_input;
static uint32_t host_output;

static uint32_t ask_host(uint32_t operation, const uint32_t *arguments)
{
    register uint32_t r0 __asm__("r0") = operation;
    register const uint32_t *r1 __asm__("r1") = arguments;
    __asm__ volatile("bkpt 0xab" : "+r"(r0) : "r"(r1) : "memory");
    return r0;
}

static uint32_t open_console(uint32_t mode)
{
    static const char name[] = ":tt";
    const uint32_t arguments[3] = {(uint32_t)(uintptr_t)name, mode, sizeof name - 1u};
    return ask_host(HOST_OPEN, arguments);
}

void tq_port_init(void)
{
    host_input = open_console(MODE_READ);
    host_output = open_console(MODE_WRITE);
    tq_core_start_cycles();
}

int32_t tq_port_read(void)
{
    if (received_at == received_count) {
        const uint32_t arguments[3] = {host_input, (uint32_t)(uintptr_t)received, sizeof received};
        received_at = 0u;
        received_count = (uint32_t)sizeof received - ask_host(HOST_READ, arguments);
        if (received_count == 0u) {
            return -1;
        }
    }
    return (int32_t)received[received_at++];
}

void tq_port_write(const uint8_t *bytes, int32_t count)
{
    const uint32_t arguments[3] = {host_output, (uint32_t)(uintptr_t)bytes, (uint32_t)count};
    (void)ask_host(HOST_WRITE, arguments);
}

void tq_port_reset(void)
{
    tq_core_restart();
}
#else
#define UART_DATA TQ_REGISTER(TQ_UART + 0x00u)
#define UART_STATE TQ_REGISTER(TQ_UART + 0x04u)
#define UART_CTRL TQ_REGISTER(TQ_UART + 0x08u)
#define UART_BAUDDIV TQ_REGISTER(TQ_UART + 0x10u)

#define STATE_TX_FULL (1u << 0)
#define STATE_RX_FULL (1u << 1)
#define STATE_RX_OVERRUN (1u << 3)
#define CTRL_TX_ENABLE (1u << 0)
#define CTRL_RX_ENABLE (1u << 1)

void tq_port_init(void)
{
    UART_BAUDDIV = (TQ_CLOCK_HZ + TQ_BAUD / 2u) / TQ_BAUD;
    UART_CTRL = CTRL_TX_ENABLE | CTRL_RX_ENABLE;
    /* A byte from before does not belong to a request. The read is also what tells QEMU to look at
     * its line again: it stops looking while the receiver is off. */
    (void)UART_DATA;
    tq_core_start_cycles();
}

/* Polling loses nothing here: the host sends one request, then waits for the reply (see
 * stm32v1/port.c). */
int32_t tq_port_read(void)
{
    const uint32_t state = UART_STATE;
    if ((state & STATE_RX_FULL) == 0u) {
        return -1;
    }
    if ((state & STATE_RX_OVERRUN) != 0u) {
        UART_STATE = STATE_RX_OVERRUN; /* the flag is cleared by writing 1 */
    }
    return (int32_t)(UART_DATA & 0xFFu);
}

void tq_port_write(const uint8_t *bytes, int32_t count)
{
    for (int32_t i = 0; i < count; i++) {
        while ((UART_STATE & STATE_TX_FULL) != 0u) {
        }
        UART_DATA = bytes[i];
    }
}

void tq_port_reset(void)
{
    /* The UART tells when its buffer is empty but not when the last byte has left the shift
     * register, so two characters of 10 bits are waited for: one loop is at least one cycle. */
    for (volatile uint32_t cycle = 0u; cycle < 20u * (TQ_CLOCK_HZ / TQ_BAUD); cycle++) {
    }
    tq_core_restart();
}
#endif

uint32_t tq_port_clock_hz(void)
{
    return TQ_CLOCK_HZ;
}
