/* append_s16_armv7em-runs: s16[7,13,3], s16[7,7,3] -> s16[7,13,3] by  */
static TQ_NAKED void
tq_append_s16_armv7em_runs_join(const void *a __attribute__((unused)), const void *b __attribute__((unused)), void *y __attribute__((unused)))
{
    __asm__ volatile(
        ".syntax unified\n"
        "push {r4-r11, lr}\n"
        "movw r12, #7\n"
        "9:\n"
        "movw r3, #42\n"
        "add r0, r0, r3\n"
        "ldr r4, [r0], #4\n"
        "ldr r5, [r0], #4\n"
        "ldr r6, [r0], #4\n"
        "ldr r7, [r0], #4\n"
        "ldr r8, [r0], #4\n"
        "ldr r9, [r0], #4\n"
        "ldr r10, [r0], #4\n"
        "ldr r11, [r0], #4\n"
        "str r4, [r2], #4\n"
        "str r5, [r2], #4\n"
        "str r6, [r2], #4\n"
        "str r7, [r2], #4\n"
        "str r8, [r2], #4\n"
        "str r9, [r2], #4\n"
        "str r10, [r2], #4\n"
        "str r11, [r2], #4\n"
        "ldr r4, [r0], #4\n"
        "str r4, [r2], #4\n"
        "ldr r4, [r1], #4\n"
        "ldr r5, [r1], #4\n"
        "ldr r6, [r1], #4\n"
        "ldr r7, [r1], #4\n"
        "ldr r8, [r1], #4\n"
        "ldr r9, [r1], #4\n"
        "ldr r10, [r1], #4\n"
        "ldr r11, [r1], #4\n"
        "str r4, [r2], #4\n"
        "str r5, [r2], #4\n"
        "str r6, [r2], #4\n"
        "str r7, [r2], #4\n"
        "str r8, [r2], #4\n"
        "str r9, [r2], #4\n"
        "str r10, [r2], #4\n"
        "str r11, [r2], #4\n"
        "ldr r4, [r1], #4\n"
        "ldr r5, [r1], #4\n"
        "str r4, [r2], #4\n"
        "str r5, [r2], #4\n"
        "ldrb r4, [r1], #1\n"
        "strb r4, [r2], #1\n"
        "ldrb r4, [r1], #1\n"
        "strb r4, [r2], #1\n"
        "subs r12, #1\n"
        "bne 9b\n"
        "pop {r4-r11, pc}\n"
    );
}


/* 7 row(s) of 36 bytes behind the first 42, and 42 of the other operand in turn. */
static void tq_append_s16_armv7em_runs(const int16_t *a, const int16_t *b, int16_t *y)
{
    tq_append_s16_armv7em_runs_join(a, b, y);
}
