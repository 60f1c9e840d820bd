/* Cycle counter, stack paint and reset of a Cortex-M core. */
#include "tq_core.h"
#include "tq_port.h"

/* Armv6-M, Armv7-M and Armv8-M Architecture Reference Manuals (DDI 0419, DDI 0403, DDI 0553),
 * chapters on the System Control Space and the Data Watchpoint and Trace unit. */
#define AIRCR TQ_REGISTER(0xE000ED0Cu)
#define AIRCR_VECTKEY (0x05FAu << 16)
#define AIRCR_SYSRESETREQ (1u << 2)

#define STACK_PATTERN 0xA5C3A5C3u
#define OWN_WORDS 16 /* below the stack pointer: what the painting function may save yet */

extern uint32_t tq_stack_start[];
extern uint32_t tq_stack_top[];

#if defined(__ARM_ARCH_6M__) || defined(__ARM_ARCH_8M_BASE__)

/* These have no cycle counter, but most have the 24-bit system timer, which counts core cycles
 * downwards. Its exception is the only one that the firmware lets happen: once in 2^24 cycles. A
 * chip without the timer (nRF51) reads zeros, and so the count stands still. */
#define SYST_CSR TQ_REGISTER(0xE000E010u)
#define SYST_RVR TQ_REGISTER(0xE000E014u)
#define SYST_CVR TQ_REGISTER(0xE000E018u)
#define SYST_ENABLE_EXCEPTION_CORE_CLOCK 7u
#define SYST_BITS 24
#define SYST_MASK 0x00FFFFFFu

void tq_system_tick(void);

static volatile uint32_t wraps;

void tq_system_tick(void)
{
    wraps++;
}

void tq_core_start_cycles(void)
{
    SYST_RVR = SYST_MASK;
    SYST_CVR = 0u;
    SYST_CSR = SYST_ENABLE_EXCEPTION_CORE_CLOCK;
}

uint32_t tq_port_cycles(void)
{
    uint32_t before;
    uint32_t count;
    do {
        before = wraps;
        count = SYST_CVR;
    } while (before != wraps);
    /* The timer is back at its start one cycle after it has passed 0. */
    return before << SYST_BITS | ((0u - count) & SYST_MASK);
}

#else

#define DEMCR TQ_REGISTER(0xE000EDFCu)
#define DWT_CTRL TQ_REGISTER(0xE0001000u)
#define DWT_CYCCNT TQ_REGISTER(0xE0001004u)
#define DWT_LAR TQ_REGISTER(0xE0001FB0u)
#define DEMCR_TRCENA (1u << 24)
#define DWT_CTRL_CYCCNTENA 1u
#define DWT_LAR_UNLOCK 0xC5ACCE55u

void tq_core_start_cycles(void)
{
    DEMCR |= DEMCR_TRCENA;
    DWT_LAR = DWT_LAR_UNLOCK; /* the Cortex-M7 locks the unit, the others ignore the write */
    DWT_CYCCNT = 0u;
    DWT_CTRL |= DWT_CTRL_CYCCNTENA;
}

uint32_t tq_port_cycles(void)
{
    return DWT_CYCCNT;
}

#endif

/* Armv7-M Architecture Reference Manual (DDI 0403), B2.2.7 and B3.2.8; on a core without caches the
 * size register reads 0, and its bits in CCR are not there to be set. */
#if defined(__ARM_ARCH_7EM__)

#define CCR TQ_REGISTER(0xE000ED14u)
#define CCSIDR TQ_REGISTER(0xE000ED80u)
#define CSSELR TQ_REGISTER(0xE000ED84u)
#define ICIALLU TQ_REGISTER(0xE000EF50u)
#define DCISW TQ_REGISTER(0xE000EF60u)
#define CCR_CACHES (1u << 16 | 1u << 17)

/* The contents of a cache after reset are unknown, so every line of the data cache is dropped. */
static void drop_data_cache(void)
{
    CSSELR = 0u;
    __asm volatile("dsb" ::: "memory");
    const uint32_t size = CCSIDR;
    const uint32_t sets = (size >> 13 & 0x7FFFu) + 1u;
    const uint32_t ways = (size >> 3 & 0x3FFu) + 1u;
    for (uint32_t set = 0u; set < sets; set++) {
        for (uint32_t way = 0u; way < ways; way++) {
            DCISW = way << 30 | set << 5; /* 4 ways, lines of 32 bytes: Cortex-M7 TRM, 4.3 */
        }
    }
}

void tq_core_enable_caches(void)
{
    if ((CCR & CCR_CACHES) != 0u) {
        return; /* a boot loader has; dropping lines now would lose what they hold */
    }
    drop_data_cache();
    ICIALLU = 0u;
    __asm volatile("dsb\n\tisb" ::: "memory");
    CCR |= CCR_CACHES;
    __asm volatile("dsb\n\tisb" ::: "memory");
}

#else

void tq_core_enable_caches(void)
{
}

#endif

/* A port whose chip needs more than this brings its own. */
__attribute__((weak)) void tq_core_restart(void)
{
    __asm volatile("dsb" ::: "memory");
    AIRCR = AIRCR_VECTKEY | AIRCR_SYSRESETREQ;
    __asm volatile("dsb" ::: "memory");
    for (;;) {
    }
}

void tq_port_stack_paint(void)
{
    uint32_t *limit;
    __asm volatile("mov %0, sp" : "=r"(limit));
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
