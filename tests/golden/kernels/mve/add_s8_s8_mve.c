/* add_s8_s8_mve: s8[5,1,8], s8[5,1,8] -> s8[5,1,8] by requantize */
/* 40 sums. Four codes are read before their sums are written: y may be x_1 or x_2. */
static TQ_NAKED void
tq_add_s8_s8_s8_mve(const int8_t *x_1 __attribute__((unused)), const int8_t *x_2 __attribute__((unused)), int8_t *y __attribute__((unused)))
{
    __asm__ volatile(
        ".syntax unified\n"
        "push {r4-r8, lr}\n"
        "movw r3, #59989\n"
        "movt r3, #24698\n"
        "vdup.32 q1, r3\n"
        "movw r3, #71\n"
        "vdup.32 q2, r3\n"
        "movw r3, #93\n"
        "vdup.32 q3, r3\n"
        "movw r3, #58249\n"
        "movt r3, #124\n"
        "movw r4, #5120\n"
        "movw r5, #18337\n"
        "movt r5, #51902\n"
        "sxth r6, r5\n"
        "asr r5, r5, #16\n"
        "movw r12, #40\n"
        "movw r7, #71\n"
        "vpush {d8-d9}\n"
        "dlstp.32 lr, r12\n"
        "1:\n"
        "vldrb.s32 q0, [r0], #4\n"
        "vldrb.s32 q4, [r1], #4\n"
        "vmul.i32 q0, q0, r6\n"
        "vmla.s32 q0, q4, r5\n"
        "vadd.i32 q0, q0, r3\n"
        "vmulh.s32 q0, q0, q1\n"
        "vadd.i32 q0, q0, r4\n"
        "vshr.s32 q0, q0, #11\n"
        "vadd.i32 q0, q0, r7\n"
        "vmax.s32 q0, q0, q2\n"
        "vmin.s32 q0, q0, q3\n"
        "vstrb.32 q0, [r2], #4\n"
        "letp lr, 1b\n"
        "vpop {d8-d9}\n"
        "pop {r4-r8, pc}\n"
    );
}
