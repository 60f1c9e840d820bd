/* tfliteaveragepool2d_s8_armv7em-blocks: s8[1,345,5] -> s8[1,343,5] by  */
static TQ_NAKED void
tq_add_up_5_5(const void *x __attribute__((unused)), int32_t *sums __attribute__((unused)), int32_t rows __attribute__((unused)), int32_t columns __attribute__((unused)), int32_t line __attribute__((unused)))
{
    __asm__ volatile(
        ".syntax unified\n"
        "push {r4-r11, lr}\n"
        "sub sp, #8\n"
        "str r1, [sp, #4]\n"
        "mov r4, #0\n"
        "mov r5, #0\n"
        "mov r6, #0\n"
        "mov r7, #0\n"
        "ldr r12, [sp, #44]\n"
        "str r12, [sp]\n"
        "1:\n"
        "mov r12, r0\n"
        "mov lr, r3\n"
        "2:\n"
        "ldr r1, [r12]\n"
        "sxtab16 r4, r4, r1\n"
        "sxtab16 r5, r5, r1, ror #8\n"
        "ldr r1, [r12, #1]\n"
        "sxtab16 r6, r6, r1\n"
        "sxtab16 r7, r7, r1, ror #8\n"
        "addw r12, r12, #5\n"
        "subs lr, #1\n"
        "bne 2b\n"
        "ldr r12, [sp]\n"
        "add r0, r12\n"
        "subs r2, #1\n"
        "bne 1b\n"
        "ldr lr, [sp, #4]\n"
        "sxth r0, r4\n"
        "sxth r1, r5\n"
        "asr r2, r4, #16\n"
        "asr r3, r5, #16\n"
        "add r12, lr, #0\n"
        "stm r12, {r0-r3}\n"
        "sxth r0, r6\n"
        "sxth r1, r7\n"
        "asr r2, r6, #16\n"
        "asr r3, r7, #16\n"
        "add r12, lr, #4\n"
        "stm r12, {r0-r3}\n"
        "add sp, #8\n"
        "pop {r4-r11, pc}\n"
    );
}


/* Windows of 1 x 3 over 1 x 345 pixels of 5 channels, 5 channels at a time. */
static void tq_tfliteaveragepool2d_s8_armv7em_blocks(const int8_t *x, int8_t *y, void *scratch)
{
    int32_t *const all = scratch;
    for (int32_t r = 0; r < 1; r++) {
        const int32_t top = r * 1 - 0;
        const tq_taps rows = tq_taps_inside(top, 1, 1, 1);
        const int32_t height = rows.end - rows.first;
        const int8_t *const line = x + (top + rows.first * 1) * 1725;
        for (int32_t c = 0; c < 343; c++) {
            const int32_t left = c * 1 - 0;
            const tq_taps columns = tq_taps_inside(left, 3, 1, 345);
            const int32_t width = columns.end - columns.first;
            const int8_t *const corner = line + (left + columns.first * 1) * 5;
            const int32_t taps = height * width;
            for (int32_t k = 0; k < 5; k += 5) {
                const int32_t at = k < 0 ? k : 0;
                int32_t *const sums = all;
                tq_add_up_5_5(corner + at, sums, height, width, 1725);
                for (int32_t i = 0; i < 5; i++) {
                    y[at + i] = (int8_t)tq_mean_away(sums[i], taps, -3, 95);
                }
            }
            y += 5;
        }
    }
}
