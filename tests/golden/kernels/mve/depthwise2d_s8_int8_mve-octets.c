/* depthwise2d_s8_int8_mve-octets: s8[2,8,5], c2[3,3,5] -> s8[2,8,5] by requantizetwice */
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
tq_depthwise2d_s8_c2_requantizetwice_s8_mve_octets_product(const uint32_t *w __attribute__((unused)), const int8_t *x __attribute__((unused)), void *y __attribute__((unused)))
{
    __asm__ volatile(
        ".syntax unified\n"
        "push {r3-r9, lr}\n"
        "vpush {d8-d15}\n"
        "addw r3, r2, #5\n"
        "movw r9, #3\n"
        "movw r6, #5\n"
        "movw r12, #1\n"
        "dls lr, r12\n"
        "1:\n"
        "vldrw.u32 q0, [r0], #16\n"
        "vldrw.u32 q1, [r0], #16\n"
        "vmov q2, q0\n"
        "vmov q3, q1\n"
        "mov r4, r1\n"
        "vldrb.s16 q4, [r4]\n"
        "vldrb.s16 q5, [r4, #5]\n"
        "vldrb.s16 q6, [r0], #8\n"
        "vmullb.s16 q7, q4, q6\n"
        "vadd.i32 q0, q0, q7\n"
        "vmullt.s16 q7, q4, q6\n"
        "vadd.i32 q1, q1, q7\n"
        "vmullb.s16 q7, q5, q6\n"
        "vadd.i32 q2, q2, q7\n"
        "vmullt.s16 q7, q5, q6\n"
        "vadd.i32 q3, q3, q7\n"
        "vldrb.s16 q4, [r4, #10]\n"
        "vldrb.s16 q6, [r0], #8\n"
        "vmullb.s16 q7, q5, q6\n"
        "vadd.i32 q0, q0, q7\n"
        "vmullt.s16 q7, q5, q6\n"
        "vadd.i32 q1, q1, q7\n"
        "vmullb.s16 q7, q4, q6\n"
        "vadd.i32 q2, q2, q7\n"
        "vmullt.s16 q7, q4, q6\n"
        "vadd.i32 q3, q3, q7\n"
        "vldrb.s16 q5, [r4, #15]\n"
        "vldrb.s16 q6, [r0], #8\n"
        "vmullb.s16 q7, q4, q6\n"
        "vadd.i32 q0, q0, q7\n"
        "vmullt.s16 q7, q4, q6\n"
        "vadd.i32 q1, q1, q7\n"
        "vmullb.s16 q7, q5, q6\n"
        "vadd.i32 q2, q2, q7\n"
        "vmullt.s16 q7, q5, q6\n"
        "vadd.i32 q3, q3, q7\n"
        "addw r4, r4, #52\n"
        "vldrb.s16 q4, [r4]\n"
        "vldrb.s16 q5, [r4, #5]\n"
        "vldrb.s16 q6, [r0], #8\n"
        "vmullb.s16 q7, q4, q6\n"
        "vadd.i32 q0, q0, q7\n"
        "vmullt.s16 q7, q4, q6\n"
        "vadd.i32 q1, q1, q7\n"
        "vmullb.s16 q7, q5, q6\n"
        "vadd.i32 q2, q2, q7\n"
        "vmullt.s16 q7, q5, q6\n"
        "vadd.i32 q3, q3, q7\n"
        "vldrb.s16 q4, [r4, #10]\n"
        "vldrb.s16 q6, [r0], #8\n"
        "vmullb.s16 q7, q5, q6\n"
        "vadd.i32 q0, q0, q7\n"
        "vmullt.s16 q7, q5, q6\n"
        "vadd.i32 q1, q1, q7\n"
        "vmullb.s16 q7, q4, q6\n"
        "vadd.i32 q2, q2, q7\n"
        "vmullt.s16 q7, q4, q6\n"
        "vadd.i32 q3, q3, q7\n"
        "vldrb.s16 q5, [r4, #15]\n"
        "vldrb.s16 q6, [r0], #8\n"
        "vmullb.s16 q7, q4, q6\n"
        "vadd.i32 q0, q0, q7\n"
        "vmullt.s16 q7, q4, q6\n"
        "vadd.i32 q1, q1, q7\n"
        "vmullb.s16 q7, q5, q6\n"
        "vadd.i32 q2, q2, q7\n"
        "vmullt.s16 q7, q5, q6\n"
        "vadd.i32 q3, q3, q7\n"
        "addw r4, r4, #52\n"
        "vldrb.s16 q4, [r4]\n"
        "vldrb.s16 q5, [r4, #5]\n"
        "vldrb.s16 q6, [r0], #8\n"
        "vmullb.s16 q7, q4, q6\n"
        "vadd.i32 q0, q0, q7\n"
        "vmullt.s16 q7, q4, q6\n"
        "vadd.i32 q1, q1, q7\n"
        "vmullb.s16 q7, q5, q6\n"
        "vadd.i32 q2, q2, q7\n"
        "vmullt.s16 q7, q5, q6\n"
        "vadd.i32 q3, q3, q7\n"
        "vldrb.s16 q4, [r4, #10]\n"
        "vldrb.s16 q6, [r0], #8\n"
        "vmullb.s16 q7, q5, q6\n"
        "vadd.i32 q0, q0, q7\n"
        "vmullt.s16 q7, q5, q6\n"
        "vadd.i32 q1, q1, q7\n"
        "vmullb.s16 q7, q4, q6\n"
        "vadd.i32 q2, q2, q7\n"
        "vmullt.s16 q7, q4, q6\n"
        "vadd.i32 q3, q3, q7\n"
        "vldrb.s16 q5, [r4, #15]\n"
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
        "vldrw.u32 q5, [r0], #16\n"
        "vqrdmulh.s32 q0, q0, q4\n"
        "vand q6, q0, q5\n"
        "vshr.s32 q6, q6, #31\n"
        "vadd.i32 q0, q0, q6\n"
        "vrshl.s32 q0, q0, q5\n"
        "vadd.i32 q0, q0, r9\n"
        "vqrdmulh.s32 q2, q2, q4\n"
        "vand q6, q2, q5\n"
        "vshr.s32 q6, q6, #31\n"
        "vadd.i32 q2, q2, q6\n"
        "vrshl.s32 q2, q2, q5\n"
        "vadd.i32 q2, q2, r9\n"
        "vldrw.u32 q4, [r0], #16\n"
        "vldrw.u32 q5, [r0], #16\n"
        "vqrdmulh.s32 q1, q1, q4\n"
        "vand q6, q1, q5\n"
        "vshr.s32 q6, q6, #31\n"
        "vadd.i32 q1, q1, q6\n"
        "vrshl.s32 q1, q1, q5\n"
        "vadd.i32 q1, q1, r9\n"
        "vqrdmulh.s32 q3, q3, q4\n"
        "vand q6, q3, q5\n"
        "vshr.s32 q6, q6, #31\n"
        "vadd.i32 q3, q3, q6\n"
        "vrshl.s32 q3, q3, q5\n"
        "vadd.i32 q3, q3, r9\n"
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


/* Windows of 3 x 3 of 5 channels, two windows at a time; the last two of a line may overlap. */
static void tq_depthwise2d_s8_c2_requantizetwice_s8_mve_octets(const int8_t *x, const uint32_t *w, int8_t *y, void *scratch)
{
    int8_t *const lines = scratch;
    int32_t held = 0;
    tq_fill_vectors(lines, 56, 172);
    for (int32_t r = 0; r < 2; r++) {
        for (int32_t i = 0; i < held; i++) {
            tq_copy_vectors(lines + (i + 1) * 52, lines + i * 52, 52);
        }
        for (int32_t i = held; i < 3; i++) {
            const int32_t from = r * 1 + i - 1;
            if (from < 0 || from >= 2) {
                tq_fill_vectors(lines + i * 52, 56, 52);
            } else {
                tq_copy_vectors(x + from * 40, lines + i * 52 + 5, 40);
            }
        }
        held = 2;
        for (int32_t p = 0; p < 8; p += 2) {
            const int32_t c = p < 6 ? p : 6;
            tq_depthwise2d_s8_c2_requantizetwice_s8_mve_octets_product(w, lines + c * 5, y + (r * 8 + c) * 5);
        }
    }
}
