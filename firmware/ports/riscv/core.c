/* Cycle counter and stack paint of a 32-bit RISC-V core. How the chip resets, its port knows. */
#include "tq_core.h"
#include "tq_port.h"

#define STACK_PATTERN 0xA5C3A5C3u
#define OWN_WORDS 16 /* below the stack pointer: what the painting function may save yet */

extern uint32_t tq_stack_start[];
extern uint32_t tq_stack_top[];

void tq_core_start_cycles(void)
{
    /* mcycle counts from reset on (RISC-V Privileged Architecture, 3.1.10) unless it is inhibited
     * (mcountinhibit 0x320, bit 0). */
    __asm volatile("csrci 0x320, 1");
}

uint32_t tq_port_cycles(void)
{
    uint32_t count;
    __asm volatile("csrr %0, mcycle" : "=r"(count));
    return count;
}

void tq_port_stack_paint(void)
{
    uint32_t *limit;
    __asm volatile("mv %0, sp" : "=r"(limit));
    /* volatile: the loop may not become a call, whose frame would lie in what it paints. */
    for (volatile uint32_t *word = tq_stack_start; word + OWN_WORDS < limit; word++) {
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

/* What caches there are, RISC-V chips of this size switch on themselves. */
void tq_core_enable_caches(void)
{
}
