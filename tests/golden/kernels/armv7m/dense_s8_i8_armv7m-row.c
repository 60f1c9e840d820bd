/* dense_s8_i8_armv7m-row: s8[1,64], s3[3,64] -> s32[1,3] by raw */
static TQ_NAKED void
tq_widen_64(const int8_t *x __attribute__((unused)), void *wide __attribute__((unused)))
{
    __asm__ volatile(
        ".syntax unified\n"
        "push {r4, r5}\n"
        "movw r12, #4\n"
        "1:\n"
        ".rept 4\n"
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
tq_dense_s8_s3_s32_armv7m_row_product(const uint32_t *w __attribute__((unused)), const void *x __attribute__((unused)), void *y __attribute__((unused)))
{
    __asm__ volatile(
        ".syntax unified\n"
        "push {r4-r11, lr}\n"
        "sub sp, #20\n"
        "movw r12, #256\n"
        "add r12, r12, r1\n"
        "movw r3, #1\n"
        "strd r1, r2, [sp]\n"
        "strd r12, r3, [sp, #8]\n"
        "9:\n"
        "ldm r0!, {r2-r5}\n"
        "1:\n"
        ".rept 4\n"
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
        "ldr r10, [sp, #8]\n"
        "cmp r1, r10\n"
        "bne 1b\n"
        "lsrs lr, r2, #24\n"
        "adc r3, lr, r3, lsl #8\n"
        "sbfx r2, r2, #0, #24\n"
        "lsrs lr, r4, #24\n"
        "adc r5, lr, r5, lsl #8\n"
        "sbfx r4, r4, #0, #24\n"
        "ldr r1, [sp, #4]\n"
        "stm r1!, {r2-r5}\n"
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


/* 1 row(s) of 64 inputs by 3 channels, four channels at a time. */
static void tq_dense_s8_s3_s32_armv7m_row(const int8_t *x, const uint32_t *w, int32_t *y, void *scratch)
{
    int32_t *const all = (int32_t *)scratch + 64;
    for (int32_t r = 0; r < 1; r++) {
        tq_widen_64(x + r * 64, scratch);
        tq_dense_s8_s3_s32_armv7m_row_product(w, scratch, all);
        for (int32_t o = 0; o < 3; o++) {
            y[r * 3 + o] = all[o];
        }
    }
}
