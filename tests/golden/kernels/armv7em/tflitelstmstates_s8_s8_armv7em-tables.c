/* tflitelstmstates_s8_s8_armv7em-tables: s8[1,5], s8[4,9,5], s8[4,9,9], s32[4,9], s8[3,9] -> s8[3,9] by  */
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

/* x * multiplier / 2^31, |x| < 2^30. */
static inline int32_t tq_read_gates_scale(int32_t x, int32_t multiplier)
{
    int32_t y;
    __asm__("smmulr %0, %1, %2" : "=r"(y) : "r"(x * 2), "r"(multiplier));
    return y;
}

/* x / 2^bits, half away from zero, |x| <= 2^30. */
static inline int32_t tq_read_gates_divide(int32_t x, int32_t bits)
{
    return bits > 0 ? (x + (int32_t)(((uint32_t)1 << bits) >> 1) + (x >> 31)) >> bits : x;
}

/* 2 / (1 + exp(-x)) in Q2.13, x in steps of 2^-12. */
static inline int32_t tq_read_gates_share(const uint32_t *lines, const uint32_t *rests, uint32_t x)
{
    if (x >= 32768) {
        int32_t y = 16378;
        y += x >= 34338 ? 1 : 0;
        y += x >= 35608 ? 4 : 0;
        y += x >= 37460 ? 1 : 0;
        return y;
    }
    const uint32_t line = lines[x >> 7];
    const uint32_t rest = (rests[x >> 3] >> ((x & 7) << 2)) & 15;
    return (int32_t)((((line >> 9) + (x & 127) * (line & 511)) >> 8) + rest);
}

static inline int32_t tq_read_gates_logistic(const uint32_t *lines, const uint32_t *rests, int32_t raw)
{
    const uint32_t x = (uint32_t)(raw < 0 ? -raw : raw);
    const int32_t share = tq_limit16(tq_read_gates_share(lines, rests, x) * 2);
    return raw < 0 ? 32767 - share : share;
}

static inline int32_t tq_read_gates_tanh(const uint32_t *lines, const uint32_t *rests, int32_t raw, int32_t steps)
{
    const uint32_t x = (uint32_t)((raw < 0 ? -raw : raw) * steps);
    const int32_t magnitude = tq_limit16((tq_read_gates_share(lines, rests, x) - 8192) * 4);
    return raw < 0 ? -magnitude : magnitude;
}

static TQ_NAKED void
tq_widen_5(const int8_t *x __attribute__((unused)), void *wide __attribute__((unused)))
{
    __asm__ volatile(
        ".syntax unified\n"
        "push {r4-r6, lr}\n"
        "1:\n"
        ".rept 1\n"
        "ldr r2, [r0], #4\n"
        "sxtb16 r3, r2\n"
        "sxtb16 r4, r2, ror #8\n"
        "strd r3, r4, [r1], #8\n"
        ".endr\n"
        "movs r3, #0\n"
        "movs r4, #0\n"
        "strd r3, r4, [r1]\n"
        "ldrsb r3, [r0, #0]\n"
        "strh r3, [r1, #0]\n"
        "pop {r4-r6, pc}\n"
    );
}


static TQ_NAKED void
tq_widen_9(const int8_t *x __attribute__((unused)), void *wide __attribute__((unused)))
{
    __asm__ volatile(
        ".syntax unified\n"
        "push {r4-r6, lr}\n"
        "1:\n"
        ".rept 2\n"
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
tq_tflitelstmstates_s8_s8_armv7em_tables_product_x(const uint32_t *w __attribute__((unused)), const void *x __attribute__((unused)), void *y __attribute__((unused)))
{
    __asm__ volatile(
        ".syntax unified\n"
        "push {r4-r11, lr}\n"
        "sub sp, #28\n"
        "movw r12, #16\n"
        "add r12, r12, r1\n"
        "movw r3, #9\n"
        "strd r1, r2, [sp]\n"
        "strd r12, r3, [sp, #8]\n"
        "9:\n"
        "ldm r0!, {r2-r5}\n"
        "1:\n"
        ".rept 1\n"
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


static TQ_NAKED void
tq_tflitelstmstates_s8_s8_armv7em_tables_product_h(const uint32_t *w __attribute__((unused)), const void *x __attribute__((unused)), void *y __attribute__((unused)))
{
    __asm__ volatile(
        ".syntax unified\n"
        "push {r4-r11, lr}\n"
        "sub sp, #28\n"
        "movw r12, #32\n"
        "add r12, r12, r1\n"
        "movw r3, #9\n"
        "strd r1, r2, [sp]\n"
        "strd r12, r3, [sp, #8]\n"
        "9:\n"
        "ldm r0!, {r2-r5}\n"
        "1:\n"
        ".rept 2\n"
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


/* 1 steps of 5 inputs and 9 cells, products four channels at a time. */
static void tq_tflitelstmstates_s8_s8_armv7em_tables(const int8_t *x, const int8_t *state, const uint32_t *w_x, const uint32_t *w_h, const uint32_t *lines, const uint32_t *rests, int8_t *y, void *scratch)
{
    int32_t *const x_sums = scratch;
    int32_t *const h_sums = (int32_t *)scratch + 36;
    void *const wide = (int32_t *)scratch + 72;
    int16_t *const cells = (int16_t *)((uint8_t *)scratch + 320);
    int8_t *const hidden = (int8_t *)scratch + 340;
    for (int32_t c = 0; c < 9; c++) {
        cells[c] = (int16_t)(256 * state[18 + c] + state[9 + c] + 128);
        hidden[c] = state[c];
    }
    for (int32_t t = 0; t < 1; t++) {
        tq_widen_5(x, wide);
        tq_tflitelstmstates_s8_s8_armv7em_tables_product_x(w_x, wide, x_sums);
        tq_widen_9(hidden, wide);
        tq_tflitelstmstates_s8_s8_armv7em_tables_product_h(w_h, wide, h_sums);
        for (int32_t c = 0; c < 9; c++) {
            const int32_t input_x = tq_read_gates_scale(x_sums[0 + c] * 1, 1654751720);
            const int32_t input_h = tq_read_gates_scale(h_sums[0 + c] * 1, 1316671813);
            const int32_t input = tq_limit16(tq_limit16(tq_read_gates_divide(input_x, 2)) + tq_read_gates_divide(input_h, 1));
            const int32_t forget_x = tq_read_gates_scale(x_sums[9 + c] * 1, 1368594186);
            const int32_t forget_h = tq_read_gates_scale(h_sums[9 + c] * 1, 2063715801);
            const int32_t forget = tq_limit16(tq_limit16(tq_read_gates_divide(forget_x, 2)) + tq_read_gates_divide(forget_h, 3));
            const int32_t update_x = tq_read_gates_scale(x_sums[18 + c] * 1, 1273078594);
            const int32_t update_h = tq_read_gates_scale(h_sums[18 + c] * 1, 1209371403);
            const int32_t update = tq_limit16(tq_limit16(tq_read_gates_divide(update_x, 3)) + tq_read_gates_divide(update_h, 3));
            const int32_t output_x = tq_read_gates_scale(x_sums[27 + c] * 1, 1986735133);
            const int32_t output_h = tq_read_gates_scale(h_sums[27 + c] * 2, 1600022497);
            const int32_t output = tq_limit16(tq_limit16(tq_read_gates_divide(output_x, 2)) + tq_read_gates_divide(output_h, 0));
            const int32_t kept = tq_read_gates_divide(tq_read_gates_logistic(lines, rests, forget) * cells[c], 15);
            const int32_t added = tq_read_gates_divide(tq_read_gates_logistic(lines, rests, input) * tq_read_gates_tanh(lines, rests, update, 2), 17);
            int32_t cell = tq_limit16(kept + added);
            cell = tq_clip(cell, -2000, 2000);
            cells[c] = (int16_t)cell;
            const int32_t shown = tq_read_gates_logistic(lines, rests, output) * tq_read_gates_tanh(lines, rests, cell, 1);
            const int32_t code = tq_read_gates_divide(tq_read_gates_scale(shown, 1686678268), 23);
            hidden[c] = (int8_t)tq_clip(code + 97, -128, 127);
            y[c] = hidden[c];
        }
        x += 5;
        y += 9;
    }
    for (int32_t c = 0; c < 9; c++) {
        y[c] = (int8_t)((cells[c] & 255) - 128);
        y[9 + c] = (int8_t)(cells[c] >> 8);
    }
}
