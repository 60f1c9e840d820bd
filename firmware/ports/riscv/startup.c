/* Reset and trap of a 32-bit RISC-V core in machine mode. Interrupts stay off: the firmware polls.
 *
 * Source: The RISC-V Instruction Set Manual, Volume II: Privileged Architecture, chapter 3. */
#include "tq_core.h"

/* Addresses from the linker script. */
extern const uint32_t tq_data_load[];
extern uint32_t tq_data_start[];
extern uint32_t tq_data_end[];
extern uint32_t tq_bss_start[];
extern uint32_t tq_bss_end[];

int main(void);
void tq_reset_handler(void);
void tq_start(void);
void tq_fault(void);

/* A trap is the firmware's own error: the board starts again, which the host notices, where an
 * endless loop would only be silent. */
void tq_fault(void)
{
    tq_core_restart();
}

/* The stack may be what has overflowed: start a new one. mtvec wants 4 bytes of alignment. */
__attribute__((naked, aligned(4))) static void trap_handler(void)
{
    __asm volatile("la sp, tq_stack_top\n\tj tq_fault");
}

__attribute__((naked, section(".vectors"), used)) void tq_reset_handler(void)
{
    __asm volatile("la sp, tq_stack_top\n\tj tq_start");
}

__attribute__((noreturn, used)) void tq_start(void)
{
    __asm volatile("csrw mtvec, %0" ::"r"(trap_handler));
    const uint32_t *from = tq_data_load;
    for (uint32_t *to = tq_data_start; to < tq_data_end; to++) {
        *to = *from++;
    }
    for (uint32_t *to = tq_bss_start; to < tq_bss_end; to++) {
        *to = 0u;
    }
    (void)main();
    for (;;) {
        tq_fault();
    }
}
