/* conv2d_s8_int8_armv7em-winograd4: s8[4,16,32], s8[8,3,3,32] -> s8[4,16,8] by requantize */
static void tq_fill(uint32_t *to, int32_t words, uint32_t value)
{
    for (int32_t i = 0; i < words; i++) {
        to[i] = value;
    }
}

static void tq_copy_fours(uint32_t *to, const uint32_t *from, int32_t words)
{
    for (int32_t i = 0; i < words; i += 2) {
        const uint32_t a = from[i];
        const uint32_t b = from[i + 1];
        to[i] = a;
        to[i + 1] = b;
    }
}

static inline uint32_t tq_widen(uint32_t x)
{
    uint32_t y;
    __asm__("sxtb16 %0, %1" : "=r"(y) : "r"(x));
    return y;
}

static inline uint32_t tq_widen_odd(uint32_t x)
{
    uint32_t y;
    __asm__("sxtb16 %0, %1, ror #8" : "=r"(y) : "r"(x));
    return y;
}

static inline uint32_t tq_plus(uint32_t x, uint32_t y)
{
    uint32_t z;
    __asm__("sadd16 %0, %1, %2" : "=r"(z) : "r"(x), "r"(y));
    return z;
}

static inline uint32_t tq_minus(uint32_t x, uint32_t y)
{
    uint32_t z;
    __asm__("ssub16 %0, %1, %2" : "=r"(z) : "r"(x), "r"(y));
    return z;
}

static inline uint32_t tq_double(uint32_t x)
{
    return tq_plus(x, x);
}

static inline int32_t tq_high(int32_t x, int32_t y, int32_t addend)
{
    int32_t z;
    __asm__("smmla %0, %1, %2, %3" : "=r"(z) : "r"(x), "r"(y), "r"(addend));
    return z;
}

/* Input transform of six pairs of int16, to places `step` apart. */
static inline void tq_six(const uint32_t d[6], uint32_t *to, int32_t step)
{
    const uint32_t a = tq_minus(d[4], tq_double(tq_double(d[2])));
    const uint32_t b = tq_minus(d[3], tq_double(tq_double(d[1])));
    const uint32_t c = tq_minus(d[4], d[2]);
    const uint32_t e = tq_double(tq_minus(d[3], d[1]));
    to[0] = tq_plus(tq_double(tq_double(tq_minus(d[0], d[2]))), c);
    to[step] = tq_plus(a, b);
    to[2 * step] = tq_minus(a, b);
    to[3 * step] = tq_plus(c, e);
    to[4 * step] = tq_minus(c, e);
    to[5 * step] = tq_minus(tq_minus(d[5], d[3]), tq_double(e));
}

/* Output transform of six sums, modulo 2^32, to places `step` apart. */
static inline void tq_four(const uint32_t m[6], uint32_t *to, int32_t step)
{
    const uint32_t s = m[1] + m[2];
    const uint32_t d = m[1] - m[2];
    const uint32_t p = m[3] + m[4];
    const uint32_t q = m[3] - m[4];
    to[0] = 6u * m[0] + p + 4u * s;
    to[step] = q + 2u * d;
    to[2 * step] = s + p;
    to[3 * step] = d + 2u * q + 6u * m[5];
}

/* Six padded lines of bytes to positions [word][column][lane][6]. */
static __attribute__((noinline)) void tq_down_576_32(const uint32_t *lines, uint32_t *t)
{
    for (int32_t k = 0; k < 8; k++) {
        for (int32_t c = 0; c < 18; c++) {
            const uint32_t *const at = lines + c * 8 + k;
            uint32_t even[6];
            uint32_t odd[6];
            for (int32_t i = 0; i < 6; i++) {
                even[i] = tq_widen(at[i * 144]);
                odd[i] = tq_widen_odd(at[i * 144]);
            }
            tq_six(even, t, 1);
            tq_six(odd, t + 6, 1);
            t += 12;
        }
    }
}

/* Positions of six columns to a tile's slot in the panel [pair of places][36][4]. */
static __attribute__((noinline)) void tq_down_576_32_across(const uint32_t *t, uint32_t *panel)
{
    for (int32_t k = 0; k < 8; k++) {
        for (int32_t place = 0; place < 12; place++) {
            const uint32_t d[6] = {t[0], t[12], t[24], t[36], t[48], t[60]};
            tq_six(d, panel, 4);
            panel += 24;
            t++;
        }
        t += 204;
    }
}

static TQ_NAKED void
tq_product36_16(const uint32_t *w __attribute__((unused)), const uint32_t *panel __attribute__((unused)), int32_t *m __attribute__((unused)))
{
    __asm__ volatile(
        ".syntax unified\n"
        "push {r4-r11, lr}\n"
        "sub sp, #12\n"
        "str r2, [sp]\n"
        "add r3, r1, #576\n"
        "str r3, [sp, #4]\n"
        "1:\n"
        "ldrd r10, r11, [r0], #8\n"
        "ldrd r12, lr, [r1], #8\n"
        "smuad r2, r12, r10\n"
        "smuad r3, lr, r10\n"
        "smuad r6, r12, r11\n"
        "smuad r7, lr, r11\n"
        "ldrd r12, lr, [r1], #568\n"
        "smuad r4, r12, r10\n"
        "smuad r5, lr, r10\n"
        "smuad r8, r12, r11\n"
        "smuad r9, lr, r11\n"
        ".rept 15\n"
        "ldrd r10, r11, [r0], #8\n"
        "ldrd r12, lr, [r1], #8\n"
        "smlad r2, r12, r10, r2\n"
        "smlad r3, lr, r10, r3\n"
        "smlad r6, r12, r11, r6\n"
        "smlad r7, lr, r11, r7\n"
        "ldrd r12, lr, [r1], #568\n"
        "smlad r4, r12, r10, r4\n"
        "smlad r5, lr, r10, r5\n"
        "smlad r8, r12, r11, r8\n"
        "smlad r9, lr, r11, r9\n"
        ".endr\n"
        "ldr r12, [sp]\n"
        "ldr r10, [sp, #4]\n"
        "stm r12!, {r2-r9}\n"
        "str r12, [sp]\n"
        "movw r12, #9200\n"
        "sub r1, r1, r12\n"
        "cmp r1, r10\n"
        "bne 1b\n"
        "add sp, #12\n"
        "pop {r4-r11, pc}\n"
    );
}


/* One tile of one channel: products m[36], eight words apart, to 4 x 4 outputs. */
static __attribute__((noinline)) void tq_conv2d_s8_s8_s8_armv7em_winograd4_finish(const int32_t *m, int8_t *y, uint32_t bias, int32_t multiplier)
{
    uint32_t t[24];
    for (int32_t j = 0; j < 6; j++) {
        const uint32_t column[6] = {(uint32_t)m[8 * j], (uint32_t)m[8 * j + 48], (uint32_t)m[8 * j + 96], (uint32_t)m[8 * j + 144], (uint32_t)m[8 * j + 192], (uint32_t)m[8 * j + 240]};
        tq_four(column, t + j, 6);
    }
    {
        uint32_t o[4];
        tq_four(t + 0, o, 1);
        {
            const int32_t high = tq_high((int32_t)(o[0] * 954437177u + (bias << 6)), multiplier, 28966912);
            int32_t code;
            __asm__("ssat %0, #8, %1, asr #18" : "=r"(code) : "r"(high));
            y[0] = (int8_t)code;
        }
        {
            const int32_t high = tq_high((int32_t)(o[1] * 954437177u + (bias << 5)), multiplier, 14483456);
            int32_t code;
            __asm__("ssat %0, #8, %1, asr #17" : "=r"(code) : "r"(high));
            y[8] = (int8_t)code;
        }
        {
            const int32_t high = tq_high((int32_t)(o[2] * 954437177u + (bias << 4)), multiplier, 7241728);
            int32_t code;
            __asm__("ssat %0, #8, %1, asr #16" : "=r"(code) : "r"(high));
            y[16] = (int8_t)code;
        }
        {
            const int32_t high = tq_high((int32_t)(o[3] * 954437177u + (bias << 4)), multiplier, 7241728);
            int32_t code;
            __asm__("ssat %0, #8, %1, asr #16" : "=r"(code) : "r"(high));
            y[24] = (int8_t)code;
        }
    }
    {
        uint32_t o[4];
        tq_four(t + 6, o, 1);
        {
            const int32_t high = tq_high((int32_t)(o[0] * 954437177u + (bias << 5)), multiplier, 14483456);
            int32_t code;
            __asm__("ssat %0, #8, %1, asr #17" : "=r"(code) : "r"(high));
            y[128] = (int8_t)code;
        }
        {
            const int32_t high = tq_high((int32_t)(o[1] * 954437177u + (bias << 4)), multiplier, 7241728);
            int32_t code;
            __asm__("ssat %0, #8, %1, asr #16" : "=r"(code) : "r"(high));
            y[136] = (int8_t)code;
        }
        {
            const int32_t high = tq_high((int32_t)(o[2] * 954437177u + (bias << 3)), multiplier, 3620864);
            int32_t code;
            __asm__("ssat %0, #8, %1, asr #15" : "=r"(code) : "r"(high));
            y[144] = (int8_t)code;
        }
        {
            const int32_t high = tq_high((int32_t)(o[3] * 954437177u + (bias << 3)), multiplier, 3620864);
            int32_t code;
            __asm__("ssat %0, #8, %1, asr #15" : "=r"(code) : "r"(high));
            y[152] = (int8_t)code;
        }
    }
    {
        uint32_t o[4];
        tq_four(t + 12, o, 1);
        {
            const int32_t high = tq_high((int32_t)(o[0] * 954437177u + (bias << 4)), multiplier, 7241728);
            int32_t code;
            __asm__("ssat %0, #8, %1, asr #16" : "=r"(code) : "r"(high));
            y[256] = (int8_t)code;
        }
        {
            const int32_t high = tq_high((int32_t)(o[1] * 954437177u + (bias << 3)), multiplier, 3620864);
            int32_t code;
            __asm__("ssat %0, #8, %1, asr #15" : "=r"(code) : "r"(high));
            y[264] = (int8_t)code;
        }
        {
            const int32_t high = tq_high((int32_t)(o[2] * 954437177u + (bias << 2)), multiplier, 1810432);
            int32_t code;
            __asm__("ssat %0, #8, %1, asr #14" : "=r"(code) : "r"(high));
            y[272] = (int8_t)code;
        }
        {
            const int32_t high = tq_high((int32_t)(o[3] * 954437177u + (bias << 2)), multiplier, 1810432);
            int32_t code;
            __asm__("ssat %0, #8, %1, asr #14" : "=r"(code) : "r"(high));
            y[280] = (int8_t)code;
        }
    }
    {
        uint32_t o[4];
        tq_four(t + 18, o, 1);
        {
            const int32_t high = tq_high((int32_t)(o[0] * 954437177u + (bias << 4)), multiplier, 7241728);
            int32_t code;
            __asm__("ssat %0, #8, %1, asr #16" : "=r"(code) : "r"(high));
            y[384] = (int8_t)code;
        }
        {
            const int32_t high = tq_high((int32_t)(o[1] * 954437177u + (bias << 3)), multiplier, 3620864);
            int32_t code;
            __asm__("ssat %0, #8, %1, asr #15" : "=r"(code) : "r"(high));
            y[392] = (int8_t)code;
        }
        {
            const int32_t high = tq_high((int32_t)(o[2] * 954437177u + (bias << 2)), multiplier, 1810432);
            int32_t code;
            __asm__("ssat %0, #8, %1, asr #14" : "=r"(code) : "r"(high));
            y[400] = (int8_t)code;
        }
        {
            const int32_t high = tq_high((int32_t)(o[3] * 954437177u + (bias << 2)), multiplier, 1810432);
            int32_t code;
            __asm__("ssat %0, #8, %1, asr #14" : "=r"(code) : "r"(high));
            y[408] = (int8_t)code;
        }
    }
}

/* 4 x 16 x 32 by 8 channels, in tiles of 4 x 4, four at a time. The lines of x under
 * a line of tiles are copied before its outputs are written, and the last two stay for the next. */
static void tq_conv2d_s8_s8_s8_armv7em_winograd4(const int8_t *x, const uint32_t *w, const uint32_t *constants, int8_t *y, void *scratch)
{
    uint32_t *const lines = scratch;
    uint32_t *const t = lines + 864;
    uint32_t *const panel = t + 1728;
    int32_t *const m = (int32_t *)panel + 2304;
    int8_t *to[4];
    int32_t slot = 0;
    tq_fill(lines, 864, 235802126u);
    for (int32_t r = 0; r < 4; r += 4) {
        tq_copy_fours(lines, lines + 576, 144);
        if (r > 0) {
            tq_copy_fours(lines + 144, lines + 720, 144);
        }
        for (int32_t i = r > 0 ? 2 : 1; i < 6; i++) {
            const int32_t from = r + i - 1;
            uint32_t *const at = lines + i * 144 + 8;
            if (from < 4) {
                tq_copy_fours(at, (const uint32_t *)(const void *)(x + from * 512), 128);
            } else {
                tq_fill(at, 128, 235802126u);
            }
        }
        tq_down_576_32(lines, t);
        for (int32_t c = 0; c < 16; c += 4) {
            tq_down_576_32_across(t + c * 12, panel + slot);
            to[slot] = y + (r * 16 + c) * 8;
            slot++;
            if (slot == 4) {
                slot = 0;
                for (int32_t o = 0; o < 8; o += 2) {
                    tq_product36_16(w + o * 576, panel, m);
                    for (int32_t i = 0; i < 8; i++) {
                        const int32_t channel = o + i / 4;
                        tq_conv2d_s8_s8_s8_armv7em_winograd4_finish(m + i, to[i % 4] + channel, constants[2 * channel], (int32_t)constants[2 * channel + 1]);
                    }
                }
            }
        }
    }
}
