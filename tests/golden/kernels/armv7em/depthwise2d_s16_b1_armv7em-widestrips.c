/* depthwise2d_s16_b1_armv7em-widestrips: s16[3,4,1], b1[6,2,1] -> s16[11,9,1] by requantizewide */
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
tq_depthwise2d_s16_b1_requantizewide_s16_armv7em_widestrips_sums(const int16_t *strip __attribute__((unused)), void *y __attribute__((unused)), const uint32_t *record __attribute__((unused)), int32_t lines __attribute__((unused)), const int16_t *weights __attribute__((unused)))
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
        "ldr r2, [r1], #4\n"
        "ldr r11, [r0, #0]\n"
        "smlad r4, r11, r2, r4\n"
        "ldr r11, [r0, #2]\n"
        "smlad r5, r11, r2, r5\n"
        "ldr r11, [r0, #4]\n"
        "smlad r6, r11, r2, r6\n"
        "ldr r11, [r0, #6]\n"
        "smlad r7, r11, r2, r7\n"
        "ldr r11, [r0, #8]\n"
        "smlad r8, r11, r2, r8\n"
        "ldr r2, [r1], #4\n"
        "ldr r11, [r0, #24]\n"
        "smlad r4, r11, r2, r4\n"
        "ldr r11, [r0, #26]\n"
        "smlad r5, r11, r2, r5\n"
        "ldr r11, [r0, #28]\n"
        "smlad r6, r11, r2, r6\n"
        "ldr r11, [r0, #30]\n"
        "smlad r7, r11, r2, r7\n"
        "ldr r11, [r0, #32]\n"
        "smlad r8, r11, r2, r8\n"
        "ldr r2, [r1], #4\n"
        "ldr r11, [r0, #48]\n"
        "smlad r4, r11, r2, r4\n"
        "ldr r11, [r0, #50]\n"
        "smlad r5, r11, r2, r5\n"
        "ldr r11, [r0, #52]\n"
        "smlad r6, r11, r2, r6\n"
        "ldr r11, [r0, #54]\n"
        "smlad r7, r11, r2, r7\n"
        "ldr r11, [r0, #56]\n"
        "smlad r8, r11, r2, r8\n"
        "ldr r2, [r1], #4\n"
        "ldr r11, [r0, #72]\n"
        "smlad r4, r11, r2, r4\n"
        "ldr r11, [r0, #74]\n"
        "smlad r5, r11, r2, r5\n"
        "ldr r11, [r0, #76]\n"
        "smlad r6, r11, r2, r6\n"
        "ldr r11, [r0, #78]\n"
        "smlad r7, r11, r2, r7\n"
        "ldr r11, [r0, #80]\n"
        "smlad r8, r11, r2, r8\n"
        "ldr r2, [r1], #4\n"
        "ldr r11, [r0, #96]\n"
        "smlad r4, r11, r2, r4\n"
        "ldr r11, [r0, #98]\n"
        "smlad r5, r11, r2, r5\n"
        "ldr r11, [r0, #100]\n"
        "smlad r6, r11, r2, r6\n"
        "ldr r11, [r0, #102]\n"
        "smlad r7, r11, r2, r7\n"
        "ldr r11, [r0, #104]\n"
        "smlad r8, r11, r2, r8\n"
        "ldr r2, [r1], #4\n"
        "ldr r11, [r0, #120]\n"
        "smlad r4, r11, r2, r4\n"
        "ldr r11, [r0, #122]\n"
        "smlad r5, r11, r2, r5\n"
        "ldr r11, [r0, #124]\n"
        "smlad r6, r11, r2, r6\n"
        "ldr r11, [r0, #126]\n"
        "smlad r7, r11, r2, r7\n"
        "ldr r11, [r0, #128]\n"
        "smlad r8, r11, r2, r8\n"
        "ldr r12, [sp, #4]\n"
        "stm r12, {r4, r5, r6, r7, r8}\n"
        "ldrd r0, r1, [sp]\n"
        "ldr r3, [sp, #28]\n"
        "subs r3, #1\n"
        "beq 7f\n"
        "str r3, [sp, #28]\n"
        "cmp r3, #1\n"
        "beq 6f\n"
        "addw r0, r0, #10\n"
        "addw r1, r1, #20\n"
        "strd r0, r1, [sp]\n"
        "b 8b\n"
        "6:\n"
        "addw r0, r0, #8\n"
        "addw r1, r1, #16\n"
        "strd r0, r1, [sp]\n"
        "b 8b\n"
        "7:\n"
        "ldrd r0, r1, [sp, #8]\n"
        "ldr r3, [sp, #24]\n"
        "addw r0, r0, #48\n"
        "addw r1, r1, #36\n"
        "strd r0, r1, [sp, #8]\n"
        "subs r3, #1\n"
        "str r3, [sp, #24]\n"
        "bne 9b\n"
        "add sp, #36\n"
        "pop {r4-r11, pc}\n"
    );
}


static TQ_NAKED void
tq_depthwise2d_s16_b1_requantizewide_s16_armv7em_widestrips_finish(const int32_t *sums __attribute__((unused)), const uint32_t *scaling __attribute__((unused)), void *y __attribute__((unused)), int32_t count __attribute__((unused)))
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
        "usat r11, #15, r11\n"
        "strh r11, [r2]\n"
        "addw r2, r2, #2\n"
        "subs r3, #1\n"
        "bne 1b\n"
        "pop {r4-r11, pc}\n"
    );
}


/* 6 x 2 windows over 3 x 4 pixels of 1 channels, 11 of 11 lines of outputs at a time. */
static void tq_depthwise2d_s16_b1_requantizewide_s16_armv7em_widestrips(const int16_t *x, const uint32_t *w, const uint32_t *scaling, int16_t *y, void *scratch)
{
    int16_t *const expanded = scratch;
    uint32_t *const words = (uint32_t *)scratch + 8;
    int16_t *const strips = (int16_t *)words;
    int32_t *const sums = (int32_t *)scratch + 164;
    tq_fill(words, 156, 2823923793u);
    for (int32_t c = 0; c < 1; c += 1) {
        int32_t have = 0;
        for (int32_t r = 0; r < 11; r += 11) {
            const int32_t left = 11 - r;
            const int32_t band = left < 11 ? left : 11;
            const int32_t need = (band - 1) * 2 + 6;
            have = 0;
            for (int32_t i = have; i < need; i++) {
                const int32_t from = r * 2 + i - 14;
                int16_t *const to = strips + i * 12;
                if (from < 0 || from >= 3) {
                    for (int32_t k = 0; k < 1; k++) {
                        tq_fill(words + i * 6 + k * 156, 6, 2823923793u);
                    }
                } else {
                    const int16_t *const line = x + from * 4 + c;
                    for (int32_t j = 0; j < 4; j++) {
                        for (int32_t k = 0; k < 1; k++) {
                            to[k * 312 + 4 + j] = line[j * 1 + k];
                        }
                    }
                }
            }
            for (int32_t k = 0; k < 1; k++) {
                const int16_t *const strip = strips + k * 312 + 1;
                for (int32_t j = 0; j < 1; j++) {
                    const int32_t o = (c + k) * 1 + j;
                    const uint32_t *const record = w + o * 2;
                    tq_expand_2_1(record + 1, expanded);
                    tq_depthwise2d_s16_b1_requantizewide_s16_armv7em_widestrips_sums(strip, sums, record, band, expanded);
                    tq_depthwise2d_s16_b1_requantizewide_s16_armv7em_widestrips_finish(sums, scaling + 5 * o, y + r * 9 + o, band * 9);
                }
            }
        }
    }
}
