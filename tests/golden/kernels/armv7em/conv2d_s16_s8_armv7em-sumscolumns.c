/* conv2d_s16_s8_armv7em-sumscolumns: s16[16,12,2], s8[2,3,3,2] -> s16[6,10,2] by requantizewide */
static TQ_NAKED void
tq_copy_loose_12(const void *from __attribute__((unused)), void *to __attribute__((unused)))
{
    __asm__ volatile(
        ".syntax unified\n"
        ".rept 3\n"
        "ldr r3, [r0], #4\n"
        "str r3, [r1], #4\n"
        ".endr\n"
        "bx lr\n"
    );
}


static void tq_conv2d_s16_s8_requantizewide_s16_armv7em_sumscolumns_column(const int16_t *x, int32_t r, int32_t c, int16_t *to)
{
    const int32_t left = c * 1 - 0;
    for (int32_t i = 0; i < 3; i++) {
        const int32_t row = r * 2 - 0 + i * 2;
        const int32_t above = row < 0 || row >= 16;
        if (!above && left >= 0 && left <= 9) {
            tq_copy_loose_12(x + (row * 12 + left) * 2, to);
            to += 6;
            continue;
        }
        for (int32_t j = 0; j < 3; j++) {
            const int32_t column = left + j * 1;
            if (above || column < 0 || column >= 12) {
                for (int32_t k = 0; k < 2; k++) {
                    to[k] = 19012;
                }
            } else {
                for (int32_t k = 0; k < 2; k++) {
                    to[k] = x[(row * 12 + column) * 2 + k];
                }
            }
            to += 2;
        }
    }
}

static TQ_NAKED void
tq_collect_wide_10(const void *a __attribute__((unused)), const void *b __attribute__((unused)), const void *c __attribute__((unused)), const void *d __attribute__((unused)), void *panel __attribute__((unused)))
{
    __asm__ volatile(
        ".syntax unified\n"
        "push {r4-r8, lr}\n"
        "ldr r12, [sp, #24]\n"
        "movw r8, #2\n"
        "1:\n"
        ".rept 5\n"
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
tq_sums_10(const uint32_t *w __attribute__((unused)), const void *panel __attribute__((unused)), int32_t *y __attribute__((unused)), const uint32_t *end __attribute__((unused)))
{
    __asm__ volatile(
        ".syntax unified\n"
        "push {r4-r11, lr}\n"
        "sub sp, #28\n"
        "movw r12, #160\n"
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
        ".rept 10\n"
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


/* Windows of 3 x 3 x 2 by 2 channels, 4 columns at a time. */
static void tq_conv2d_s16_s8_requantizewide_s16_armv7em_sumscolumns(const int16_t *x, const uint32_t *w, const tq_requantizewide_epilogue *epilogue, int16_t *y, void *scratch)
{
    uint32_t *const panel = scratch;
    int16_t *const columns = (int16_t *)(panel + 40);
    int32_t *const sums = (int32_t *)panel + 80;
    int32_t r = 0;
    int32_t c = 0;
    for (int32_t p = 0; p < 60; p += 4) {
        const int32_t left = 60 - p;
        const int32_t count = left < 4 ? left : 4;
        for (int32_t i = 0; i < count; i++) {
            tq_conv2d_s16_s8_requantizewide_s16_armv7em_sumscolumns_column(x, r, c, columns + i * 20);
            c++;
            if (c == 10) {
                c = 0;
                r++;
            }
        }
        tq_collect_wide_10(columns, columns + 20, columns + 40, columns + 60, panel);
        tq_sums_10(w, panel, sums, w + 22);
        for (int32_t i = 0; i < count; i++) {
            uint32_t word = 0;
            for (int32_t o = 0; o < 2; o++) {
                int64_t acc = sums[o * 4 + i];
                word = tq_requantizewide_s16(epilogue, y, o, 2, word, acc);
            }
            y += 2;
        }
    }
}
