/* dense_s8_i8_armv7em-lanes: s8[1,3], s8[3,3] -> s8[1,3] by requantize */
static TQ_NAKED void
tq_widen_3(const int8_t *x __attribute__((unused)), void *wide __attribute__((unused)))
{
    __asm__ volatile(
        ".syntax unified\n"
        "push {r4-r6, lr}\n"
        "movs r3, #0\n"
        "movs r4, #0\n"
        "strd r3, r4, [r1]\n"
        "strd r3, r4, [r1, #8]\n"
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
tq_dense_s8_s8_s8_armv7em_lanes_product(const uint32_t *w __attribute__((unused)), const void *x __attribute__((unused)), void *y __attribute__((unused)))
{
    __asm__ volatile(
        ".syntax unified\n"
        "push {r4-r11, lr}\n"
        "sub sp, #28\n"
        "movw r12, #16\n"
        "add r12, r12, r1\n"
        "movw r3, #1\n"
        "strd r1, r2, [sp]\n"
        "strd r12, r3, [sp, #8]\n"
        "movw r4, #1584\n"
        "movw r5, #12288\n"
        "movt r5, #6\n"
        "strd r4, r5, [sp, #16]\n"
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
        "ldm r0!, {r6-r9}\n"
        "ldrd r12, lr, [sp, #16]\n"
        "smmla r2, r2, r6, r12\n"
        "usat r2, #31, r2, asr #5\n"
        "rsb r2, r2, #50\n"
        "usat r2, #31, r2\n"
        "rsb r2, r2, #125\n"
        "strb r2, [r1], #1\n"
        "smmla r3, r3, r7, lr\n"
        "usat r3, #31, r3, asr #13\n"
        "rsb r3, r3, #50\n"
        "usat r3, #31, r3\n"
        "rsb r3, r3, #125\n"
        "strb r3, [r1], #1\n"
        "smmla r4, r4, r8, r12\n"
        "usat r4, #31, r4, asr #5\n"
        "rsb r4, r4, #50\n"
        "usat r4, #31, r4\n"
        "rsb r4, r4, #125\n"
        "strb r4, [r1], #1\n"
        "smmla r5, r5, r9, lr\n"
        "usat r5, #31, r5, asr #13\n"
        "rsb r5, r5, #50\n"
        "usat r5, #31, r5\n"
        "rsb r5, r5, #125\n"
        "strb r5, [r1], #1\n"
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


/* 1 row(s) of 3 inputs by 3 channels, four channels at a time. */
static void tq_dense_s8_s8_s8_armv7em_lanes(const int8_t *x, const uint32_t *w, int8_t *y, void *scratch)
{
    int8_t *const all = (int8_t *)scratch + 16;
    for (int32_t r = 0; r < 1; r++) {
        tq_widen_3(x + r * 3, scratch);
        tq_dense_s8_s8_s8_armv7em_lanes_product(w, scratch, all);
        for (int32_t o = 0; o < 3; o++) {
            y[r * 3 + o] = all[o];
        }
    }
}
