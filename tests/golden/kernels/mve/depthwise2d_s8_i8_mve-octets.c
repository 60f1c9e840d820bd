/* depthwise2d_s8_i8_mve-octets: s8[7,12,4], s8[3,3,4] -> s8[7,12,4] by requantize */
static TQ_NAKED void
tq_copy_vectors(const void *from __attribute__((unused)), void *to __attribute__((unused)), int32_t bytes __attribute__((unused)))
{
    __asm__ volatile(
        ".syntax unified\n"
        "push {lr}\n"
        "dlstp.8 lr, r2\n"
        "1:\n"
        "vldrb.8 q0, [r0], #16\n"
        "vstrb.8 q0, [r1], #16\n"
        "letp lr, 1b\n"
        "pop {pc}\n"
    );
}


static TQ_NAKED void
tq_fill_vectors(void *to __attribute__((unused)), int32_t value __attribute__((unused)), int32_t bytes __attribute__((unused)))
{
    __asm__ volatile(
        ".syntax unified\n"
        "push {lr}\n"
        "vdup.8 q0, r1\n"
        "dlstp.8 lr, r2\n"
        "1:\n"
        "vstrb.8 q0, [r0], #16\n"
        "letp lr, 1b\n"
        "pop {pc}\n"
    );
}


static TQ_NAKED void
tq_depthwise2d_s8_s8_s8_mve_octets_product(const uint32_t *w __attribute__((unused)), const int8_t *x __attribute__((unused)), void *y __attribute__((unused)))
{
    __asm__ volatile(
        ".syntax unified\n"
        "push {r3-r9, lr}\n"
        "vpush {d8-d15}\n"
        "addw r3, r2, #4\n"
        "movw r9, #7\n"
        "movw r6, #4\n"
        "movw r12, #1\n"
        "dls lr, r12\n"
        "1:\n"
        "vldrw.u32 q0, [r0], #16\n"
        "vldrw.u32 q1, [r0], #16\n"
        "vmov q2, q0\n"
        "vmov q3, q1\n"
        "mov r4, r1\n"
        "vldrb.s16 q4, [r4]\n"
        "vldrb.s16 q5, [r4, #4]\n"
        "vldrb.s16 q6, [r0], #8\n"
        "vmullb.s16 q7, q4, q6\n"
        "vadd.i32 q0, q0, q7\n"
        "vmullt.s16 q7, q4, q6\n"
        "vadd.i32 q1, q1, q7\n"
        "vmullb.s16 q7, q5, q6\n"
        "vadd.i32 q2, q2, q7\n"
        "vmullt.s16 q7, q5, q6\n"
        "vadd.i32 q3, q3, q7\n"
        "vldrb.s16 q4, [r4, #8]\n"
        "vldrb.s16 q6, [r0], #8\n"
        "vmullb.s16 q7, q5, q6\n"
        "vadd.i32 q0, q0, q7\n"
        "vmullt.s16 q7, q5, q6\n"
        "vadd.i32 q1, q1, q7\n"
        "vmullb.s16 q7, q4, q6\n"
        "vadd.i32 q2, q2, q7\n"
        "vmullt.s16 q7, q4, q6\n"
        "vadd.i32 q3, q3, q7\n"
        "vldrb.s16 q5, [r4, #12]\n"
        "vldrb.s16 q6, [r0], #8\n"
        "vmullb.s16 q7, q4, q6\n"
        "vadd.i32 q0, q0, q7\n"
        "vmullt.s16 q7, q4, q6\n"
        "vadd.i32 q1, q1, q7\n"
        "vmullb.s16 q7, q5, q6\n"
        "vadd.i32 q2, q2, q7\n"
        "vmullt.s16 q7, q5, q6\n"
        "vadd.i32 q3, q3, q7\n"
        "addw r4, r4, #56\n"
        "vldrb.s16 q4, [r4]\n"
        "vldrb.s16 q5, [r4, #4]\n"
        "vldrb.s16 q6, [r0], #8\n"
        "vmullb.s16 q7, q4, q6\n"
        "vadd.i32 q0, q0, q7\n"
        "vmullt.s16 q7, q4, q6\n"
        "vadd.i32 q1, q1, q7\n"
        "vmullb.s16 q7, q5, q6\n"
        "vadd.i32 q2, q2, q7\n"
        "vmullt.s16 q7, q5, q6\n"
        "vadd.i32 q3, q3, q7\n"
        "vldrb.s16 q4, [r4, #8]\n"
        "vldrb.s16 q6, [r0], #8\n"
        "vmullb.s16 q7, q5, q6\n"
        "vadd.i32 q0, q0, q7\n"
        "vmullt.s16 q7, q5, q6\n"
        "vadd.i32 q1, q1, q7\n"
        "vmullb.s16 q7, q4, q6\n"
        "vadd.i32 q2, q2, q7\n"
        "vmullt.s16 q7, q4, q6\n"
        "vadd.i32 q3, q3, q7\n"
        "vldrb.s16 q5, [r4, #12]\n"
        "vldrb.s16 q6, [r0], #8\n"
        "vmullb.s16 q7, q4, q6\n"
        "vadd.i32 q0, q0, q7\n"
        "vmullt.s16 q7, q4, q6\n"
        "vadd.i32 q1, q1, q7\n"
        "vmullb.s16 q7, q5, q6\n"
        "vadd.i32 q2, q2, q7\n"
        "vmullt.s16 q7, q5, q6\n"
        "vadd.i32 q3, q3, q7\n"
        "addw r4, r4, #56\n"
        "vldrb.s16 q4, [r4]\n"
        "vldrb.s16 q5, [r4, #4]\n"
        "vldrb.s16 q6, [r0], #8\n"
        "vmullb.s16 q7, q4, q6\n"
        "vadd.i32 q0, q0, q7\n"
        "vmullt.s16 q7, q4, q6\n"
        "vadd.i32 q1, q1, q7\n"
        "vmullb.s16 q7, q5, q6\n"
        "vadd.i32 q2, q2, q7\n"
        "vmullt.s16 q7, q5, q6\n"
        "vadd.i32 q3, q3, q7\n"
        "vldrb.s16 q4, [r4, #8]\n"
        "vldrb.s16 q6, [r0], #8\n"
        "vmullb.s16 q7, q5, q6\n"
        "vadd.i32 q0, q0, q7\n"
        "vmullt.s16 q7, q5, q6\n"
        "vadd.i32 q1, q1, q7\n"
        "vmullb.s16 q7, q4, q6\n"
        "vadd.i32 q2, q2, q7\n"
        "vmullt.s16 q7, q4, q6\n"
        "vadd.i32 q3, q3, q7\n"
        "vldrb.s16 q5, [r4, #12]\n"
        "vldrb.s16 q6, [r0], #8\n"
        "vmullb.s16 q7, q4, q6\n"
        "vadd.i32 q0, q0, q7\n"
        "vmullt.s16 q7, q4, q6\n"
        "vadd.i32 q1, q1, q7\n"
        "vmullb.s16 q7, q5, q6\n"
        "vadd.i32 q2, q2, q7\n"
        "vmullt.s16 q7, q5, q6\n"
        "vadd.i32 q3, q3, q7\n"
        "vldrw.u32 q4, [r0], #16\n"
        "vmulh.s32 q0, q0, q4\n"
        "vadd.i32 q0, q0, r9\n"
        "vshr.s32 q0, q0, #1\n"
        "vmulh.s32 q2, q2, q4\n"
        "vadd.i32 q2, q2, r9\n"
        "vshr.s32 q2, q2, #1\n"
        "vldrw.u32 q4, [r0], #16\n"
        "vmulh.s32 q1, q1, q4\n"
        "vadd.i32 q1, q1, r9\n"
        "vshr.s32 q1, q1, #1\n"
        "vmulh.s32 q3, q3, q4\n"
        "vadd.i32 q3, q3, r9\n"
        "vshr.s32 q3, q3, #1\n"
        "vctp.16 r6\n"
        "subs r6, #8\n"
        "vqmovnb.s32 q0, q0\n"
        "vqmovnt.s32 q0, q1\n"
        "vqmovnb.s16 q0, q0\n"
        "vpst\n"
        "vstrbt.16 q0, [r2], #8\n"
        "vqmovnb.s32 q2, q2\n"
        "vqmovnt.s32 q2, q3\n"
        "vqmovnb.s16 q2, q2\n"
        "vpst\n"
        "vstrbt.16 q2, [r3], #8\n"
        "adds r1, #8\n"
        "le lr, 1b\n"
        "vpop {d8-d15}\n"
        "pop {r3-r9, pc}\n"
    );
}


/* Windows of 3 x 3 of 4 channels, two windows at a time; the last two of a line may overlap. */
static void tq_depthwise2d_s8_s8_s8_mve_octets(const int8_t *x, const uint32_t *w, int8_t *y, void *scratch)
{
    int8_t *const lines = scratch;
    int32_t held = 0;
    tq_fill_vectors(lines, -3, 184);
    for (int32_t r = 0; r < 7; r++) {
        for (int32_t i = 0; i < held; i++) {
            tq_copy_vectors(lines + (i + 1) * 56, lines + i * 56, 56);
        }
        for (int32_t i = held; i < 3; i++) {
            const int32_t from = r * 1 + i - 1;
            if (from < 0 || from >= 7) {
                tq_fill_vectors(lines + i * 56, -3, 56);
            } else {
                tq_copy_vectors(x + from * 48, lines + i * 56 + 4, 48);
            }
        }
        held = 2;
        for (int32_t p = 0; p < 12; p += 2) {
            const int32_t c = p < 10 ? p : 10;
            tq_depthwise2d_s8_s8_s8_mve_octets_product(w, lines + c * 4, y + (r * 12 + c) * 4);
        }
    }
}
