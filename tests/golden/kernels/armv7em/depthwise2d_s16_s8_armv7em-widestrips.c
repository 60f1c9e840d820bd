/* depthwise2d_s16_s8_armv7em-widestrips: s16[1,16,7], s8[5,6,7] -> s16[1,7,7] by requantizewide */
static void tq_fill(uint32_t *to, int32_t words, uint32_t value)
{
    for (int32_t i = 0; i < words; i++) {
        to[i] = value;
    }
}

static TQ_NAKED void
tq_expand_8_8(const uint32_t *from __attribute__((unused)), int16_t *to __attribute__((unused)))
{
    __asm__ volatile(
        ".syntax unified\n"
        "movw r12, #8\n"
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
tq_spread_line_16_16_14_260(const void *from __attribute__((unused)), void *to __attribute__((unused)))
{
    __asm__ volatile(
        ".syntax unified\n"
        "push {r4-r11, lr}\n"
        "addw r2, r1, #260\n"
        "addw r3, r2, #260\n"
        "addw r12, r3, #260\n"
        "movw lr, #8\n"
        "1:\n"
        "ldr r5, [r0, #4]\n"
        "ldr r4, [r0], #14\n"
        "ldr r7, [r0, #4]\n"
        "ldr r6, [r0], #14\n"
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
        "pop {r4-r11, pc}\n"
    );
}


static TQ_NAKED void
tq_depthwise2d_s16_s8_requantizewide_s16_armv7em_widestrips_sums(const int16_t *strip __attribute__((unused)), void *y __attribute__((unused)), const uint32_t *record __attribute__((unused)), int32_t lines __attribute__((unused)), const int16_t *weights __attribute__((unused)))
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
        "mov r7, r4\n"
        "mov r8, r4\n"
        "mov r9, r4\n"
        "mov r10, r4\n"
        "addw lr, r1, #60\n"
        "1:\n"
        "ldm r1!, {r2, r3, r12}\n"
        "ldr r11, [r0, #0]\n"
        "smlad r4, r11, r2, r4\n"
        "ldr r11, [r0, #4]\n"
        "smlad r4, r11, r3, r4\n"
        "ldr r11, [r0, #6]\n"
        "smlad r5, r11, r2, r5\n"
        "ldr r11, [r0, #8]\n"
        "smlad r4, r11, r12, r4\n"
        "ldr r11, [r0, #10]\n"
        "smlad r5, r11, r3, r5\n"
        "ldr r11, [r0, #12]\n"
        "smlad r6, r11, r2, r6\n"
        "ldr r11, [r0, #14]\n"
        "smlad r5, r11, r12, r5\n"
        "ldr r11, [r0, #16]\n"
        "smlad r6, r11, r3, r6\n"
        "ldr r11, [r0, #18]\n"
        "smlad r7, r11, r2, r7\n"
        "ldr r11, [r0, #20]\n"
        "smlad r6, r11, r12, r6\n"
        "ldr r11, [r0, #22]\n"
        "smlad r7, r11, r3, r7\n"
        "ldr r11, [r0, #24]\n"
        "smlad r8, r11, r2, r8\n"
        "ldr r11, [r0, #26]\n"
        "smlad r7, r11, r12, r7\n"
        "ldr r11, [r0, #28]\n"
        "smlad r8, r11, r3, r8\n"
        "ldr r11, [r0, #30]\n"
        "smlad r9, r11, r2, r9\n"
        "ldr r11, [r0, #32]\n"
        "smlad r8, r11, r12, r8\n"
        "ldr r11, [r0, #34]\n"
        "smlad r9, r11, r3, r9\n"
        "ldr r11, [r0, #36]\n"
        "smlad r10, r11, r2, r10\n"
        "ldr r11, [r0, #38]\n"
        "smlad r9, r11, r12, r9\n"
        "ldr r11, [r0, #40]\n"
        "smlad r10, r11, r3, r10\n"
        "ldr r11, [r0, #44]\n"
        "smlad r10, r11, r12, r10\n"
        "addw r0, r0, #52\n"
        "cmp r1, lr\n"
        "bne 1b\n"
        "ldr r12, [sp, #4]\n"
        "stm r12, {r4, r5, r6, r7, r8, r9, r10}\n"
        "ldrd r0, r1, [sp, #8]\n"
        "ldr r3, [sp, #24]\n"
        "addw r0, r0, #156\n"
        "addw r1, r1, #28\n"
        "strd r0, r1, [sp, #8]\n"
        "subs r3, #1\n"
        "str r3, [sp, #24]\n"
        "bne 9b\n"
        "add sp, #36\n"
        "pop {r4-r11, pc}\n"
    );
}


static TQ_NAKED void
tq_depthwise2d_s16_s8_requantizewide_s16_armv7em_widestrips_finish(const int32_t *sums __attribute__((unused)), const uint32_t *scaling __attribute__((unused)), void *y __attribute__((unused)), int32_t count __attribute__((unused)))
{
    __asm__ volatile(
        ".syntax unified\n"
        "push {r4-r11, lr}\n"
        "ldm r1, {r5-r9}\n"
        "1:\n"
        "ldr r4, [r0], #4\n"
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
        "ssat r11, #16, r11\n"
        "strh r11, [r2]\n"
        "addw r2, r2, #14\n"
        "subs r3, #1\n"
        "bne 1b\n"
        "pop {r4-r11, pc}\n"
    );
}


/* 5 x 6 windows over 1 x 16 pixels of 7 channels, 1 of 1 lines of outputs at a time. */
static void tq_depthwise2d_s16_s8_requantizewide_s16_armv7em_widestrips(const int16_t *x, const uint32_t *w, const uint32_t *scaling, int16_t *y, void *scratch)
{
    int16_t *const expanded = scratch;
    uint32_t *const words = (uint32_t *)scratch + 16;
    int16_t *const strips = (int16_t *)words;
    int32_t *const sums = (int32_t *)scratch + 276;
    tq_fill(words, 260, 2131328777u);
    for (int32_t channel = 0; channel < 7; channel += 4) {
        const int32_t c = channel < 3 ? channel : 3;
        int32_t have = 0;
        for (int32_t r = 0; r < 1; r += 1) {
            const int32_t left = 1 - r;
            const int32_t band = left < 1 ? left : 1;
            const int32_t need = (band - 1) * 3 + 5;
            have = 0;
            for (int32_t i = have; i < need; i++) {
                const int32_t from = r * 3 + i - 5;
                int16_t *const to = strips + i * 26;
                if (from < 0 || from >= 1) {
                    for (int32_t k = 0; k < 4; k++) {
                        tq_fill(words + i * 13 + k * 65, 13, 2131328777u);
                    }
                } else {
                    const int16_t *const line = x + from * 112 + c;
                    tq_spread_line_16_16_14_260(line, to + 10);
                }
            }
            for (int32_t k = 0; k < 4; k++) {
                const int16_t *const strip = strips + k * 130 + 1;
                for (int32_t j = 0; j < 1; j++) {
                    const int32_t o = (c + k) * 1 + j;
                    const uint32_t *const record = w + o * 9;
                    tq_expand_8_8(record + 1, expanded);
                    tq_depthwise2d_s16_s8_requantizewide_s16_armv7em_widestrips_sums(strip, sums, record, band, expanded);
                    tq_depthwise2d_s16_s8_requantizewide_s16_armv7em_widestrips_finish(sums, scaling + 5 * o, y + r * 49 + o, band * 7);
                }
            }
        }
    }
}
