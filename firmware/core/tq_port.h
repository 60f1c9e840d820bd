/* What the firmware asks of a chip family. Each folder firmware/ports/<family> implements these
 * functions and no other part of the firmware touches a register. */
#ifndef TQ_PORT_H
#define TQ_PORT_H

#include <stdint.h>

/* Set the clocks (every wait is bounded), the serial line and the cycle counter. Called once,
 * first. */
void tq_port_init(void);

/* Next received byte, 0 .. 255, or -1 when none waits. */
int32_t tq_port_read(void);

/* Send bytes and return when the last one is handed to the line.
 *
 * bytes  [count]
 * count  0 .. 2^31 - 1 */
void tq_port_write(const uint8_t *bytes, int32_t count);

/* Free-running count of core cycles, modulo 2^32. Reads 0 forever on a core without a counter. */
uint32_t tq_port_cycles(void);

/* Core clock in Hz that tq_port_init reached; 0 where it is unknown (host). */
uint32_t tq_port_clock_hz(void);

/* Fill the unused part of the stack with a pattern. */
void tq_port_stack_paint(void);

/* Bytes between the top of the stack and its deepest word written since the last paint; 0 where
 * unknown (host). The frames of the callers count, so it is the stack that the firmware needs. */
int32_t tq_port_stack_used(void);

/* Send what is still under way, then reset the board; on the host leave the process, so that the
 * target starts it again. Does not return. */
void tq_port_reset(void);

#endif
