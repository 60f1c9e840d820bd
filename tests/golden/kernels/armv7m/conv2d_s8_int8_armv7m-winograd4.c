/* conv2d_s8_int8_armv7m-winograd4: s8[4,16,8], d2[8,3,3,8] -> s8[4,16,8] by requantizetwice */
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
static __attribute__((noinline)) void tq_tiles_down_144_8(const uint32_t *lines, uint32_t *t)
{
    for (int32_t k = 0; k < 2; k++) {
        const uint32_t *at = lines + k;
        for (int32_t c = 0; c < 18; c++) {
            for (int32_t odd = 0; odd < 16; odd += 8) {
                uint32_t d[6];
                for (int32_t i = 0; i < 6; i++) {
                    d[i] = ((at[i * 36] ^ 0x80808080u) >> odd) & 0x00ff00ffu;
                }
                tq_tile_six(d, t);
                t += 6;
            }
            at += 2;
        }
    }
}

/* Pairs of six columns to a tile's places in the panel [36][channel][2]. */
static __attribute__((noinline)) void tq_tiles_down_144_8_across(const uint32_t *t, int32_t *panel)
{
    for (int32_t k = 0; k < 2; k++) {
        for (int32_t odd = 0; odd < 2; odd++) {
            int32_t *to = panel + 2 * odd;
            for (int32_t row = 0; row < 6; row++) {
                const uint32_t d[6] = {t[0], t[12], t[24], t[36], t[48], t[60]};
                uint32_t v[6];
                tq_tile_six(d, v);
                for (int32_t j = 0; j < 6; j++) {
                    const int32_t low = (int16_t)v[j];
                    to[j * 16] = low;
                    to[j * 16 + 4] = (int32_t)(v[j] - (uint32_t)low) >> 16;
                }
                to += 96;
                t++;
            }
        }
        panel += 8;
        t += 204;
    }
}

static TQ_NAKED void
tq_tiles_8(const uint32_t *w __attribute__((unused)), const int32_t *panel __attribute__((unused)), int32_t *m __attribute__((unused)))
{
    __asm__ volatile(
        ".syntax unified\n"
        "push {r4-r11, lr}\n"
        "sub sp, #12\n"
        "str r2, [sp]\n"
        "movw r3, #2304\n"
        "add r3, r3, r1\n"
        "str r3, [sp, #4]\n"
        "1:\n"
        "ldm r1!, {r10, r11}\n"
        "ldrsh r12, [r0], #2\n"
        "mul r2, r10, r12\n"
        "mul r3, r11, r12\n"
        "ldrsh r12, [r0], #2\n"
        "mul r4, r10, r12\n"
        "mul r5, r11, r12\n"
        "ldrsh r12, [r0], #2\n"
        "mul r6, r10, r12\n"
        "mul r7, r11, r12\n"
        "ldrsh r12, [r0], #2\n"
        "mul r8, r10, r12\n"
        "mul r9, r11, r12\n"
        ".rept 7\n"
        "ldm r1!, {r10, r11}\n"
        "ldrsh r12, [r0], #2\n"
        "mla r2, r10, r12, r2\n"
        "mla r3, r11, r12, r3\n"
        "ldrsh r12, [r0], #2\n"
        "mla r4, r10, r12, r4\n"
        "mla r5, r11, r12, r5\n"
        "ldrsh r12, [r0], #2\n"
        "mla r6, r10, r12, r6\n"
        "mla r7, r11, r12, r7\n"
        "ldrsh r12, [r0], #2\n"
        "mla r8, r10, r12, r8\n"
        "mla r9, r11, r12, r9\n"
        ".endr\n"
        "ldr r12, [sp]\n"
        "ldr r10, [sp, #4]\n"
        "stm r12!, {r2-r9}\n"
        "str r12, [sp]\n"
        "cmp r1, r10\n"
        "bne 1b\n"
        "add sp, #12\n"
        "pop {r4-r11, pc}\n"
    );
}


static inline int32_t tq_conv2d_s8_d2_requantizetwice_s8_armv7m_winograd4_code(int32_t acc, const int32_t *constants)
{
    const int64_t product = (int64_t)(2 * acc) * constants[2] + 0x80000000;
    int32_t high = (int32_t)(product >> 32) + constants[3] + (acc >> 31);
    int32_t code = high >> constants[1];
    __asm__(".syntax unified\n"
        "ssat %0, #8, %0, asr #0\n"
            : "+r"(code));
    return code;
}


/* One tile of one channel: sums m[36], 8 words apart, to 4 x 4 outputs. */
static __attribute__((noinline)) void tq_conv2d_s8_d2_requantizetwice_s8_armv7m_winograd4_finish(const int32_t *m, int8_t *y, const int32_t *constants)
{
    uint32_t t[24];
    for (int32_t j = 0; j < 6; j++) {
        const uint32_t column[6] = {(uint32_t)m[0], (uint32_t)m[48], (uint32_t)m[96], (uint32_t)m[144], (uint32_t)m[192], (uint32_t)m[240]};
        tq_tile_four(column, t + j, 6);
        m += 8;
    }
    {
        uint32_t o[4];
        tq_tile_four(t + 0, o, 1);
        y[0] = (int8_t)tq_conv2d_s8_d2_requantizetwice_s8_armv7m_winograd4_code(((int32_t)(o[0] * 954437177u) >> 6) + constants[0], constants);
        y[8] = (int8_t)tq_conv2d_s8_d2_requantizetwice_s8_armv7m_winograd4_code(((int32_t)(o[1] * 954437177u) >> 5) + constants[0], constants);
        y[16] = (int8_t)tq_conv2d_s8_d2_requantizetwice_s8_armv7m_winograd4_code(((int32_t)(o[2] * 954437177u) >> 4) + constants[0], constants);
        y[24] = (int8_t)tq_conv2d_s8_d2_requantizetwice_s8_armv7m_winograd4_code(((int32_t)(o[3] * 954437177u) >> 4) + constants[0], constants);
    }
    {
        uint32_t o[4];
        tq_tile_four(t + 6, o, 1);
        y[128] = (int8_t)tq_conv2d_s8_d2_requantizetwice_s8_armv7m_winograd4_code(((int32_t)(o[0] * 954437177u) >> 5) + constants[0], constants);
        y[136] = (int8_t)tq_conv2d_s8_d2_requantizetwice_s8_armv7m_winograd4_code(((int32_t)(o[1] * 954437177u) >> 4) + constants[0], constants);
        y[144] = (int8_t)tq_conv2d_s8_d2_requantizetwice_s8_armv7m_winograd4_code(((int32_t)(o[2] * 954437177u) >> 3) + constants[0], constants);
        y[152] = (int8_t)tq_conv2d_s8_d2_requantizetwice_s8_armv7m_winograd4_code(((int32_t)(o[3] * 954437177u) >> 3) + constants[0], constants);
    }
    {
        uint32_t o[4];
        tq_tile_four(t + 12, o, 1);
        y[256] = (int8_t)tq_conv2d_s8_d2_requantizetwice_s8_armv7m_winograd4_code(((int32_t)(o[0] * 954437177u) >> 4) + constants[0], constants);
        y[264] = (int8_t)tq_conv2d_s8_d2_requantizetwice_s8_armv7m_winograd4_code(((int32_t)(o[1] * 954437177u) >> 3) + constants[0], constants);
        y[272] = (int8_t)tq_conv2d_s8_d2_requantizetwice_s8_armv7m_winograd4_code(((int32_t)(o[2] * 954437177u) >> 2) + constants[0], constants);
        y[280] = (int8_t)tq_conv2d_s8_d2_requantizetwice_s8_armv7m_winograd4_code(((int32_t)(o[3] * 954437177u) >> 2) + constants[0], constants);
    }
    {
        uint32_t o[4];
        tq_tile_four(t + 18, o, 1);
        y[384] = (int8_t)tq_conv2d_s8_d2_requantizetwice_s8_armv7m_winograd4_code(((int32_t)(o[0] * 954437177u) >> 4) + constants[0], constants);
        y[392] = (int8_t)tq_conv2d_s8_d2_requantizetwice_s8_armv7m_winograd4_code(((int32_t)(o[1] * 954437177u) >> 3) + constants[0], constants);
        y[400] = (int8_t)tq_conv2d_s8_d2_requantizetwice_s8_armv7m_winograd4_code(((int32_t)(o[2] * 954437177u) >> 2) + constants[0], constants);
        y[408] = (int8_t)tq_conv2d_s8_d2_requantizetwice_s8_armv7m_winograd4_code(((int32_t)(o[3] * 954437177u) >> 2) + constants[0], constants);
    }
}

/* 4 x 16 x 8 by 8 channels, in tiles of 4 x 4, two at a time. The lines of x under
 * a line of tiles are copied before its outputs are written, and the last two stay for the next. */
static void tq_conv2d_s8_d2_requantizetwice_s8_armv7m_winograd4(const int8_t *x, const uint32_t *w, const uint32_t *constants, int8_t *y, void *scratch)
{
    uint32_t *const lines = scratch;
    uint32_t *const t = lines + 216;
    int32_t *const panel = (int32_t *)t + 432;
    int32_t *const m = panel + 576;
    int8_t *to[2];
    int32_t slot = 0;
    tq_fill(lines, 216, 4160223223u);
    for (int32_t r = 0; r < 4; r += 4) {
        tq_copy_fours(lines, lines + 144, 36);
        if (r > 0) {
            tq_copy_fours(lines + 36, lines + 180, 36);
        }
        for (int32_t i = r > 0 ? 2 : 1; i < 6; i++) {
            const int32_t from = r + i - 1;
            uint32_t *const at = lines + i * 36 + 2;
            if (from < 4) {
                tq_copy_fours(at, (const uint32_t *)(const void *)(x + from * 128), 32);
            } else {
                tq_fill(at, 32, 4160223223u);
            }
        }
        tq_tiles_down_144_8(lines, t);
        for (int32_t c = 0; c < 16; c += 4) {
            tq_tiles_down_144_8_across(t + c * 12, panel + slot);
            to[slot] = y + (r * 16 + c) * 8;
            slot++;
            if (slot == 2) {
                slot = 0;
                for (int32_t o = 0; o < 8; o += 4) {
                    tq_tiles_8(w + o * 144, panel, m);
                    for (int32_t i = 0; i < 8; i++) {
                        const int32_t channel = o + i / 2;
                        tq_conv2d_s8_d2_requantizetwice_s8_armv7m_winograd4_finish(m + i, to[i % 2] + channel, (const int32_t *)constants + 4 * channel);
                    }
                }
            }
        }
    }
}
