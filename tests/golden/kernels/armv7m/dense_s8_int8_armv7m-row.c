/* dense_s8_int8_armv7m-row: s8[2,4], s8[1,4] -> s8[2,1] by requantize */
static TQ_NAKED void
tq_widen_4(const int8_t *x __attribute__((unused)), void *wide __attribute__((unused)))
{
    __asm__ volatile(
        ".syntax unified\n"
        "push {r4, r5}\n"
        "movw r12, #1\n"
        "1:\n"
        ".rept 1\n"
        "ldrsb r2, [r0], #1\n"
        "ldrsb r3, [r0], #1\n"
        "ldrsb r4, [r0], #1\n"
        "ldrsb r5, [r0], #1\n"
        "stm r1!, {r2-r5}\n"
        ".endr\n"
        "subs r12, #1\n"
        "bne 1b\n"
        "pop {r4, r5}\n"
        "bx lr\n"
    );
}


static TQ_NAKED void
tq_dense_s8_s8_s8_armv7m_row_product(const uint32_t *w __attribute__((unused)), const void *x __attribute__((unused)), void *y __attribute__((unused)))
{
    __asm__ volatile(
        ".syntax unified\n"
        "push {r4-r11, lr}\n"
        "sub sp, #20\n"
        "movw r12, #16\n"
        "add r12, r12, r1\n"
        "movw r3, #1\n"
        "strd r1, r2, [sp]\n"
        "strd r12, r3, [sp, #8]\n"
        "9:\n"
        "ldm r0!, {r2-r5}\n"
        "1:\n"
        ".rept 1\n"
        "ldm r1!, {r10, r11, r12, lr}\n"
        "ldm r0!, {r6-r9}\n"
        "smlal r2, r3, r10, r6\n"
        "smlal r4, r5, r10, r7\n"
        "smlal r2, r3, r11, r8\n"
        "smlal r4, r5, r11, r9\n"
        "ldm r0!, {r6-r9}\n"
        "smlal r2, r3, r12, r6\n"
        "smlal r4, r5, r12, r7\n"
        "smlal r2, r3, lr, r8\n"
        "smlal r4, r5, lr, r9\n"
        ".endr\n"
        "lsrs lr, r2, #24\n"
        "adc r3, lr, r3, lsl #8\n"
        "sbfx r2, r2, #0, #24\n"
        "lsrs lr, r4, #24\n"
        "adc r5, lr, r5, lsl #8\n"
        "sbfx r4, r4, #0, #24\n"
        "ldr r1, [sp, #4]\n"
        "ldm r0!, {r6-r9}\n"
        "smull lr, r2, r2, r6\n"
        "add r2, r2, #8320\n"
        "usat r2, #31, r2, asr #8\n"
        "rsb r2, r2, #130\n"
        "usat r2, #31, r2\n"
        "rsb r2, r2, #14\n"
        "strb r2, [r1], #1\n"
        "smull lr, r3, r3, r7\n"
        "add r3, r3, #8320\n"
        "usat r3, #31, r3, asr #8\n"
        "rsb r3, r3, #130\n"
        "usat r3, #31, r3\n"
        "rsb r3, r3, #14\n"
        "strb r3, [r1], #1\n"
        "smull lr, r4, r4, r8\n"
        "add r4, r4, #8320\n"
        "usat r4, #31, r4, asr #8\n"
        "rsb r4, r4, #130\n"
        "usat r4, #31, r4\n"
        "rsb r4, r4, #14\n"
        "strb r4, [r1], #1\n"
        "smull lr, r5, r5, r9\n"
        "add r5, r5, #8320\n"
        "usat r5, #31, r5, asr #8\n"
        "rsb r5, r5, #130\n"
        "usat r5, #31, r5\n"
        "rsb r5, r5, #14\n"
        "strb r5, [r1], #1\n"
        "ldr r10, [sp, #12]\n"
        "str r1, [sp, #4]\n"
        "ldr r1, [sp]\n"
        "subs r10, #1\n"
        "str r10, [sp, #12]\n"
        "bne 9b\n"
        "add sp, #20\n"
        "pop {r4-r11, pc}\n"
    );
}


/* 2 row(s) of 4 inputs by 1 channels, four channels at a time. */
static void tq_dense_s8_s8_s8_armv7m_row(const int8_t *x, const uint32_t *w, int8_t *y, void *scratch)
{
    int8_t *const all = (int8_t *)scratch + 16;
    for (int32_t r = 0; r < 2; r++) {
        tq_widen_4(x + r * 4, scratch);
        tq_dense_s8_s8_s8_armv7m_row_product(w, scratch, all);
        for (int32_t o = 0; o < 1; o++) {
            y[r * 1 + o] = all[o];
        }
    }
}
