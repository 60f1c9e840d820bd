/* conv2d_s16_b1_armv7em-sumscolumns: s16[2,7,1], b1[1,4,4,1] -> s16[1,7,1] by requantizewide */
static void tq_conv2d_s16_b1_requantizewide_s16_armv7em_sumscolumns_column(const int16_t *x, int32_t r, int32_t c, int16_t *to)
{
    const int32_t left = c * 1 - 4;
    for (int32_t i = 0; i < 4; i++) {
        const int32_t row = r * 3 - 1 + i * 1;
        const int32_t above = row < 0 || row >= 2;
        for (int32_t j = 0; j < 4; j++) {
            const int32_t column = left + j * 3;
            if (above || column < 0 || column >= 7) {
                for (int32_t k = 0; k < 1; k++) {
                    to[k] = -369;
                }
            } else {
                for (int32_t k = 0; k < 1; k++) {
                    to[k] = x[(row * 7 + column) * 1 + k];
                }
            }
            to += 1;
        }
    }
}

static TQ_NAKED void
tq_collect_wide_8(const void *a __attribute__((unused)), const void *b __attribute__((unused)), const void *c __attribute__((unused)), const void *d __attribute__((unused)), void *panel __attribute__((unused)))
{
    __asm__ volatile(
        ".syntax unified\n"
        "push {r4-r8, lr}\n"
        "ldr r12, [sp, #24]\n"
        "movw r8, #2\n"
        "1:\n"
        ".rept 4\n"
        "ldr r4, [r0], #4\n"
        "ldr r5, [r1], #4\n"
        "ldr r6, [r2], #4\n"
        "ldr r7, [r3], #4\n"
        "stm r12!, {r4-r7}\n"
        ".endr\n"
        "subs r8, #1\n"
        "bne 1b\n"
        "pop {r4-r8, pc}\n"
    );
}


static TQ_NAKED void
tq_sums_8(const uint32_t *w __attribute__((unused)), const void *panel __attribute__((unused)), int32_t *y __attribute__((unused)), const uint32_t *end __attribute__((unused)))
{
    __asm__ volatile(
        ".syntax unified\n"
        "push {r4-r11, lr}\n"
        "sub sp, #28\n"
        "movw r12, #128\n"
        "add r12, r12, r1\n"
        "strd r1, r2, [sp]\n"
        "strd r3, r12, [sp, #8]\n"
        "1:\n"
        "ldrd r2, r6, [r0], #8\n"
        "mov r3, r2\n"
        "mov r4, r2\n"
        "mov r5, r2\n"
        "mov r7, r6\n"
        "mov r8, r6\n"
        "mov r9, r6\n"
        "2:\n"
        ".rept 8\n"
        "ldrd r10, r11, [r0], #8\n"
        "ldrd r12, lr, [r1], #8\n"
        "smlad r2, r12, r10, r2\n"
        "smlad r3, lr, r10, r3\n"
        "smlad r6, r12, r11, r6\n"
        "smlad r7, lr, r11, r7\n"
        "ldrd r12, lr, [r1], #8\n"
        "smlad r4, r12, r10, r4\n"
        "smlad r5, lr, r10, r5\n"
        "smlad r8, r12, r11, r8\n"
        "smlad r9, lr, r11, r9\n"
        ".endr\n"
        "ldr lr, [sp, #4]\n"
        "stm lr!, {r2-r9}\n"
        "ldr r1, [sp]\n"
        "ldr r12, [sp, #8]\n"
        "str lr, [sp, #4]\n"
        "cmp r0, r12\n"
        "bne 1b\n"
        "add sp, #28\n"
        "pop {r4-r11, pc}\n"
    );
}


/* Windows of 4 x 4 x 1 by 1 channels, 4 columns at a time. */
static void tq_conv2d_s16_b1_requantizewide_s16_armv7em_sumscolumns(const int16_t *x, const uint32_t *w, const tq_requantizewide_epilogue *epilogue, int16_t *y, void *scratch)
{
    uint32_t *const panel = scratch;
    int16_t *const columns = (int16_t *)(panel + 32);
    int32_t *const sums = (int32_t *)panel + 64;
    int32_t r = 0;
    int32_t c = 0;
    for (int32_t p = 0; p < 7; p += 4) {
        const int32_t left = 7 - p;
        const int32_t count = left < 4 ? left : 4;
        for (int32_t i = 0; i < count; i++) {
            tq_conv2d_s16_b1_requantizewide_s16_armv7em_sumscolumns_column(x, r, c, columns + i * 16);
            c++;
            if (c == 7) {
                c = 0;
                r++;
            }
        }
        tq_collect_wide_8(columns, columns + 16, columns + 32, columns + 48, panel);
        tq_sums_8(w, panel, sums, w + 18);
        for (int32_t i = 0; i < count; i++) {
            uint32_t word = 0;
            for (int32_t o = 0; o < 1; o++) {
                int64_t acc = sums[o * 4 + i];
                word = tq_requantizewide_s16(epilogue, y, o, 1, word, acc);
            }
            y += 1;
        }
    }
}
