/* Parts of a port that every Cortex-M core shares: start-up, cycle counter, stack paint and
 * reset. */
#ifndef TQ_CORTEXM_H
#define TQ_CORTEXM_H

#include <stdint.h>

/* A 32-bit device register at an address. */
#define TQ_REGISTER(address) (*(volatile uint32_t *)(uintptr_t)(address))

/* Start the cycle counter of the DWT unit where the core has one. */
void tq_cortexm_start_cycles(void);

/* Reset the chip through AIRCR.SYSRESETREQ. Does not return. */
void tq_cortexm_restart(void);

#endif
