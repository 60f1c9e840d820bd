/* conv2d_s16_s8_armv7em-widecolumns: s16[9,4,7], s8[7,3,3,7] -> s8[9,4,7] by requantizewide */
static TQ_NAKED void
tq_copy_loose_14(const void *from __attribute__((unused)), void *to __attribute__((unused)))
{
    __asm__ volatile(
        ".syntax unified\n"
        ".rept 3\n"
        "ldr r3, [r0], #4\n"
        "str r3, [r1], #4\n"
        ".endr\n"
        "ldrb r3, [r0]\n"
        "strb r3, [r1]\n"
        "ldrb r3, [r0, #1]\n"
        "strb r3, [r1, #1]\n"
        "bx lr\n"
    );
}


static TQ_NAKED void
tq_copy_loose_42(const void *from __attribute__((unused)), void *to __attribute__((unused)))
{
    __asm__ volatile(
        ".syntax unified\n"
        "movw r2, #2\n"
        "1:\n"
        ".rept 5\n"
        "ldr r3, [r0], #4\n"
        "str r3, [r1], #4\n"
        ".endr\n"
        "subs r2, #1\n"
        "bne 1b\n"
        "ldrb r3, [r0]\n"
        "strb r3, [r1]\n"
        "ldrb r3, [r0, #1]\n"
        "strb r3, [r1, #1]\n"
        "bx lr\n"
    );
}


static void tq_conv2d_s16_s8_requantizewide_s8_armv7em_widecolumns_column(const int16_t *x, int32_t r, int32_t c, int16_t *to)
{
    const int32_t left = c * 1 - 1;
    for (int32_t i = 0; i < 3; i++) {
        const int32_t row = r * 1 - 2 + i * 2;
        const int32_t above = row < 0 || row >= 9;
        if (!above && left >= 0 && left <= 1) {
            tq_copy_loose_42(x + (row * 4 + left) * 7, to);
            to += 21;
            continue;
        }
        for (int32_t j = 0; j < 3; j++) {
            const int32_t column = left + j * 1;
            if (above || column < 0 || column >= 4) {
                for (int32_t k = 0; k < 7; k++) {
                    to[k] = 4341;
                }
            } else {
                tq_copy_loose_14(x + (row * 4 + column) * 7, to);
            }
            to += 7;
        }
    }
}

static TQ_NAKED void
tq_collect_wide_32(const void *a __attribute__((unused)), const void *b __attribute__((unused)), const void *c __attribute__((unused)), const void *d __attribute__((unused)), void *panel __attribute__((unused)))
{
    __asm__ volatile(
        ".syntax unified\n"
        "push {r4-r8, lr}\n"
        "ldr r12, [sp, #24]\n"
        "movw r8, #8\n"
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
tq_sums_32(const uint32_t *w __attribute__((unused)), const void *panel __attribute__((unused)), int32_t *y __attribute__((unused)), const uint32_t *end __attribute__((unused)))
{
    __asm__ volatile(
        ".syntax unified\n"
        "push {r4-r11, lr}\n"
        "sub sp, #28\n"
        "movw r12, #512\n"
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
        ".rept 16\n"
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
        "ldr r10, [sp, #12]\n"
        "cmp r1, r10\n"
        "bne 2b\n"
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


static TQ_NAKED void
tq_conv2d_s16_s8_requantizewide_s8_armv7em_widecolumns_finish(const int32_t *sums __attribute__((unused)), const uint32_t *scaling __attribute__((unused)), void *y __attribute__((unused)), int32_t count __attribute__((unused)))
{
    __asm__ volatile(
        ".syntax unified\n"
        "push {r4-r11, lr}\n"
        "1:\n"
        "ldr r4, [r0], #16\n"
        "ldm r1!, {r5-r9}\n"
        "add r4, r5\n"
        "smull r10, r11, r4, r6\n"
        "smmul r12, r4, r7\n"
        "cmp r7, #0\n"
        "it mi\n"
        "addmi r12, r4\n"
        "adds r10, r12\n"
        "adc r11, r11, r12, asr #31\n"
        "add r11, r8\n"
        "asr r11, r9\n"
        "ssat r11, #8, r11\n"
        "strb r11, [r2]\n"
        "addw r2, r2, #1\n"
        "subs r3, #1\n"
        "bne 1b\n"
        "pop {r4-r11, pc}\n"
    );
}


/* Windows of 3 x 3 x 7 by 7 channels, 4 columns at a time. */
static void tq_conv2d_s16_s8_requantizewide_s8_armv7em_widecolumns(const int16_t *x, const uint32_t *w, const uint32_t *scaling, int8_t *y, void *scratch)
{
    uint32_t *const panel = scratch;
    int16_t *const columns = (int16_t *)(panel + 128);
    int32_t *const sums = (int32_t *)panel + 256;
    int32_t r = 0;
    int32_t c = 0;
    for (int32_t p = 0; p < 36; p += 4) {
        const int32_t left = 36 - p;
        const int32_t count = left < 4 ? left : 4;
        for (int32_t i = 0; i < count; i++) {
            tq_conv2d_s16_s8_requantizewide_s8_armv7em_widecolumns_column(x, r, c, columns + i * 64);
            c++;
            if (c == 4) {
                c = 0;
                r++;
            }
        }
        tq_collect_wide_32(columns, columns + 64, columns + 128, columns + 192, panel);
        tq_sums_32(w, panel, sums, w + 264);
        for (int32_t i = 0; i < count; i++) {
            tq_conv2d_s16_s8_requantizewide_s8_armv7em_widecolumns_finish(sums + i, scaling, y, 7);
            y += 7;
        }
    }
}
