/* Vector table, reset and fault handlers of a Cortex-M core.
 *
 * The table ends with the system exceptions: the firmware polls and enables no interrupt, so that
 * an inference is never interrupted and its cycle count belongs to it alone (core.c has the one
 * exception). A core with the security extension stays in the secure state that it is reset to,
 * where all memory and devices of the linker script and the port are at hand. */
#include "tq_core.h"

#define CPACR TQ_REGISTER(0xE000ED88u)
#define DHCSR TQ_REGISTER(0xE000EDF0u)

#define CPACR_CP10_CP11_FULL (0xFu << 20)
#define DHCSR_C_DEBUGEN 1u

/* Addresses from the linker script. */
extern const uint32_t tq_data_load[];
extern uint32_t tq_data_start[];
extern uint32_t tq_data_end[];
extern uint32_t tq_bss_start[];
extern uint32_t tq_bss_end[];
extern uint32_t tq_stack_top[];

int main(void);
void tq_reset_handler(void);
void tq_fault(void);
void tq_system_tick(void);

static void start_fpu(void)
{
    /* FPU and vector unit are off after reset. Code compiled without them leaves them off. */
#if defined(__ARM_FP) || defined(__ARM_FEATURE_MVE)
    CPACR |= CPACR_CP10_CP11_FULL;
    __asm volatile("dsb\n\tisb" ::: "memory");
#endif
}

/* A fault is the firmware's own error. A debugger finds the core halted; without one the board
 * starts again, which the host notices, where an endless loop would only be silent. */
void tq_fault(void)
{
#if !defined(__ARM_ARCH_6M__) /* where only a debugger can read the register */
    if ((DHCSR & DHCSR_C_DEBUGEN) != 0u) {
        __asm volatile("bkpt 0");
    }
#endif
    tq_core_restart();
}

/* The stack may be what has overflowed, and a fault within a fault locks the core up: start a new
 * one. */
__attribute__((naked)) static void fault_handler(void)
{
    __asm volatile("ldr r0, =tq_stack_top\n\tmov sp, r0\n\tb tq_fault");
}

/* core.c replaces it where the timer counts cycles. */
__attribute__((weak)) void tq_system_tick(void)
{
}

void tq_reset_handler(void)
{
    start_fpu(); /* first: the compiler may make vector instructions of the loops below */
    const uint32_t *from = tq_data_load;
    for (uint32_t *to = tq_data_start; to < tq_data_end; to++) {
        *to = *from++;
    }
    for (uint32_t *to = tq_bss_start; to < tq_bss_end; to++) {
        *to = 0u;
    }
    (void)main();
    tq_fault();
}

/* Armv7-M Architecture Reference Manual (DDI 0403), B1.5.2: exception number less one. The
 * secure fault of Armv8-M has number 7. */
enum {
    RESET = 0,
    NMI = 1,
    HARD_FAULT = 2,
    MEMORY_FAULT = 3,
    BUS_FAULT = 4,
    USAGE_FAULT = 5,
    SECURE_FAULT = 6,
    SUPERVISOR_CALL = 10,
    DEBUG_MONITOR = 11,
    PENDED_CALL = 13,
    SYSTEM_TICK = 14,
    SYSTEM_EXCEPTIONS = 15
};

typedef struct {
    const uint32_t *stack_top;
    void (*handlers[SYSTEM_EXCEPTIONS])(void);
} vector_table;

extern const vector_table tq_vectors;
__attribute__((section(".vectors"), used)) const vector_table tq_vectors = {
    .stack_top = tq_stack_top,
    .handlers =
        {
            [RESET] = tq_reset_handler,
            [NMI] = fault_handler,
            [HARD_FAULT] = fault_handler,
            [MEMORY_FAULT] = fault_handler,
            [BUS_FAULT] = fault_handler,
            [USAGE_FAULT] = fault_handler,
            [SECURE_FAULT] = fault_handler,
            [SUPERVISOR_CALL] = fault_handler,
            [DEBUG_MONITOR] = fault_handler,
            [PENDED_CALL] = fault_handler,
            [SYSTEM_TICK] = tq_system_tick,
        },
};
