/* conv2d_s16_s8_armv7em-widewords: s16[3,9,8], s8[16,1,4,8] -> s16[3,6,16] by requantizewide */
static TQ_NAKED void
tq_copy_loose_16(const void *from __attribute__((unused)), void *to __attribute__((unused)))
{
    __asm__ volatile(
        ".syntax unified\n"
        ".rept 4\n"
        "ldr r3, [r0], #4\n"
        "str r3, [r1], #4\n"
        ".endr\n"
        "bx lr\n"
    );
}


static TQ_NAKED void
tq_copy_loose_64(const void *from __attribute__((unused)), void *to __attribute__((unused)))
{
    __asm__ volatile(
        ".syntax unified\n"
        "movw r2, #2\n"
        "1:\n"
        ".rept 8\n"
        "ldr r3, [r0], #4\n"
        "str r3, [r1], #4\n"
        ".endr\n"
        "subs r2, #1\n"
        "bne 1b\n"
        "bx lr\n"
    );
}


static void tq_conv2d_s16_s8_requantizewide_s16_armv7em_widewords_column(const int16_t *x, int32_t r, int32_t c, int16_t *to)
{
    const int32_t left = c * 1 - 0;
    for (int32_t i = 0; i < 1; i++) {
        const int32_t row = r * 1 - 0 + i * 1;
        const int32_t above = row < 0 || row >= 3;
        if (!above && left >= 0 && left <= 5) {
            tq_copy_loose_64(x + (row * 9 + left) * 8, to);
            to += 32;
            continue;
        }
        for (int32_t j = 0; j < 4; j++) {
            const int32_t column = left + j * 1;
            if (above || column < 0 || column >= 9) {
                for (int32_t k = 0; k < 8; k++) {
                    to[k] = -14164;
                }
            } else {
                tq_copy_loose_16(x + (row * 9 + column) * 8, to);
            }
            to += 8;
        }
    }
}

static TQ_NAKED void
tq_conv2d_s16_s8_requantizewide_s16_armv7em_widewords_product(const uint32_t *w __attribute__((unused)), const void *x __attribute__((unused)), int32_t *y __attribute__((unused)))
{
    __asm__ volatile(
        ".syntax unified\n"
        "push {r4-r11, lr}\n"
        "sub sp, #12\n"
        "strd r1, r2, [sp]\n"
        "movw r3, #4\n"
        "str r3, [sp, #8]\n"
        "9:\n"
        "ldm r0!, {r2-r5}\n"
        "addw r12, r1, #64\n"
        "1:\n"
        ".rept 2\n"
        "ldrd r6, r7, [r1], #8\n"
        "ldm r0!, {r8-r11}\n"
        "sxtb16 lr, r8\n"
        "smlad r2, r6, lr, r2\n"
        "sxtb16 lr, r8, ror #8\n"
        "smlad r2, r7, lr, r2\n"
        "sxtb16 lr, r9\n"
        "smlad r3, r6, lr, r3\n"
        "sxtb16 lr, r9, ror #8\n"
        "smlad r3, r7, lr, r3\n"
        "sxtb16 lr, r10\n"
        "smlad r4, r6, lr, r4\n"
        "sxtb16 lr, r10, ror #8\n"
        "smlad r4, r7, lr, r4\n"
        "sxtb16 lr, r11\n"
        "smlad r5, r6, lr, r5\n"
        "sxtb16 lr, r11, ror #8\n"
        "smlad r5, r7, lr, r5\n"
        ".endr\n"
        "cmp r1, r12\n"
        "bne 1b\n"
        "ldrd r1, r12, [sp]\n"
        "stm r12!, {r2-r5}\n"
        "ldr r3, [sp, #8]\n"
        "str r12, [sp, #4]\n"
        "subs r3, #1\n"
        "str r3, [sp, #8]\n"
        "bne 9b\n"
        "add sp, #12\n"
        "pop {r4-r11, pc}\n"
    );
}


static TQ_NAKED void
tq_conv2d_s16_s8_requantizewide_s16_armv7em_widewords_finish(const int32_t *sums __attribute__((unused)), const uint32_t *scaling __attribute__((unused)), void *y __attribute__((unused)), int32_t count __attribute__((unused)))
{
    __asm__ volatile(
        ".syntax unified\n"
        "push {r4-r11, lr}\n"
        "1:\n"
        "ldr r4, [r0], #4\n"
        "ldm r1!, {r5-r9}\n"
        "add r4, r5\n"
        "smmla r11, r4, r6, r8\n"
        "asr r11, r9\n"
        "ssat r11, #16, r11\n"
        "strh r11, [r2]\n"
        "addw r2, r2, #2\n"
        "subs r3, #1\n"
        "bne 1b\n"
        "pop {r4-r11, pc}\n"
    );
}


/* 18 row(s) of 32 inputs by 16 channels; sums over 32 inputs at a time. */
static void tq_conv2d_s16_s8_requantizewide_s16_armv7em_widewords(const int16_t *x, const uint32_t *w, const uint32_t *scaling, int16_t *y, void *scratch)
{
    uint32_t *const inputs = scratch;
    int32_t *const sums = (int32_t *)scratch + 16;
    for (int32_t r = 0; r < 18; r++) {
        tq_conv2d_s16_s8_requantizewide_s16_armv7em_widewords_column(x, r / 6, r % 6, (int16_t *)inputs);
        for (int32_t i = 0; i < 1; i++) {
            tq_conv2d_s16_s8_requantizewide_s16_armv7em_widewords_product(w + i * 144, inputs + i * 16, sums + i * 16);
        }
        tq_conv2d_s16_s8_requantizewide_s16_armv7em_widewords_finish(sums, scaling, y, 16);
        y += 16;
    }
}
