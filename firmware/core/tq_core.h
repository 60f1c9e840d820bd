/* What a port asks of the core that the chip has. Each start-up folder firmware/ports/<startup>
 * implements these functions, and tq_port_stack_paint, tq_port_stack_used and tq_port_cycles. */
#ifndef TQ_CORE_H
#define TQ_CORE_H

#include <stdint.h>

/* A 32-bit device register at an address. */
#define TQ_REGISTER(address) (*(volatile uint32_t *)(uintptr_t)(address))

/* Start the cycle counter where the core has one. */
void tq_core_start_cycles(void);

/* Switch instruction and data cache on where the core has them (Cortex-M7). */
void tq_core_enable_caches(void);

/* Reset the chip. Does not return. */
void tq_core_restart(void);

#endif
