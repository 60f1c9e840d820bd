/* dense_s8_int8_armv7em-lanes: s8[1,5], s8[17,5] -> s8[1,17] by requantize */
static TQ_NAKED void
tq_widen_5(const int8_t *x __attribute__((unused)), void *wide __attribute__((unused)))
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
        "movw r3, #5\n"
        "strd r1, r2, [sp]\n"
        "strd r12, r3, [sp, #8]\n"
        "movw r4, #456\n"
        "movw r5, #51200\n"
        "movt r5, #1\n"
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
        "ssat r2, #8, r2, asr #4\n"
        "strb r2, [r1], #1\n"
        "smmla r3, r3, r7, lr\n"
        "ssat r3, #8, r3, asr #12\n"
        "strb r3, [r1], #1\n"
        "smmla r4, r4, r8, r12\n"
        "ssat r4, #8, r4, asr #4\n"
        "strb r4, [r1], #1\n"
        "smmla r5, r5, r9, lr\n"
        "ssat r5, #8, r5, asr #12\n"
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


/* 1 row(s) of 5 inputs by 17 channels, four channels at a time. */
static void tq_dense_s8_s8_s8_armv7em_lanes(const int8_t *x, const uint32_t *w, int8_t *y, void *scratch)
{
    int8_t *const all = (int8_t *)scratch + 16;
    for (int32_t r = 0; r < 1; r++) {
        tq_widen_5(x + r * 5, scratch);
        tq_dense_s8_s8_s8_armv7em_lanes_product(w, scratch, all);
        for (int32_t o = 0; o < 17; o++) {
            y[r * 17 + o] = all[o];
        }
    }
}
