/* depthwise2d_s8_b1_armv7em-bands: s8[54,4,3], b1[6,6,3] -> s8[17,12,3] by requantizetwice */
static void tq_fill(uint32_t *to, int32_t words, uint32_t value)
{
    for (int32_t i = 0; i < words; i++) {
        to[i] = value;
    }
}

static void tq_expand_4_5(const uint32_t *from, int16_t *to)
{
    for (int32_t i = 0; i < 5; i++) {
        uint32_t fields = from[i];
        for (int32_t k = 0; k < 8; k++) {
            const uint32_t low = fields & 15u;
            *to++ = (int16_t)((int32_t)(low ^ 8u) - 8);
            fields >>= 4;
        }
    }
}

static TQ_NAKED void
tq_depthwise2d_s8_b1_requantizetwice_s8_armv7em_bands_filter(const int16_t *strip __attribute__((unused)), void *y __attribute__((unused)), const uint32_t *record __attribute__((unused)), int32_t lines __attribute__((unused)), const int16_t *weights __attribute__((unused)))
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
        "movw r3, #2\n"
        "str r3, [sp, #28]\n"
        "8:\n"
        "ldrd r1, r2, [sp, #16]\n"
        "ldr r4, [r2]\n"
        "mov r5, r4\n"
        "mov r6, r4\n"
        "mov r7, r4\n"
        "mov r8, r4\n"
        "mov r9, r4\n"
        "addw lr, r1, #72\n"
        "1:\n"
        "ldm r1!, {r2, r3, r12}\n"
        "ldr r11, [r0, #0]\n"
        "smlad r4, r11, r2, r4\n"
        "ldr r11, [r0, #2]\n"
        "smlad r5, r11, r2, r5\n"
        "ldr r11, [r0, #4]\n"
        "smlad r6, r11, r2, r6\n"
        "smlad r4, r11, r3, r4\n"
        "ldr r11, [r0, #6]\n"
        "smlad r7, r11, r2, r7\n"
        "smlad r5, r11, r3, r5\n"
        "ldr r11, [r0, #8]\n"
        "smlad r8, r11, r2, r8\n"
        "smlad r6, r11, r3, r6\n"
        "smlad r4, r11, r12, r4\n"
        "ldr r11, [r0, #10]\n"
        "smlad r9, r11, r2, r9\n"
        "smlad r7, r11, r3, r7\n"
        "smlad r5, r11, r12, r5\n"
        "ldr r11, [r0, #12]\n"
        "smlad r8, r11, r3, r8\n"
        "smlad r6, r11, r12, r6\n"
        "ldr r11, [r0, #14]\n"
        "smlad r9, r11, r3, r9\n"
        "smlad r7, r11, r12, r7\n"
        "ldr r11, [r0, #16]\n"
        "smlad r8, r11, r12, r8\n"
        "ldr r11, [r0, #18]\n"
        "smlad r9, r11, r12, r9\n"
        "addw r0, r0, #36\n"
        "cmp r1, lr\n"
        "bne 1b\n"
        "ldr r12, [sp, #4]\n"
        "ldr lr, [sp, #20]\n"
        "ldr r1, [lr, #4]\n"
        "ldr r2, [lr, #8]\n"
        "ldr r3, [lr, #12]\n"
        "smmlar r11, r4, r1, r2\n"
        "add r11, r11, r4, asr #31\n"
        "asr r11, r11, r3\n"
        "usat r11, #31, r11\n"
        "rsb r11, r11, #67\n"
        "usat r11, #31, r11\n"
        "rsb r11, r11, #116\n"
        "strb r11, [r12, #0]\n"
        "smmlar r11, r5, r1, r2\n"
        "add r11, r11, r5, asr #31\n"
        "asr r11, r11, r3\n"
        "usat r11, #31, r11\n"
        "rsb r11, r11, #67\n"
        "usat r11, #31, r11\n"
        "rsb r11, r11, #116\n"
        "strb r11, [r12, #3]\n"
        "smmlar r11, r6, r1, r2\n"
        "add r11, r11, r6, asr #31\n"
        "asr r11, r11, r3\n"
        "usat r11, #31, r11\n"
        "rsb r11, r11, #67\n"
        "usat r11, #31, r11\n"
        "rsb r11, r11, #116\n"
        "strb r11, [r12, #6]\n"
        "smmlar r11, r7, r1, r2\n"
        "add r11, r11, r7, asr #31\n"
        "asr r11, r11, r3\n"
        "usat r11, #31, r11\n"
        "rsb r11, r11, #67\n"
        "usat r11, #31, r11\n"
        "rsb r11, r11, #116\n"
        "strb r11, [r12, #9]\n"
        "smmlar r11, r8, r1, r2\n"
        "add r11, r11, r8, asr #31\n"
        "asr r11, r11, r3\n"
        "usat r11, #31, r11\n"
        "rsb r11, r11, #67\n"
        "usat r11, #31, r11\n"
        "rsb r11, r11, #116\n"
        "strb r11, [r12, #12]\n"
        "smmlar r11, r9, r1, r2\n"
        "add r11, r11, r9, asr #31\n"
        "asr r11, r11, r3\n"
        "usat r11, #31, r11\n"
        "rsb r11, r11, #67\n"
        "usat r11, #31, r11\n"
        "rsb r11, r11, #116\n"
        "strb r11, [r12, #15]\n"
        "ldrd r0, r1, [sp]\n"
        "ldr r3, [sp, #28]\n"
        "subs r3, #1\n"
        "beq 7f\n"
        "str r3, [sp, #28]\n"
        "addw r0, r0, #12\n"
        "addw r1, r1, #18\n"
        "strd r0, r1, [sp]\n"
        "b 8b\n"
        "7:\n"
        "ldrd r0, r1, [sp, #8]\n"
        "ldr r3, [sp, #24]\n"
        "addw r0, r0, #108\n"
        "addw r1, r1, #36\n"
        "strd r0, r1, [sp, #8]\n"
        "subs r3, #1\n"
        "str r3, [sp, #24]\n"
        "bne 9b\n"
        "add sp, #36\n"
        "pop {r4-r11, pc}\n"
    );
}


/* 6 x 6 windows over 54 x 4 pixels of 3 channels, 11 of 17 lines of outputs at a time. */
static void tq_depthwise2d_s8_b1_requantizetwice_s8_armv7em_bands(const int8_t *x, const uint32_t *w, int8_t *y, void *scratch)
{
    int16_t *const expanded = scratch;
    uint32_t *const words = (uint32_t *)scratch + 20;
    int16_t *const strips = (int16_t *)words;
    tq_fill(words, 972, 5046349u);
    for (int32_t r = 0; r < 17; r += 11) {
    for (int32_t c = 0; c < 3; c += 3) {
        int32_t have = 0;
            const int32_t left = 17 - r;
            const int32_t band = left < 11 ? left : 11;
            const int32_t need = (band - 1) * 3 + 6;
            have = 0;
            for (int32_t i = have; i < need; i++) {
                const int32_t from = r * 3 + i - 2;
                int16_t *const to = strips + i * 18;
                if (from < 0 || from >= 54) {
                    for (int32_t k = 0; k < 3; k++) {
                        tq_fill(words + i * 9 + k * 324, 9, 5046349u);
                    }
                } else {
                    const int8_t *const line = x + from * 12 + c;
                    for (int32_t j = 0; j < 4; j++) {
                        for (int32_t k = 0; k < 3; k++) {
                            to[k * 648 + 10 + j] = line[j * 3 + k];
                        }
                    }
                }
            }
            for (int32_t k = 0; k < 3; k++) {
                const int16_t *const strip = strips + k * 648 + 0;
                for (int32_t j = 0; j < 1; j++) {
                    const int32_t o = (c + k) * 1 + j;
                    const uint32_t *const record = w + o * 9;
                    tq_expand_4_5(record + 4, expanded);
                    tq_depthwise2d_s8_b1_requantizetwice_s8_armv7em_bands_filter(strip, y + r * 36 + o, record, band, expanded);
                }
            }
        }
    }
}
