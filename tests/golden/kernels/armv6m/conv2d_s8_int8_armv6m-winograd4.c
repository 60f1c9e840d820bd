/* conv2d_s8_int8_armv6m-winograd4: s8[4,16,24], s8[4,3,3,24] -> u8[4,16,4] by requantize */
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

/* Input transform of six pairs. */
static inline void tq_tile_six(const uint32_t d[6], uint32_t v[6])
{
    const uint32_t a = d[4] - 4u * d[2];
    const uint32_t b = d[3] - 4u * d[1];
    const uint32_t c = d[4] - d[2];
    const uint32_t e = 2u * (d[3] - d[1]);
    v[0] = 4u * (d[0] - d[2]) + c;
    v[1] = a + b;
    v[2] = a - b;
    v[3] = c + e;
    v[4] = c - e;
    v[5] = d[5] - d[3] - 2u * e;
}

/* Output transform of six sums, to places `step` apart. */
static inline void tq_tile_four(const uint32_t m[6], uint32_t *to, int32_t step)
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

/* Six padded lines of bytes to pairs [word][column][even, odd][6]. Codes become unsigned. */
static __attribute__((noinline)) void tq_tiles_down_432_24(const uint32_t *lines, uint32_t *t)
{
    for (int32_t k = 0; k < 6; k++) {
        const uint32_t *at = lines + k;
        for (int32_t c = 0; c < 18; c++) {
            for (int32_t odd = 0; odd < 16; odd += 8) {
                uint32_t d[6];
                for (int32_t i = 0; i < 6; i++) {
                    d[i] = ((at[i * 108] ^ 0x80808080u) >> odd) & 0x00ff00ffu;
                }
                tq_tile_six(d, t);
                t += 6;
            }
            at += 6;
        }
    }
}

/* Pairs of six columns to a tile's places in the panel [36][channel][2]. */
static __attribute__((noinline)) void tq_tiles_down_432_24_across(const uint32_t *t, int32_t *panel)
{
    for (int32_t k = 0; k < 6; k++) {
        for (int32_t odd = 0; odd < 2; odd++) {
            int32_t *to = panel + 2 * odd;
            for (int32_t row = 0; row < 6; row++) {
                const uint32_t d[6] = {t[0], t[12], t[24], t[36], t[48], t[60]};
                uint32_t v[6];
                tq_tile_six(d, v);
                for (int32_t j = 0; j < 6; j++) {
                    const int32_t low = (int16_t)v[j];
                    to[j * 48] = low;
                    to[j * 48 + 4] = (int32_t)(v[j] - (uint32_t)low) >> 16;
                }
                to += 288;
                t++;
            }
        }
        panel += 8;
        t += 204;
    }
}

static TQ_NAKED void
tq_tiles_24(const uint32_t *w __attribute__((unused)), const int32_t *panel __attribute__((unused)), int32_t *m __attribute__((unused)))
{
    __asm__ volatile(
        ".syntax unified\n"
        "push {r4-r7, lr}\n"
        "mov r4, r8\n"
        "mov r5, r9\n"
        "mov r6, r10\n"
        "mov r7, r11\n"
        "push {r4-r7}\n"
        "sub sp, #8\n"
        "str r2, [sp]\n"
        "movs r3, #27\n"
        "lsls r3, r3, #8\n"
        "adds r3, r3, r1\n"
        "str r3, [sp, #4]\n"
        "1:\n"
        "movs r2, #192\n"
        "adds r2, r2, r1\n"
        "mov r12, r2\n"
        "movs r2, #0\n"
        "mov r8, r2\n"
        "mov r9, r2\n"
        "mov r10, r2\n"
        "mov r11, r2\n"
        "2:\n"
        ".rept 6\n"
        "ldm r0!, {r4, r7}\n"
        "ldm r1!, {r2, r3}\n"
        "sxth r5, r4\n"
        "asrs r4, r4, #16\n"
        "mov r6, r2\n"
        "muls r6, r5\n"
        "add r8, r6\n"
        "muls r5, r3\n"
        "add r9, r5\n"
        "muls r2, r4\n"
        "add r10, r2\n"
        "muls r3, r4\n"
        "add r11, r3\n"
        "ldm r1!, {r2, r3}\n"
        "sxth r5, r7\n"
        "asrs r7, r7, #16\n"
        "mov r6, r2\n"
        "muls r6, r5\n"
        "add r8, r6\n"
        "muls r5, r3\n"
        "add r9, r5\n"
        "muls r2, r7\n"
        "add r10, r2\n"
        "muls r3, r7\n"
        "add r11, r3\n"
        ".endr\n"
        "cmp r1, r12\n"
        "beq 3f\n"
        "b 2b\n"
        "3:\n"
        "ldr r6, [sp]\n"
        "mov r2, r8\n"
        "mov r3, r9\n"
        "mov r4, r10\n"
        "mov r5, r11\n"
        "stm r6!, {r2-r5}\n"
        "str r6, [sp]\n"
        "ldr r7, [sp, #4]\n"
        "cmp r1, r7\n"
        "beq 4f\n"
        "b 1b\n"
        "4:\n"
        "add sp, #8\n"
        "pop {r4-r7}\n"
        "mov r8, r4\n"
        "mov r9, r5\n"
        "mov r10, r6\n"
        "mov r11, r7\n"
        "pop {r4-r7, pc}\n"
    );
}


static inline int32_t tq_conv2d_s8_s8_u8_armv6m_winograd4_code(int32_t acc, const int32_t *constants)
{
    const int32_t multiplier = constants[1];
    const int32_t r = acc;
    const uint32_t low = (uint16_t)multiplier;
    const int32_t high = multiplier >> 16;
    const uint32_t r_low = (uint16_t)r;
    const int32_t r_high = r >> 16;
    const int32_t s = r_high * (int32_t)low + (int32_t)(r_low * low >> 16);
    const int32_t t = (int32_t)r_low * high + (uint16_t)s;
    const int32_t upper = r_high * high + (s >> 16) + (t >> 16);
    int32_t code = (upper + 64640) >> 8;
    if ((uint32_t)code > 255u) {
        code = ~(code >> 31) & 255;
    }
    return code;
}


/* One tile of one channel: sums m[36], 4 words apart, to 4 x 4 outputs. */
static __attribute__((noinline)) void tq_conv2d_s8_s8_u8_armv6m_winograd4_finish(const int32_t *m, uint8_t *y, const int32_t *constants)
{
    uint32_t t[24];
    for (int32_t j = 0; j < 6; j++) {
        const uint32_t column[6] = {(uint32_t)m[0], (uint32_t)m[24], (uint32_t)m[48], (uint32_t)m[72], (uint32_t)m[96], (uint32_t)m[120]};
        tq_tile_four(column, t + j, 6);
        m += 4;
    }
    {
        uint32_t o[4];
        tq_tile_four(t + 0, o, 1);
        y[0] = (uint8_t)tq_conv2d_s8_s8_u8_armv6m_winograd4_code(((int32_t)(o[0] * 954437177u) >> 6) + constants[0], constants);
        y[4] = (uint8_t)tq_conv2d_s8_s8_u8_armv6m_winograd4_code(((int32_t)(o[1] * 954437177u) >> 5) + constants[0], constants);
        y[8] = (uint8_t)tq_conv2d_s8_s8_u8_armv6m_winograd4_code(((int32_t)(o[2] * 954437177u) >> 4) + constants[0], constants);
        y[12] = (uint8_t)tq_conv2d_s8_s8_u8_armv6m_winograd4_code(((int32_t)(o[3] * 954437177u) >> 4) + constants[0], constants);
    }
    {
        uint32_t o[4];
        tq_tile_four(t + 6, o, 1);
        y[64] = (uint8_t)tq_conv2d_s8_s8_u8_armv6m_winograd4_code(((int32_t)(o[0] * 954437177u) >> 5) + constants[0], constants);
        y[68] = (uint8_t)tq_conv2d_s8_s8_u8_armv6m_winograd4_code(((int32_t)(o[1] * 954437177u) >> 4) + constants[0], constants);
        y[72] = (uint8_t)tq_conv2d_s8_s8_u8_armv6m_winograd4_code(((int32_t)(o[2] * 954437177u) >> 3) + constants[0], constants);
        y[76] = (uint8_t)tq_conv2d_s8_s8_u8_armv6m_winograd4_code(((int32_t)(o[3] * 954437177u) >> 3) + constants[0], constants);
    }
    {
        uint32_t o[4];
        tq_tile_four(t + 12, o, 1);
        y[128] = (uint8_t)tq_conv2d_s8_s8_u8_armv6m_winograd4_code(((int32_t)(o[0] * 954437177u) >> 4) + constants[0], constants);
        y[132] = (uint8_t)tq_conv2d_s8_s8_u8_armv6m_winograd4_code(((int32_t)(o[1] * 954437177u) >> 3) + constants[0], constants);
        y[136] = (uint8_t)tq_conv2d_s8_s8_u8_armv6m_winograd4_code(((int32_t)(o[2] * 954437177u) >> 2) + constants[0], constants);
        y[140] = (uint8_t)tq_conv2d_s8_s8_u8_armv6m_winograd4_code(((int32_t)(o[3] * 954437177u) >> 2) + constants[0], constants);
    }
    {
        uint32_t o[4];
        tq_tile_four(t + 18, o, 1);
        y[192] = (uint8_t)tq_conv2d_s8_s8_u8_armv6m_winograd4_code(((int32_t)(o[0] * 954437177u) >> 4) + constants[0], constants);
        y[196] = (uint8_t)tq_conv2d_s8_s8_u8_armv6m_winograd4_code(((int32_t)(o[1] * 954437177u) >> 3) + constants[0], constants);
        y[200] = (uint8_t)tq_conv2d_s8_s8_u8_armv6m_winograd4_code(((int32_t)(o[2] * 954437177u) >> 2) + constants[0], constants);
        y[204] = (uint8_t)tq_conv2d_s8_s8_u8_armv6m_winograd4_code(((int32_t)(o[3] * 954437177u) >> 2) + constants[0], constants);
    }
}

/* 4 x 16 x 24 by 4 channels, in tiles of 4 x 4, two at a time. The lines of x under
 * a line of tiles are copied before its outputs are written, and the last two stay for the next. */
static void tq_conv2d_s8_s8_u8_armv6m_winograd4(const int8_t *x, const uint32_t *w, const uint32_t *constants, uint8_t *y, void *scratch)
{
    uint32_t *const lines = scratch;
    uint32_t *const t = lines + 648;
    int32_t *const panel = (int32_t *)t + 1296;
    int32_t *const m = panel + 1728;
    uint8_t *to[2];
    int32_t slot = 0;
    tq_fill(lines, 648, 2088533116u);
    for (int32_t r = 0; r < 4; r += 4) {
        tq_copy_fours(lines, lines + 432, 108);
        if (r > 0) {
            tq_copy_fours(lines + 108, lines + 540, 108);
        }
        for (int32_t i = r > 0 ? 2 : 1; i < 6; i++) {
            const int32_t from = r + i - 1;
            uint32_t *const at = lines + i * 108 + 6;
            if (from < 4) {
                tq_copy_fours(at, (const uint32_t *)(const void *)(x + from * 384), 96);
            } else {
                tq_fill(at, 96, 2088533116u);
            }
        }
        tq_tiles_down_432_24(lines, t);
        for (int32_t c = 0; c < 16; c += 4) {
            tq_tiles_down_432_24_across(t + c * 12, panel + slot);
            to[slot] = y + (r * 16 + c) * 4;
            slot++;
            if (slot == 2) {
                slot = 0;
                for (int32_t o = 0; o < 4; o += 2) {
                    tq_tiles_24(w + o * 432, panel, m);
                    for (int32_t i = 0; i < 4; i++) {
                        const int32_t channel = o + i / 2;
                        tq_conv2d_s8_s8_u8_armv6m_winograd4_finish(m + i, to[i % 2] + channel, (const int32_t *)constants + 2 * channel);
                    }
                }
            }
        }
    }
}
