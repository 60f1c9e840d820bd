/* concatenate_s16_armv7em-runs: s16[13,8,1], s16[13,8,1] -> s16[13,8,2] by  */
static TQ_NAKED void
tq_concatenate_s16_armv7em_runs_join(const void *a __attribute__((unused)), const void *b __attribute__((unused)), void *y __attribute__((unused)))
{
    __asm__ volatile(
        ".syntax unified\n"
        "push {r4-r11, lr}\n"
        "movw r12, #104\n"
        "9:\n"
        "ldrb r4, [r0], #1\n"
        "strb r4, [r2], #1\n"
        "ldrb r4, [r0], #1\n"
        "strb r4, [r2], #1\n"
        "ldrb r4, [r1], #1\n"
        "strb r4, [r2], #1\n"
        "ldrb r4, [r1], #1\n"
        "strb r4, [r2], #1\n"
        "subs r12, #1\n"
        "bne 9b\n"
        "pop {r4-r11, pc}\n"
    );
}


/* 104 row(s) of 2 bytes, and 2 of the other operand in turn. */
static void tq_concatenate_s16_armv7em_runs(const int16_t *a, const int16_t *b, int16_t *y)
{
    tq_concatenate_s16_armv7em_runs_join(a, b, y);
}
