/* dense_s8_int8_mve-sextets: s8[1,16], s8[15,16] -> u8[1,15] by requantize */
static TQ_NAKED void
tq_dense_s8_s8_u8_mve_sextets_sum(const uint32_t *w __attribute__((unused)), const int8_t *x __attribute__((unused)), int32_t *sums __attribute__((unused)))
{
    __asm__ volatile(
        ".syntax unified\n"
        "push {r3-r11, lr}\n"
        "mov r11, r1\n"
        "mov r7, r2\n"
        "mov r1, r0\n"
        "movw r5, #2\n"
        "2:\n"
        "ldm r1!, {r0, r2, r4, r6, r8, r10}\n"
        "mov r3, r11\n"
        "movw r12, #1\n"
        "dls lr, r12\n"
        "1:\n"
        "vldrb.8 q0, [r3], #16\n"
        "vldrb.8 q1, [r1], #16\n"
        "vmladava.s8 r0, q0, q1\n"
        "vldrb.8 q2, [r1], #16\n"
        "vmladava.s8 r2, q0, q2\n"
        "vldrb.8 q1, [r1], #16\n"
        "vmladava.s8 r4, q0, q1\n"
        "vldrb.8 q2, [r1], #16\n"
        "vmladava.s8 r6, q0, q2\n"
        "vldrb.8 q1, [r1], #16\n"
        "vmladava.s8 r8, q0, q1\n"
        "vldrb.8 q2, [r1], #16\n"
        "vmladava.s8 r10, q0, q2\n"
        "le lr, 1b\n"
        "stm r7!, {r0, r2, r4, r6, r8, r10}\n"
        "subs r5, #1\n"
        "bne 2b\n"
        "movw r5, #1\n"
        "3:\n"
        "ldm r1!, {r0, r2, r4}\n"
        "mov r3, r11\n"
        "movw r12, #1\n"
        "dls lr, r12\n"
        "1:\n"
        "vldrb.8 q0, [r3], #16\n"
        "vldrb.8 q1, [r1], #16\n"
        "vmladava.s8 r0, q0, q1\n"
        "vldrb.8 q2, [r1], #16\n"
        "vmladava.s8 r2, q0, q2\n"
        "vldrb.8 q1, [r1], #16\n"
        "vmladava.s8 r4, q0, q1\n"
        "le lr, 1b\n"
        "stm r7!, {r0, r2, r4}\n"
        "subs r5, #1\n"
        "bne 3b\n"
        "pop {r3-r11, pc}\n"
    );
}

static TQ_NAKED void
tq_dense_s8_s8_u8_mve_sextets_finish(const int32_t *sums __attribute__((unused)), const uint32_t *scales __attribute__((unused)), void *y __attribute__((unused)))
{
    __asm__ volatile(
        ".syntax unified\n"
        "push {r4, lr}\n"
        "movw r4, #0\n"
        "vdup.32 q2, r4\n"
        "movw r4, #255\n"
        "vdup.32 q3, r4\n"
        "movw r4, #624\n"
        "movw lr, #15\n"
        "dlstp.32 lr, lr\n"
        "1:\n"
        "vldrw.u32 q1, [r1], #16\n"
        "vldrw.u32 q0, [r0], #16\n"
        "vmulh.s32 q0, q0, q1\n"
        "vadd.i32 q0, q0, r4\n"
        "vshr.s32 q0, q0, #5\n"
        "vmax.s32 q0, q0, q2\n"
        "vmin.s32 q0, q0, q3\n"
        "vstrb.32 q0, [r2], #4\n"
        "letp lr, 1b\n"
        "pop {r4, pc}\n"
    );
}


/* 1 row(s) of 16 inputs by 15 channels, six channels at a time. */
static void tq_dense_s8_s8_u8_mve_sextets(const int8_t *x, const uint32_t *w, const uint32_t *scales, uint8_t *y, void *scratch)
{
    int32_t *const sums = scratch;
    for (int32_t r = 0; r < 1; r++) {
        tq_dense_s8_s8_u8_mve_sextets_sum(w, x + r * 16, sums);
        tq_dense_s8_s8_u8_mve_sextets_finish(sums, scales, y + r * 15);
    }
}
