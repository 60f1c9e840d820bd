/* conv2d_s16_s8_armv7em-widewords: s16[1,2,1], s8[1,1,3,1] -> s8[1,2,1] by requantizewide */
static void tq_conv2d_s16_s8_requantizewide_s8_armv7em_widewords_column(const int16_t *x, int32_t r, int32_t c, int16_t *to)
{
    const int32_t left = c * 1 - 1;
    for (int32_t i = 0; i < 1; i++) {
        const int32_t row = r * 1 - 0 + i * 3;
        const int32_t above = row < 0 || row >= 1;
        for (int32_t j = 0; j < 3; j++) {
            const int32_t column = left + j * 1;
            if (above || column < 0 || column >= 2) {
                for (int32_t k = 0; k < 1; k++) {
                    to[k] = -16548;
                }
            } else {
                for (int32_t k = 0; k < 1; k++) {
                    to[k] = x[(row * 2 + column) * 1 + k];
                }
            }
            to += 1;
        }
    }
}

static void tq_fill(uint32_t *to, int32_t words, uint32_t value)
{
    for (int32_t i = 0; i < words; i++) {
        to[i] = value;
    }
}

static TQ_NAKED void
tq_conv2d_s16_s8_requantizewide_s8_armv7em_widewords_product(const uint32_t *w __attribute__((unused)), const void *x __attribute__((unused)), int32_t *y __attribute__((unused)))
{
    __asm__ volatile(
        ".syntax unified\n"
        "push {r4-r11, lr}\n"
        "sub sp, #12\n"
        "strd r1, r2, [sp]\n"
        "movw r3, #1\n"
        "str r3, [sp, #8]\n"
        "9:\n"
        "ldm r0!, {r2-r5}\n"
        "addw r12, r1, #8\n"
        "1:\n"
        ".rept 1\n"
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
tq_conv2d_s16_s8_requantizewide_s8_armv7em_widewords_finish(const int32_t *sums __attribute__((unused)), const uint32_t *scaling __attribute__((unused)), void *y __attribute__((unused)), int32_t count __attribute__((unused)))
{
    __asm__ volatile(
        ".syntax unified\n"
        "push {r4-r11, lr}\n"
        "1:\n"
        "ldr r4, [r0], #4\n"
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
        "usat r11, #7, r11\n"
        "strb r11, [r2]\n"
        "addw r2, r2, #1\n"
        "subs r3, #1\n"
        "bne 1b\n"
        "pop {r4-r11, pc}\n"
    );
}


/* 2 row(s) of 3 inputs by 1 channels; sums over 4 inputs at a time. */
static void tq_conv2d_s16_s8_requantizewide_s8_armv7em_widewords(const int16_t *x, const uint32_t *w, const uint32_t *scaling, int8_t *y, void *scratch)
{
    uint32_t *const inputs = scratch;
    int32_t *const sums = (int32_t *)scratch + 2;
    tq_fill(inputs + 1, 1, 0);
    for (int32_t r = 0; r < 2; r++) {
        tq_conv2d_s16_s8_requantizewide_s8_armv7em_widewords_column(x, r / 2, r % 2, (int16_t *)inputs);
        for (int32_t i = 0; i < 1; i++) {
            tq_conv2d_s16_s8_requantizewide_s8_armv7em_widewords_product(w + i * 8, inputs + i * 2, sums + i * 4);
        }
        tq_conv2d_s16_s8_requantizewide_s8_armv7em_widewords_finish(sums, scaling, y, 1);
        y += 1;
    }
}
