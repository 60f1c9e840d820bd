/* depthwise2d_s8_b1_armv7em-strips: s8[1,2,4], b1[3,1,4] -> u8[7,1,4] by requantize */
static void tq_fill(uint32_t *to, int32_t words, uint32_t value)
{
    for (int32_t i = 0; i < words; i++) {
        to[i] = value;
    }
}

static TQ_NAKED void
tq_expand_16_3(const uint32_t *from __attribute__((unused)), int16_t *to __attribute__((unused)))
{
    __asm__ volatile(
        ".syntax unified\n"
        "movw r12, #3\n"
        "1:\n"
        "ldr r3, [r0], #4\n"
        "str r3, [r1], #4\n"
        "subs r12, #1\n"
        "bne 1b\n"
        "bx lr\n"
    );
}


static TQ_NAKED void
tq_spread_line_8_2_4_72(const void *from __attribute__((unused)), void *to __attribute__((unused)))
{
    __asm__ volatile(
        ".syntax unified\n"
        "push {r4-r11, lr}\n"
        "addw r2, r1, #72\n"
        "addw r3, r2, #72\n"
        "addw r12, r3, #72\n"
        "movw lr, #1\n"
        "1:\n"
        "ldr r4, [r0], #4\n"
        "ldr r5, [r0], #4\n"
        "sxtb16 r6, r4\n"
        "sxtb16 r7, r5\n"
        "sxtb16 r4, r4, ror #8\n"
        "sxtb16 r5, r5, ror #8\n"
        "pkhbt r8, r6, r7, lsl #16\n"
        "pkhtb r10, r7, r6, asr #16\n"
        "pkhbt r9, r4, r5, lsl #16\n"
        "pkhtb r11, r5, r4, asr #16\n"
        "str r8, [r1], #4\n"
        "str r9, [r2], #4\n"
        "str r10, [r3], #4\n"
        "str r11, [r12], #4\n"
        "subs lr, #1\n"
        "bne 1b\n"
        "pop {r4-r11, pc}\n"
    );
}


static TQ_NAKED void
tq_depthwise2d_s8_b1_u8_armv7em_strips_filter(const int16_t *strip __attribute__((unused)), void *y __attribute__((unused)), const uint32_t *record __attribute__((unused)), int32_t lines __attribute__((unused)), const int16_t *weights __attribute__((unused)))
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
        "ldr r2, [r1], #4\n"
        "ldr r11, [r0, #0]\n"
        "smlad r4, r11, r2, r4\n"
        "ldr r2, [r1], #4\n"
        "ldr r11, [r0, #8]\n"
        "smlad r4, r11, r2, r4\n"
        "ldr r2, [r1], #4\n"
        "ldr r11, [r0, #16]\n"
        "smlad r4, r11, r2, r4\n"
        "ldr r12, [sp, #4]\n"
        "ldr lr, [sp, #20]\n"
        "ldr r1, [lr, #4]\n"
        "movw r2, #43\n"
        "smmla r4, r4, r1, r2\n"
        "usat r4, #8, r4, asr #1\n"
        "strb r4, [r12, #0]\n"
        "ldrd r0, r1, [sp, #8]\n"
        "ldr r3, [sp, #24]\n"
        "addw r0, r0, #8\n"
        "addw r1, r1, #4\n"
        "strd r0, r1, [sp, #8]\n"
        "subs r3, #1\n"
        "str r3, [sp, #24]\n"
        "bne 9b\n"
        "add sp, #36\n"
        "pop {r4-r11, pc}\n"
    );
}


/* 3 x 1 windows over 1 x 2 pixels of 4 channels, 7 of 7 lines of outputs at a time. */
static void tq_depthwise2d_s8_b1_u8_armv7em_strips(const int8_t *x, const uint32_t *w, uint8_t *y, void *scratch)
{
    int16_t *const expanded = scratch;
    uint32_t *const words = (uint32_t *)scratch + 4;
    int16_t *const strips = (int16_t *)words;
    tq_fill(words, 72, 4291428297u);
    for (int32_t c = 0; c < 4; c += 4) {
        int32_t have = 0;
        for (int32_t r = 0; r < 7; r += 7) {
            const int32_t left = 7 - r;
            const int32_t band = left < 7 ? left : 7;
            const int32_t need = (band - 1) * 1 + 3;
            have = 0;
            for (int32_t i = have; i < need; i++) {
                const int32_t from = r * 1 + i - 7;
                int16_t *const to = strips + i * 4;
                if (from < 0 || from >= 1) {
                    for (int32_t k = 0; k < 4; k++) {
                        tq_fill(words + i * 2 + k * 18, 2, 4291428297u);
                    }
                } else {
                    const int8_t *const line = x + from * 8 + c;
                    tq_spread_line_8_2_4_72(line, to + 2);
                }
            }
            for (int32_t k = 0; k < 4; k++) {
                const int16_t *const strip = strips + k * 36 + 1;
                for (int32_t j = 0; j < 1; j++) {
                    const int32_t o = (c + k) * 1 + j;
                    const uint32_t *const record = w + o * 5;
                    tq_expand_16_3(record + 2, expanded);
                    tq_depthwise2d_s8_b1_u8_armv7em_strips_filter(strip, y + r * 4 + o, record, band, expanded);
                }
            }
        }
    }
}
