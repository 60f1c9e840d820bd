/* depthwise2d_s16_s8_armv7em-sumsstrips: s16[1,9,15], s8[1,4,15] -> s16[1,3,15] by requantizewide */
static void tq_fill(uint32_t *to, int32_t words, uint32_t value)
{
    for (int32_t i = 0; i < words; i++) {
        to[i] = value;
    }
}

static void tq_expand_2_1(const uint32_t *from, int16_t *to)
{
    for (int32_t i = 0; i < 1; i++) {
        uint32_t fields = from[i];
        for (int32_t k = 0; k < 16; k++) {
            const uint32_t low = fields & 3u;
            *to++ = (int16_t)((int32_t)(low ^ 2u) - 2);
            fields >>= 2;
        }
    }
}

static TQ_NAKED void
tq_spread_line_16_9_30_20(const void *from __attribute__((unused)), void *to __attribute__((unused)))
{
    __asm__ volatile(
        ".syntax unified\n"
        "push {r4-r11, lr}\n"
        "addw r2, r1, #20\n"
        "addw r3, r2, #20\n"
        "addw r12, r3, #20\n"
        "movw lr, #4\n"
        "1:\n"
        "ldr r5, [r0, #4]\n"
        "ldr r4, [r0], #30\n"
        "ldr r7, [r0, #4]\n"
        "ldr r6, [r0], #30\n"
        "pkhbt r8, r4, r6, lsl #16\n"
        "pkhtb r9, r6, r4, asr #16\n"
        "pkhbt r10, r5, r7, lsl #16\n"
        "pkhtb r11, r7, r5, asr #16\n"
        "str r8, [r1], #4\n"
        "str r9, [r2], #4\n"
        "str r10, [r3], #4\n"
        "str r11, [r12], #4\n"
        "subs lr, #1\n"
        "bne 1b\n"
        "ldrsh r4, [r0]\n"
        "ldrsh r5, [r0, #2]\n"
        "ldrsh r6, [r0, #4]\n"
        "ldrsh r7, [r0, #6]\n"
        "strh r4, [r1]\n"
        "strh r5, [r2]\n"
        "strh r6, [r3]\n"
        "strh r7, [r12]\n"
        "pop {r4-r11, pc}\n"
    );
}


static TQ_NAKED void
tq_depthwise2d_s16_s8_requantizewide_s16_armv7em_sumsstrips_sums(const int16_t *strip __attribute__((unused)), void *y __attribute__((unused)), const uint32_t *record __attribute__((unused)), int32_t lines __attribute__((unused)), const int16_t *weights __attribute__((unused)))
{
    __asm__ volatile(
        ".syntax unified\n"
        "push {r4-r11, lr}\n"
        "sub sp, #36\n"
        "ldr r12, [sp, #72]\n"
        "strd r0, r1, [sp, #8]\n"
        "strd r12, r2, [sp, #16]\n"
        "str r3, [sp, #24]\n"
        "9:\n"
        "strd r0, r1, [sp]\n"
        "8:\n"
        "ldrd r1, r2, [sp, #16]\n"
        "ldr r4, [r2]\n"
        "mov r5, r4\n"
        "mov r6, r4\n"
        "ldm r1!, {r2, r3}\n"
        "ldr r11, [r0, #0]\n"
        "smlad r4, r11, r2, r4\n"
        "ldr r11, [r0, #4]\n"
        "smlad r5, r11, r2, r5\n"
        "smlad r4, r11, r3, r4\n"
        "ldr r11, [r0, #8]\n"
        "smlad r6, r11, r2, r6\n"
        "smlad r5, r11, r3, r5\n"
        "ldr r11, [r0, #12]\n"
        "smlad r6, r11, r3, r6\n"
        "ldr r12, [sp, #4]\n"
        "stm r12, {r4, r5, r6}\n"
        "ldrd r0, r1, [sp, #8]\n"
        "ldr r3, [sp, #24]\n"
        "addw r0, r0, #60\n"
        "addw r1, r1, #12\n"
        "strd r0, r1, [sp, #8]\n"
        "subs r3, #1\n"
        "str r3, [sp, #24]\n"
        "bne 9b\n"
        "add sp, #36\n"
        "pop {r4-r11, pc}\n"
    );
}


/* 1 x 4 windows over 1 x 9 pixels of 15 channels, 1 of 1 lines of outputs at a time. */
static void tq_depthwise2d_s16_s8_requantizewide_s16_armv7em_sumsstrips(const int16_t *x, const uint32_t *w, const tq_requantizewide_epilogue *epilogue, int16_t *y, void *scratch)
{
    int16_t *const expanded = scratch;
    uint32_t *const words = (uint32_t *)scratch + 8;
    int16_t *const strips = (int16_t *)words;
    int32_t *const sums = (int32_t *)scratch + 28;
    tq_fill(words, 20, 1643340275u);
    for (int32_t channel = 0; channel < 15; channel += 4) {
        const int32_t c = channel < 11 ? channel : 11;
        int32_t have = 0;
        for (int32_t r = 0; r < 1; r += 1) {
            const int32_t left = 1 - r;
            const int32_t band = left < 1 ? left : 1;
            const int32_t need = (band - 1) * 3 + 1;
            have = 0;
            for (int32_t i = have; i < need; i++) {
                const int32_t from = r * 3 + i - 0;
                int16_t *const to = strips + i * 10;
                if (from < 0 || from >= 1) {
                    for (int32_t k = 0; k < 4; k++) {
                        tq_fill(words + i * 5 + k * 5, 5, 1643340275u);
                    }
                } else {
                    const int16_t *const line = x + from * 135 + c;
                    tq_spread_line_16_9_30_20(line, to + 0);
                }
            }
            for (int32_t k = 0; k < 4; k++) {
                const int16_t *const strip = strips + k * 10 + 0;
                for (int32_t j = 0; j < 1; j++) {
                    const int32_t o = (c + k) * 1 + j;
                    const uint32_t *const record = w + o * 2;
                    tq_expand_2_1(record + 1, expanded);
                    tq_depthwise2d_s16_s8_requantizewide_s16_armv7em_sumsstrips_sums(strip, sums, record, band, expanded);
                    for (int32_t p = 0; p < band * 3; p++) {
                        (void)tq_requantizewide_s16(epilogue, y + (r * 3 + p) * 15, o, 15, 0, sums[p]);
                    }
                }
            }
        }
    }
}
