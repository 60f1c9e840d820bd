/* depthwise2d_s16_s8_armv7em-widestrips: s16[8,4,1], s8[7,5,1] -> s8[13,3,1] by requantizewide */
static void tq_fill(uint32_t *to, int32_t words, uint32_t value)
{
    for (int32_t i = 0; i < words; i++) {
        to[i] = value;
    }
}

static TQ_NAKED void
tq_expand_8_11(const uint32_t *from __attribute__((unused)), int16_t *to __attribute__((unused)))
{
    __asm__ volatile(
        ".syntax unified\n"
        "movw r12, #11\n"
        "1:\n"
        "ldr r3, [r0], #4\n"
        "sxtb16 r2, r3\n"
        "str r2, [r1], #4\n"
        "sxtb16 r3, r3, ror #8\n"
        "str r3, [r1], #4\n"
        "subs r12, #1\n"
        "bne 1b\n"
        "bx lr\n"
    );
}


static TQ_NAKED void
tq_depthwise2d_s16_s8_requantizewide_s8_armv7em_widestrips_sums(const int16_t *strip __attribute__((unused)), void *y __attribute__((unused)), const uint32_t *record __attribute__((unused)), int32_t lines __attribute__((unused)), const int16_t *weights __attribute__((unused)))
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
        "addw lr, r1, #84\n"
        "1:\n"
        "ldm r1!, {r2, r3, r12}\n"
        "ldr r11, [r0, #0]\n"
        "smlad r4, r11, r2, r4\n"
        "ldr r11, [r0, #4]\n"
        "smlad r5, r11, r2, r5\n"
        "smlad r4, r11, r3, r4\n"
        "ldr r11, [r0, #8]\n"
        "smlad r6, r11, r2, r6\n"
        "smlad r5, r11, r3, r5\n"
        "smlad r4, r11, r12, r4\n"
        "ldr r11, [r0, #12]\n"
        "smlad r6, r11, r3, r6\n"
        "smlad r5, r11, r12, r5\n"
        "ldr r11, [r0, #16]\n"
        "smlad r6, r11, r12, r6\n"
        "addw r0, r0, #20\n"
        "cmp r1, lr\n"
        "bne 1b\n"
        "ldr r12, [sp, #4]\n"
        "stm r12, {r4, r5, r6}\n"
        "ldrd r0, r1, [sp, #8]\n"
        "ldr r3, [sp, #24]\n"
        "addw r0, r0, #40\n"
        "addw r1, r1, #12\n"
        "strd r0, r1, [sp, #8]\n"
        "subs r3, #1\n"
        "str r3, [sp, #24]\n"
        "bne 9b\n"
        "add sp, #36\n"
        "pop {r4-r11, pc}\n"
    );
}


static TQ_NAKED void
tq_depthwise2d_s16_s8_requantizewide_s8_armv7em_widestrips_finish(const int32_t *sums __attribute__((unused)), const uint32_t *scaling __attribute__((unused)), void *y __attribute__((unused)), int32_t count __attribute__((unused)))
{
    __asm__ volatile(
        ".syntax unified\n"
        "push {r4-r11, lr}\n"
        "ldm r1, {r5-r9}\n"
        "1:\n"
        "ldr r4, [r0], #4\n"
        "add r4, r5\n"
        "smmla r11, r4, r6, r8\n"
        "asr r11, r9\n"
        "usat r11, #7, r11\n"
        "strb r11, [r2]\n"
        "addw r2, r2, #1\n"
        "subs r3, #1\n"
        "bne 1b\n"
        "pop {r4-r11, pc}\n"
    );
}


/* 7 x 5 windows over 8 x 4 pixels of 1 channels, 13 of 13 lines of outputs at a time. */
static void tq_depthwise2d_s16_s8_requantizewide_s8_armv7em_widestrips(const int16_t *x, const uint32_t *w, const uint32_t *scaling, int8_t *y, void *scratch)
{
    int16_t *const expanded = scratch;
    uint32_t *const words = (uint32_t *)scratch + 22;
    int16_t *const strips = (int16_t *)words;
    int32_t *const sums = (int32_t *)scratch + 177;
    tq_fill(words, 155, 3114645925u);
    for (int32_t c = 0; c < 1; c += 1) {
        int32_t have = 0;
        for (int32_t r = 0; r < 13; r += 13) {
            const int32_t left = 13 - r;
            const int32_t band = left < 13 ? left : 13;
            const int32_t need = (band - 1) * 2 + 7;
            have = 0;
            for (int32_t i = have; i < need; i++) {
                const int32_t from = r * 2 + i - 12;
                int16_t *const to = strips + i * 10;
                if (from < 0 || from >= 8) {
                    for (int32_t k = 0; k < 1; k++) {
                        tq_fill(words + i * 5 + k * 155, 5, 3114645925u);
                    }
                } else {
                    const int16_t *const line = x + from * 4 + c;
                    for (int32_t j = 0; j < 4; j++) {
                        for (int32_t k = 0; k < 1; k++) {
                            to[k * 310 + 2 + j] = line[j * 1 + k];
                        }
                    }
                }
            }
            for (int32_t k = 0; k < 1; k++) {
                const int16_t *const strip = strips + k * 310 + 0;
                for (int32_t j = 0; j < 1; j++) {
                    const int32_t o = (c + k) * 1 + j;
                    const uint32_t *const record = w + o * 12;
                    tq_expand_8_11(record + 1, expanded);
                    tq_depthwise2d_s16_s8_requantizewide_s8_armv7em_widestrips_sums(strip, sums, record, band, expanded);
                    tq_depthwise2d_s16_s8_requantizewide_s8_armv7em_widestrips_finish(sums, scaling + 5 * o, y + r * 3 + o, band * 3);
                }
            }
        }
    }
}
