/* maxpool2d_s16_armv7em-blocks: s16[7,9,5] -> s16[7,5,5] by  */
static TQ_NAKED void
tq_largest_16_5_10(const void *x __attribute__((unused)), void *y __attribute__((unused)), int32_t rows __attribute__((unused)), int32_t columns __attribute__((unused)), int32_t line __attribute__((unused)))
{
    __asm__ volatile(
        ".syntax unified\n"
        "push {r4-r11, lr}\n"
        "sub sp, #4\n"
        "mov r11, r1\n"
        "mov r4, #0x80008000\n"
        "mov r5, #0x80008000\n"
        "mov r6, #0x80008000\n"
        "ldr r12, [sp, #40]\n"
        "str r12, [sp]\n"
        "1:\n"
        "mov r12, r0\n"
        "mov lr, r3\n"
        "2:\n"
        "ldr r8, [r12]\n"
        "ssub16 r9, r4, r8\n"
        "sel r4, r4, r8\n"
        "ldr r8, [r12, #4]\n"
        "ssub16 r9, r5, r8\n"
        "sel r5, r5, r8\n"
        "ldr r8, [r12, #6]\n"
        "ssub16 r9, r6, r8\n"
        "sel r6, r6, r8\n"
        "addw r12, r12, #10\n"
        "subs lr, #1\n"
        "bne 2b\n"
        "ldr r12, [sp]\n"
        "add r0, r12\n"
        "subs r2, #1\n"
        "bne 1b\n"
        "str r4, [r11]\n"
        "str r5, [r11, #4]\n"
        "str r6, [r11, #6]\n"
        "add sp, #4\n"
        "pop {r4-r11, pc}\n"
    );
}


/* Windows of 7 x 9 over 7 x 9 pixels of 5 channels, 5 channels at a time. */
static void tq_maxpool2d_s16_armv7em_blocks(const int16_t *x, int16_t *y)
{
    for (int32_t r = 0; r < 7; r++) {
        const int32_t top = r * 1 - 3;
        const tq_taps rows = tq_taps_inside(top, 7, 1, 7);
        const int32_t height = rows.end - rows.first;
        const int16_t *const line = x + (top + rows.first * 1) * 45;
        for (int32_t c = 0; c < 5; c++) {
            const int32_t left = c * 2 - 4;
            const tq_taps columns = tq_taps_inside(left, 9, 1, 9);
            const int32_t width = columns.end - columns.first;
            const int16_t *const corner = line + (left + columns.first * 1) * 5;
            for (int32_t k = 0; k < 5; k += 5) {
                const int32_t at = k < 0 ? k : 0;
                tq_largest_16_5_10(corner + at, y + at, height, width, 90);
            }
            y += 5;
        }
    }
}
