/* tflitelstmstates_s8_s8_armv7em-lanes: s8[5,7], s8[4,4,7], s8[4,4,4], s32[4,4], s8[3,4] -> s8[7,4] by  */
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

/* Product of two Q0.15 values of which one at least is not -1. */
static inline int32_t tq_twice_gates_high(int32_t a, int32_t b)
{
    return (a * b + 16384) >> 15;
}

/* x * multiplier / 2^31, |x| < 2^30. */
static inline int32_t tq_twice_gates_scale(int32_t x, int32_t multiplier)
{
    int32_t y;
    __asm__("smmulr %0, %1, %2" : "=r"(y) : "r"(x * 2), "r"(multiplier));
    return y;
}

/* x / 2^bits, half away from zero, |x| <= 2^30. */
static inline int32_t tq_twice_gates_divide(int32_t x, int32_t bits)
{
    return bits > 0 ? (x + (int32_t)(((uint32_t)1 << bits) >> 1) + (x >> 31)) >> bits : x;
}

/* 2 / (1 + exp(x)) in Q2.13, raw is x < 0 with `bits` integer bits. */
static inline int32_t tq_twice_gates_share(int32_t raw, int32_t bits)
{
    const int32_t quarter = 1 << (13 - bits);
    const int32_t modulo = (raw & (quarter - 1)) - quarter;
    const int32_t x = modulo * (1 << bits) + 4096;
    const int32_t square = tq_twice_gates_high(x, x);
    const int32_t fourth = tq_twice_gates_high(square, square);
    const int32_t inner = ((fourth + 2) >> 2) + tq_twice_gates_high(square, x);
    const int32_t series = tq_twice_gates_high(inner, 10923) + square;
    const int32_t half = (series + 1 + (series >> 31)) >> 1;
    int32_t power = tq_limit16(28918 + tq_twice_gates_high(x + half, 28918));
    const int32_t remainder = (modulo - raw) >> (13 - bits);
    if (bits + 2 > 0 && (remainder & 1) != 0) {
        power = tq_twice_gates_high(power, 25520);
    }
    if (bits + 2 > 1 && (remainder & 2) != 0) {
        power = tq_twice_gates_high(power, 19875);
    }
    if (bits + 2 > 2 && (remainder & 4) != 0) {
        power = tq_twice_gates_high(power, 12055);
    }
    if (bits + 2 > 3 && (remainder & 8) != 0) {
        power = tq_twice_gates_high(power, 4435);
    }
    if (bits + 2 > 4 && (remainder & 16) != 0) {
        power = tq_twice_gates_high(power, 600);
    }
    if (bits + 2 > 5 && (remainder & 32) != 0) {
        power = tq_twice_gates_high(power, 11);
    }
    if ((bits > 4 && (remainder & 64) != 0) || (bits > 5 && raw < -(1 << (20 - bits)))) {
        power = 0;
    }
    const int32_t denominator = (power + 32768) >> 1;
    int32_t y = 23130 + tq_twice_gates_high(denominator, -15420);
    y += tq_limit16(tq_twice_gates_high(y, 8192 - tq_twice_gates_high(denominator, y)) * 4);
    y += tq_limit16(tq_twice_gates_high(y, 8192 - tq_twice_gates_high(denominator, y)) * 4);
    y += tq_limit16(tq_twice_gates_high(y, 8192 - tq_twice_gates_high(denominator, y)) * 4);
    return y;
}

static inline int32_t tq_twice_gates_logistic(int32_t raw, int32_t bits)
{
    if (raw == 0) {
        return 16384;
    }
    const int32_t share = tq_limit16(tq_twice_gates_share(raw > 0 ? -raw : raw, bits) * 2);
    return raw > 0 ? share : 32767 - share;
}

static inline int32_t tq_twice_gates_tanh(int32_t raw, int32_t bits)
{
    if (raw == 0) {
        return 0;
    }
    const int32_t share = tq_twice_gates_share(raw > 0 ? -raw : raw, bits + 1);
    const int32_t magnitude = tq_limit16((share - 8192) * 4);
    return raw > 0 ? magnitude : -magnitude;
}

static TQ_NAKED void
tq_widen_7(const int8_t *x __attribute__((unused)), void *wide __attribute__((unused)))
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
        "ldrsb r3, [r0, #1]\n"
        "strh r3, [r1, #4]\n"
        "ldrsb r3, [r0, #2]\n"
        "strh r3, [r1, #2]\n"
        "pop {r4-r6, pc}\n"
    );
}


static TQ_NAKED void
tq_widen_4(const int8_t *x __attribute__((unused)), void *wide __attribute__((unused)))
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
        "pop {r4-r6, pc}\n"
    );
}


static TQ_NAKED void
tq_tflitelstmstates_s8_s8_armv7em_lanes_product_x(const uint32_t *w __attribute__((unused)), const void *x __attribute__((unused)), void *y __attribute__((unused)))
{
    __asm__ volatile(
        ".syntax unified\n"
        "push {r4-r11, lr}\n"
        "sub sp, #28\n"
        "movw r12, #16\n"
        "add r12, r12, r1\n"
        "movw r3, #4\n"
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
tq_tflitelstmstates_s8_s8_armv7em_lanes_product_h(const uint32_t *w __attribute__((unused)), const void *x __attribute__((unused)), void *y __attribute__((unused)))
{
    __asm__ volatile(
        ".syntax unified\n"
        "push {r4-r11, lr}\n"
        "sub sp, #28\n"
        "movw r12, #16\n"
        "add r12, r12, r1\n"
        "movw r3, #4\n"
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


/* 5 steps of 7 inputs and 4 cells, products four channels at a time. */
static void tq_tflitelstmstates_s8_s8_armv7em_lanes(const int8_t *x, const int8_t *state, const uint32_t *w_x, const uint32_t *w_h, int8_t *y, void *scratch)
{
    int32_t *const x_sums = scratch;
    int32_t *const h_sums = (int32_t *)scratch + 16;
    void *const wide = (int32_t *)scratch + 32;
    int16_t *const cells = (int16_t *)((uint8_t *)scratch + 144);
    int8_t *const hidden = (int8_t *)scratch + 152;
    for (int32_t c = 0; c < 4; c++) {
        cells[c] = (int16_t)(256 * state[8 + c] + state[4 + c] + 128);
        hidden[c] = state[c];
    }
    for (int32_t t = 0; t < 5; t++) {
        tq_widen_7(x, wide);
        tq_tflitelstmstates_s8_s8_armv7em_lanes_product_x(w_x, wide, x_sums);
        tq_widen_4(hidden, wide);
        tq_tflitelstmstates_s8_s8_armv7em_lanes_product_h(w_h, wide, h_sums);
        for (int32_t c = 0; c < 4; c++) {
            const int32_t input_x = tq_twice_gates_scale(x_sums[0 + c] * 1, 1576891283);
            const int32_t input_h = tq_twice_gates_scale(h_sums[0 + c] * 1, 1873807800);
            const int32_t input = tq_limit16(tq_limit16(tq_twice_gates_divide(input_x, 3)) + tq_twice_gates_divide(input_h, 1));
            const int32_t forget_x = tq_twice_gates_scale(x_sums[4 + c] * 1, 1789609362);
            const int32_t forget_h = tq_twice_gates_scale(h_sums[4 + c] * 1, 1999633555);
            const int32_t forget = tq_limit16(tq_limit16(tq_twice_gates_divide(forget_x, 2)) + tq_twice_gates_divide(forget_h, 0));
            const int32_t update_x = tq_twice_gates_scale(x_sums[8 + c] * 1, 1567532874);
            const int32_t update_h = tq_twice_gates_scale(h_sums[8 + c] * 1, 2133931219);
            const int32_t update = tq_limit16(tq_limit16(tq_twice_gates_divide(update_x, 3)) + tq_twice_gates_divide(update_h, 2));
            const int32_t output_x = tq_twice_gates_scale(x_sums[12 + c] * 1, 1294739101);
            const int32_t output_h = tq_twice_gates_scale(h_sums[12 + c] * 2, 2002825104);
            const int32_t output = tq_limit16(tq_limit16(tq_twice_gates_divide(output_x, 1)) + tq_twice_gates_divide(output_h, 0));
            const int32_t kept = tq_twice_gates_divide(tq_twice_gates_logistic(forget, 3) * cells[c], 15);
            const int32_t added = tq_twice_gates_divide(tq_twice_gates_logistic(input, 3) * tq_twice_gates_tanh(update, 3), 21);
            int32_t cell = tq_limit16(kept + added);
            cells[c] = (int16_t)cell;
            const int32_t shown = tq_twice_gates_logistic(output, 3) * tq_twice_gates_tanh(cell, 6);
            const int32_t code = tq_twice_gates_divide(tq_twice_gates_scale(shown, 1693727291), 22);
            hidden[c] = (int8_t)tq_clip(code + 16, -128, 127);
            y[c] = hidden[c];
        }
        x += 7;
        y += 4;
    }
    for (int32_t c = 0; c < 4; c++) {
        y[c] = (int8_t)((cells[c] & 255) - 128);
        y[4 + c] = (int8_t)(cells[c] >> 8);
    }
}
