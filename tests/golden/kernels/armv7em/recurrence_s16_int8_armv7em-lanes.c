/* recurrence_s16_int8_armv7em-lanes: s16[1,51], s8[51,17], s32[51], s32[51], s16[2,513] -> s8[1,17] by  */
static TQ_NAKED void
tq_widen_17(const int8_t *x __attribute__((unused)), void *wide __attribute__((unused)))
{
    __asm__ volatile(
        ".syntax unified\n"
        "push {r4-r6, lr}\n"
        "1:\n"
        ".rept 4\n"
        "ldr r2, [r0], #4\n"
        "sxtb16 r3, r2\n"
        "sxtb16 r4, r2, ror #8\n"
        "strd r3, r4, [r1], #8\n"
        ".endr\n"
        "movs r3, #0\n"
        "movs r4, #0\n"
        "strd r3, r4, [r1]\n"
        "strd r3, r4, [r1, #8]\n"
        "ldrsb r3, [r0, #0]\n"
        "strh r3, [r1, #0]\n"
        "pop {r4-r6, pc}\n"
    );
}


static TQ_NAKED void
tq_recurrence_s16_s8_armv7em_lanes_product_0(const uint32_t *w __attribute__((unused)), const void *x __attribute__((unused)), void *y __attribute__((unused)))
{
    __asm__ volatile(
        ".syntax unified\n"
        "push {r4-r11, lr}\n"
        "sub sp, #28\n"
        "movw r12, #48\n"
        "add r12, r12, r1\n"
        "movw r3, #13\n"
        "strd r1, r2, [sp]\n"
        "strd r12, r3, [sp, #8]\n"
        "9:\n"
        "ldm r0!, {r2-r5}\n"
        "1:\n"
        ".rept 3\n"
        "ldm r1!, {r6-r9}\n"
        "ldm r0!, {r10, r11, r12, lr}\n"
        "smlad r3, r6, r10, r3\n"
        "sxtb16 r10, r10\n"
        "smlad r2, r6, r10, r2\n"
        "smlad r5, r6, r11, r5\n"
        "sxtb16 r11, r11\n"
        "smlad r4, r6, r11, r4\n"
        "smlad r3, r7, r12, r3\n"
        "sxtb16 r12, r12\n"
        "smlad r2, r7, r12, r2\n"
        "smlad r5, r7, lr, r5\n"
        "sxtb16 lr, lr\n"
        "smlad r4, r7, lr, r4\n"
        "ldm r0!, {r10, r11, r12, lr}\n"
        "smlad r3, r8, r10, r3\n"
        "sxtb16 r10, r10\n"
        "smlad r2, r8, r10, r2\n"
        "smlad r5, r8, r11, r5\n"
        "sxtb16 r11, r11\n"
        "smlad r4, r8, r11, r4\n"
        "smlad r3, r9, r12, r3\n"
        "sxtb16 r12, r12\n"
        "smlad r2, r9, r12, r2\n"
        "smlad r5, r9, lr, r5\n"
        "sxtb16 lr, lr\n"
        "smlad r4, r9, lr, r4\n"
        ".endr\n"
        "ldr r1, [sp, #4]\n"
        "sub r3, r3, r2\n"
        "sub r5, r5, r4\n"
        "asr r3, r3, #8\n"
        "asr r5, r5, #8\n"
        "stm r1!, {r2-r5}\n"
        "ldr r10, [sp, #12]\n"
        "str r1, [sp, #4]\n"
        "ldr r1, [sp]\n"
        "subs r10, #1\n"
        "str r10, [sp, #12]\n"
        "bne 9b\n"
        "add sp, #28\n"
        "pop {r4-r11, pc}\n"
    );
}


/* A curve of 513 points between two of them, x within int16. */
static inline int32_t tq_follow_curve(const int16_t *curve, int32_t x)
{
    const uint32_t place = (uint32_t)(x + 32768);
    const int16_t *const at = curve + (place >> 7);
    const int32_t base = at[0];
    return base + (((at[1] - base) * (int32_t)(place & 127) + 64) >> 7);
}

static inline int32_t tq_limit16(int32_t x)
{
    int32_t y;
    __asm__("ssat %0, #16, %1" : "=r"(y) : "r"(x));
    return y;
}

static inline int32_t tq_limit8(int32_t x)
{
    int32_t y;
    __asm__("ssat %0, #8, %1" : "=r"(y) : "r"(x));
    return y;
}

/* 1 steps of 17 units, 3 gate(s): gru. Products four channels at a time. */
static void tq_recurrence_s16_s8_armv7em_lanes(const int16_t *gates, const int16_t *curves, const uint32_t *w_0, const uint32_t *multiplier, int8_t *y, void *scratch)
{
    int32_t *const sums = scratch;
    void *const wide = (uint8_t *)scratch + 208;
    int16_t *const words = (int16_t *)((uint8_t *)scratch + 256);
    int8_t *const hidden = (int8_t *)scratch + 292;
    const int64_t half = 8589934592LL;
    const int16_t *const update = curves + 513;
    for (int32_t c = 0; c < 17; c++) {
        words[c] = 0;
    }
    for (int32_t c = 0; c < 17; c++) {
        hidden[c] = 0;
    }
    for (int32_t t = 0; t < 1; t++) {
        tq_widen_17(hidden, wide);
        tq_recurrence_s16_s8_armv7em_lanes_product_0(w_0, wide, sums);
        for (int32_t c = 0; c < 17; c++) {
            const int32_t keeping = tq_follow_curve(curves, tq_limit16(gates[0 + c] + tq_limit16((int32_t)(((int64_t)sums[0 + c] * (int32_t)multiplier[0 + c] + half) >> 34))));
            const int32_t reset = tq_follow_curve(curves, tq_limit16(gates[17 + c] + tq_limit16((int32_t)(((int64_t)sums[17 + c] * (int32_t)multiplier[17 + c] + half) >> 34)))) * tq_limit16((int32_t)(((int64_t)sums[34 + c] * (int32_t)multiplier[34 + c] + half) >> 34));
            const int32_t term = (reset + 16384) >> 15;
            const int32_t fresh = tq_follow_curve(update, tq_limit16(gates[34 + c] + term));
            const int32_t word = (keeping * words[c] + (32768 - keeping) * fresh + 16384) >> 15;
            words[c] = (int16_t)word;
            const int32_t code = (word + 128) >> 8;
            hidden[c] = (int8_t)tq_limit8(code);
            y[c] = hidden[c];
        }
        gates += 51;
        y += 17;
    }
}
