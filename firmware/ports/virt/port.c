/* Port of QEMU's RISC-V machine `virt`: a 16550 UART and the test device, which resets it.
 *
 * From the board: TQ_CLOCK_HZ, which the machine does not have, so it is nominal.
 * Source: QEMU documentation, "virt Generic Virtual Platform"; National Semiconductor PC16550D
 * data sheet, section 8. */
#include "tq_build.h"
#include "tq_core.h"
#include "tq_port.h"

#define UART_BYTE(offset) (*(volatile uint8_t *)(uintptr_t)(0x10000000u + (offset)))
#define UART_DATA UART_BYTE(0u)
#define UART_INTERRUPTS UART_BYTE(1u)
#define UART_FIFO UART_BYTE(2u)
#define UART_LINE UART_BYTE(3u)
#define UART_STATE UART_BYTE(5u)

#define FIFO_ENABLE_AND_CLEAR 7u
#define LINE_8_BITS 3u
#define STATE_DATA_READY (1u << 0)
#define STATE_TX_EMPTY (1u << 5)
#define STATE_TX_IDLE (1u << 6)

#define TEST_DEVICE TQ_REGISTER(0x00100000u)
#define TEST_RESET 0x7777u

void tq_port_init(void)
{
    UART_INTERRUPTS = 0u;
    UART_LINE = LINE_8_BITS;
    UART_FIFO = FIFO_ENABLE_AND_CLEAR;
    /* QEMU stops offering input when a byte came before the FIFO was cleared; a read resumes it. */
    (void)UART_DATA;
    tq_core_start_cycles();
}

int32_t tq_port_read(void)
{
    if ((UART_STATE & STATE_DATA_READY) == 0u) {
        return -1;
    }
    return UART_DATA;
}

void tq_port_write(const uint8_t *bytes, int32_t count)
{
    for (int32_t i = 0; i < count; i++) {
        while ((UART_STATE & STATE_TX_EMPTY) == 0u) {
        }
        UART_DATA = bytes[i];
    }
}

uint32_t tq_port_clock_hz(void)
{
    return TQ_CLOCK_HZ;
}

void tq_port_reset(void)
{
    while ((UART_STATE & STATE_TX_IDLE) == 0u) {
    }
    tq_core_restart();
}

/* The core has no way to reset the machine; the device next to it has. */
void tq_core_restart(void)
{
    TEST_DEVICE = TEST_RESET;
    for (;;) {
    }
}
