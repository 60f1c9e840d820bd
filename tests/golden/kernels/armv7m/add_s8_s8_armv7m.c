/* add_s8_s8_armv7m: s8[7,7,17], s8[7,7,17] -> s8[7,7,17] by requantize */
/* 833 sums. Codes are read before their sum is written: y may be x_1 or x_2. */
static TQ_NAKED void
tq_add_s8_s8_s8_armv7m(const int8_t *x_1 __attribute__((unused)), const int8_t *x_2 __attribute__((unused)), int8_t *y __attribute__((unused)))
{
    __asm__ volatile(
        ".syntax unified\n"
        "push {r4-r8, lr}\n"
        "movw r5, #40665\n"
        "movt r5, #65535\n"
        "movw r6, #14207\n"
        "movw r7, #57280\n"
        "movt r7, #65373\n"
        "movw r8, #62455\n"
        "movt r8, #23324\n"
        "movw r12, #104\n"
        "1:\n"
        ".rept 8\n"
        "ldrsb r3, [r0], #1\n"
        "ldrsb r4, [r1], #1\n"
        "mla r3, r3, r5, r7\n"
        "mla r3, r4, r6, r3\n"
        "smull r4, r3, r3, r8\n"
        "sub r3, r3, #381681664\n"
        "ssat r3, #8, r3, asr #23\n"
        "strb r3, [r2], #1\n"
        ".endr\n"
        "subs r12, #1\n"
        "bne 1b\n"
        "ldrsb r3, [r0], #1\n"
        "ldrsb r4, [r1], #1\n"
        "mla r3, r3, r5, r7\n"
        "mla r3, r4, r6, r3\n"
        "smull r4, r3, r3, r8\n"
        "sub r3, r3, #381681664\n"
        "ssat r3, #8, r3, asr #23\n"
        "strb r3, [r2], #1\n"
        "pop {r4-r8, pc}\n"
    );
}
