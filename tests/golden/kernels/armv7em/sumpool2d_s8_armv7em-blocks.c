/* sumpool2d_s8_armv7em-blocks: s8[9,7,15] -> s4[1,3,15] by roundeven */
static TQ_NAKED void
tq_add_up_15_30(const void *x __attribute__((unused)), int32_t *sums __attribute__((unused)), int32_t rows __attribute__((unused)), int32_t columns __attribute__((unused)), int32_t line __attribute__((unused)))
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
        "mov r8, #0\n"
        "mov r9, #0\n"
        "mov r10, #0\n"
        "mov r11, #0\n"
        "ldr r12, [sp, #44]\n"
        "str r12, [sp]\n"
        "1:\n"
        "mov r12, r0\n"
        "mov lr, r3\n"
        "2:\n"
        "ldr r1, [r12]\n"
        "sxtab16 r4, r4, r1\n"
        "sxtab16 r5, r5, r1, ror #8\n"
        "ldr r1, [r12, #4]\n"
        "sxtab16 r6, r6, r1\n"
        "sxtab16 r7, r7, r1, ror #8\n"
        "ldr r1, [r12, #8]\n"
        "sxtab16 r8, r8, r1\n"
        "sxtab16 r9, r9, r1, ror #8\n"
        "ldr r1, [r12, #11]\n"
        "sxtab16 r10, r10, r1\n"
        "sxtab16 r11, r11, r1, ror #8\n"
        "addw r12, r12, #30\n"
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
        "add r12, lr, #16\n"
        "stm r12, {r0-r3}\n"
        "sxth r0, r8\n"
        "sxth r1, r9\n"
        "asr r2, r8, #16\n"
        "asr r3, r9, #16\n"
        "add r12, lr, #32\n"
        "stm r12, {r0-r3}\n"
        "sxth r0, r10\n"
        "sxth r1, r11\n"
        "asr r2, r10, #16\n"
        "asr r3, r11, #16\n"
        "add r12, lr, #44\n"
        "stm r12, {r0-r3}\n"
        "add sp, #8\n"
        "pop {r4-r11, pc}\n"
    );
}


/* Windows of 3 x 1 over 9 x 7 pixels of 15 channels, 15 channels at a time. */
static void tq_sumpool2d_s8_roundeven_s4_armv7em_blocks(const int8_t *x, const tq_roundeven_epilogue *epilogue, uint8_t *y, void *scratch)
{
    int32_t *const all = scratch;
    for (int32_t r = 0; r < 1; r++) {
        const int32_t top = r * 3 - 0;
        const tq_taps rows = tq_taps_inside(top, 3, 3, 9);
        const int32_t height = rows.end - rows.first;
        const int8_t *const line = x + (top + rows.first * 3) * 105;
        for (int32_t c = 0; c < 3; c++) {
            const int32_t left = c * 3 - 0;
            const tq_taps columns = tq_taps_inside(left, 1, 2, 7);
            const int32_t width = columns.end - columns.first;
            const int8_t *const corner = line + (left + columns.first * 2) * 15;
            for (int32_t k = 0; k < 15; k += 15) {
                const int32_t at = k < 0 ? k : 0;
                int32_t *const sums = all + at;
                tq_add_up_15_30(corner + at, sums, height, width, 315);
            }
            uint32_t word = 0;
            for (int32_t k = 0; k < 15; k++) {
                word = tq_roundeven_s4(epilogue, y, k, 15, word, all[k] - -153);
            }
            y += 8;
        }
    }
}
