/* Cycle counter, stack paint and reset of a Cortex-M3, M4 or M7 core. */
#include "tq_cortexm.h"
#include "tq_port.h"

/* Armv7-M Architecture Reference Manual (DDI 0403), C1.6.5 and C1.8. */
#define DEMCR TQ_REGISTER(0xE000EDFCu)
#define DWT_CTRL TQ_REGISTER(0xE0001000u)
#define DWT_CYCCNT TQ_REGISTER(0xE0001004u)
#define DWT_LAR TQ_REGISTER(0xE0001FB0u)
#define AIRCR TQ_REGISTER(0xE000ED0Cu)

#define DEMCR_TRCENA (1u << 24)
#define DWT_CTRL_CYCCNTENA 1u
#define DWT_LAR_UNLOCK 0xC5ACCE55u
#define AIRCR_VECTKEY (0x05FAu << 16)
#define AIRCR_SYSRESETREQ (1u << 2)

#define STACK_PATTERN 0xA5C3A5C3u

extern uint32_t tq_stack_start[];
extern uint32_t tq_stack_top[];

void tq_cortexm_start_cycles(void)
{
    DEMCR |= DEMCR_TRCENA;
    DWT_LAR = DWT_LAR_UNLOCK; /* the Cortex-M7 locks the unit, the others ignore the write */
    DWT_CYCCNT = 0u;
    DWT_CTRL |= DWT_CTRL_CYCCNTENA;
}

void tq_cortexm_restart(void)
{
    __asm volatile("dsb" ::: "memory");
    AIRCR = AIRCR_VECTKEY | AIRCR_SYSRESETREQ;
    __asm volatile("dsb" ::: "memory");
    for (;;) {
    }
}

uint32_t tq_port_cycles(void)
{
    return DWT_CYCCNT;
}

void tq_port_stack_paint(void)
{
    uint32_t *limit;
    __asm volatile("mov %0, sp" : "=r"(limit));
    /* volatile: the loop may not become a call, whose frame would lie in what it paints. */
    for (volatile uint32_t *word = tq_stack_start; word < limit; word++) {
        *word = STACK_PATTERN;
    }
}

int32_t tq_port_stack_used(void)
{
    const volatile uint32_t *word = tq_stack_start;
    while (word < tq_stack_top && *word == STACK_PATTERN) {
        word++;
    }
    return (int32_t)((uintptr_t)tq_stack_top - (uintptr_t)word);
}
