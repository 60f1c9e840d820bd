/* conv2d_s8_int8_mve-triples: s8[3,16,16], c2[16,3,3,16] -> s8[3,16,16] by requantize */
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
tq_conv2d_s8_c2_s8_mve_triples_sum(const uint32_t *w __attribute__((unused)), const int8_t *x __attribute__((unused)), int32_t *sums __attribute__((unused)))
{
    __asm__ volatile(
        ".syntax unified\n"
        "push {r3-r11, lr}\n"
        "mov r11, r1\n"
        "mov r7, r2\n"
        "addw r9, r2, #64\n"
        "mov r1, r0\n"
        "movw r12, #4\n"
        "str r12, [sp]\n"
        "2:\n"
        "ldm r1!, {r0, r4, r8}\n"
        "mov r2, r0\n"
        "mov r6, r4\n"
        "mov r10, r8\n"
        "mov r3, r11\n"
        "addw r5, r11, #16\n"
        "movw r12, #3\n"
        "dls lr, r12\n"
        "1:\n"
        "vldrb.8 q0, [r3], #16\n"
        "vldrb.8 q1, [r5], #16\n"
        "vldrb.8 q2, [r1], #16\n"
        "vmladava.s8 r0, q0, q2\n"
        "vmladava.s8 r2, q1, q2\n"
        "vldrb.8 q3, [r1], #16\n"
        "vmladava.s8 r4, q0, q3\n"
        "vmladava.s8 r6, q1, q3\n"
        "vldrb.8 q2, [r1], #16\n"
        "vmladava.s8 r8, q0, q2\n"
        "vmladava.s8 r10, q1, q2\n"
        "le lr, 1b\n"
        "addw r11, r11, #288\n"
        "mov r3, r11\n"
        "addw r5, r11, #16\n"
        "movw r12, #3\n"
        "dls lr, r12\n"
        "1:\n"
        "vldrb.8 q0, [r3], #16\n"
        "vldrb.8 q1, [r5], #16\n"
        "vldrb.8 q2, [r1], #16\n"
        "vmladava.s8 r0, q0, q2\n"
        "vmladava.s8 r2, q1, q2\n"
        "vldrb.8 q3, [r1], #16\n"
        "vmladava.s8 r4, q0, q3\n"
        "vmladava.s8 r6, q1, q3\n"
        "vldrb.8 q2, [r1], #16\n"
        "vmladava.s8 r8, q0, q2\n"
        "vmladava.s8 r10, q1, q2\n"
        "le lr, 1b\n"
        "addw r11, r11, #288\n"
        "mov r3, r11\n"
        "addw r5, r11, #16\n"
        "movw r12, #3\n"
        "dls lr, r12\n"
        "1:\n"
        "vldrb.8 q0, [r3], #16\n"
        "vldrb.8 q1, [r5], #16\n"
        "vldrb.8 q2, [r1], #16\n"
        "vmladava.s8 r0, q0, q2\n"
        "vmladava.s8 r2, q1, q2\n"
        "vldrb.8 q3, [r1], #16\n"
        "vmladava.s8 r4, q0, q3\n"
        "vmladava.s8 r6, q1, q3\n"
        "vldrb.8 q2, [r1], #16\n"
        "vmladava.s8 r8, q0, q2\n"
        "vmladava.s8 r10, q1, q2\n"
        "le lr, 1b\n"
        "subw r11, r11, #576\n"
        "stm r7!, {r0, r4, r8}\n"
        "stm r9!, {r2, r6, r10}\n"
        "ldr r12, [sp]\n"
        "subs r12, #1\n"
        "str r12, [sp]\n"
        "bne 2b\n"
        "movw r12, #2\n"
        "str r12, [sp]\n"
        "3:\n"
        "ldm r1!, {r0, r4}\n"
        "mov r2, r0\n"
        "mov r6, r4\n"
        "mov r3, r11\n"
        "addw r5, r11, #16\n"
        "movw r12, #3\n"
        "dls lr, r12\n"
        "1:\n"
        "vldrb.8 q0, [r3], #16\n"
        "vldrb.8 q1, [r5], #16\n"
        "vldrb.8 q2, [r1], #16\n"
        "vmladava.s8 r0, q0, q2\n"
        "vmladava.s8 r2, q1, q2\n"
        "vldrb.8 q3, [r1], #16\n"
        "vmladava.s8 r4, q0, q3\n"
        "vmladava.s8 r6, q1, q3\n"
        "le lr, 1b\n"
        "addw r11, r11, #288\n"
        "mov r3, r11\n"
        "addw r5, r11, #16\n"
        "movw r12, #3\n"
        "dls lr, r12\n"
        "1:\n"
        "vldrb.8 q0, [r3], #16\n"
        "vldrb.8 q1, [r5], #16\n"
        "vldrb.8 q2, [r1], #16\n"
        "vmladava.s8 r0, q0, q2\n"
        "vmladava.s8 r2, q1, q2\n"
        "vldrb.8 q3, [r1], #16\n"
        "vmladava.s8 r4, q0, q3\n"
        "vmladava.s8 r6, q1, q3\n"
        "le lr, 1b\n"
        "addw r11, r11, #288\n"
        "mov r3, r11\n"
        "addw r5, r11, #16\n"
        "movw r12, #3\n"
        "dls lr, r12\n"
        "1:\n"
        "vldrb.8 q0, [r3], #16\n"
        "vldrb.8 q1, [r5], #16\n"
        "vldrb.8 q2, [r1], #16\n"
        "vmladava.s8 r0, q0, q2\n"
        "vmladava.s8 r2, q1, q2\n"
        "vldrb.8 q3, [r1], #16\n"
        "vmladava.s8 r4, q0, q3\n"
        "vmladava.s8 r6, q1, q3\n"
        "le lr, 1b\n"
        "subw r11, r11, #576\n"
        "stm r7!, {r0, r4}\n"
        "stm r9!, {r2, r6}\n"
        "ldr r12, [sp]\n"
        "subs r12, #1\n"
        "str r12, [sp]\n"
        "bne 3b\n"
        "pop {r3-r11, pc}\n"
    );
}


static TQ_NAKED void
tq_conv2d_s8_c2_s8_mve_triples_finish(const int32_t *sums __attribute__((unused)), const uint32_t *scales __attribute__((unused)), void *y __attribute__((unused)))
{
    __asm__ volatile(
        ".syntax unified\n"
        "push {r4, lr}\n"
        "movw r4, #65408\n"
        "movt r4, #65535\n"
        "vdup.32 q2, r4\n"
        "movw r4, #127\n"
        "vdup.32 q3, r4\n"
        "movw r4, #448\n"
        "addw r3, r2, #16\n"
        "addw r12, r0, #64\n"
        "movw lr, #16\n"
        "dlstp.32 lr, lr\n"
        "1:\n"
        "vldrw.u32 q1, [r1], #16\n"
        "vldrw.u32 q0, [r0], #16\n"
        "vmulh.s32 q0, q0, q1\n"
        "vadd.i32 q0, q0, r4\n"
        "vshr.s32 q0, q0, #7\n"
        "vmax.s32 q0, q0, q2\n"
        "vmin.s32 q0, q0, q3\n"
        "vstrb.32 q0, [r2], #4\n"
        "vldrw.u32 q0, [r12], #16\n"
        "vmulh.s32 q0, q0, q1\n"
        "vadd.i32 q0, q0, r4\n"
        "vshr.s32 q0, q0, #7\n"
        "vmax.s32 q0, q0, q2\n"
        "vmin.s32 q0, q0, q3\n"
        "vstrb.32 q0, [r3], #4\n"
        "letp lr, 1b\n"
        "pop {r4, pc}\n"
    );
}


/* Windows of 3 x 3 x 16 by 16 channels, two windows at a time; the last two of a line may overlap. */
static void tq_conv2d_s8_c2_s8_mve_triples(const int8_t *x, const uint32_t *w, const uint32_t *scales, int8_t *y, void *scratch)
{
    int32_t *const sums = scratch;
    int8_t *const lines = (int8_t *)scratch + 168;
    tq_fill_vectors(lines, 51, 880);
    for (int32_t r = 0; r < 3; r++) {
        const int8_t *const row = lines;
        for (int32_t i = 0; i < 3; i += 1) {
            const int32_t from = r * 1 + i - 1;
            if (from < 0 || from >= 3) {
                tq_fill_vectors(lines + i * 288, 51, 288);
            } else {
                tq_copy_vectors(x + from * 256, lines + i * 288 + 16, 256);
            }
        }
        for (int32_t p = 0; p < 16; p += 2) {
            const int32_t c = p < 14 ? p : 14;
            tq_conv2d_s8_c2_s8_mve_triples_sum(w, row + c * 16, sums);
            tq_conv2d_s8_c2_s8_mve_triples_finish(sums, scales, y + (r * 16 + c) * 16);
        }
    }
}
