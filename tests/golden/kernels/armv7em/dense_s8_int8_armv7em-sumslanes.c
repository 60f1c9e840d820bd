/* dense_s8_int8_armv7em-sumslanes: s8[3,3], s8[24,3] -> u4[3,24] by roundeven */
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
tq_dense_s8_s8_roundeven_u4_armv7em_sumslanes_product(const uint32_t *w __attribute__((unused)), const void *x __attribute__((unused)), void *y __attribute__((unused)))
{
    __asm__ volatile(
        ".syntax unified\n"
        "push {r4-r11, lr}\n"
        "sub sp, #28\n"
        "movw r12, #16\n"
        "add r12, r12, r1\n"
        "movw r3, #6\n"
        "strd r1, r2, [sp]\n"
        "strd r12, r3, [sp, #8]\n"
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
        "asr r3, r3, #8\n"
        "asr r5, r5, #8\n"
        "stm r1!, {r2-r5}\n"
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


/* 3 row(s) of 3 inputs by 24 channels; sums over 8 inputs at a time. */
static void tq_dense_s8_s8_roundeven_u4_armv7em_sumslanes(const int8_t *x, const uint32_t *w, const tq_roundeven_epilogue *epilogue, uint8_t *y, void *scratch)
{
    uint32_t *const inputs = scratch;
    int32_t *const sums = (int32_t *)scratch + 4;
    for (int32_t r = 0; r < 3; r++) {
        tq_widen_3(x + r * 3, inputs);
        for (int32_t i = 0; i < 1; i++) {
            tq_dense_s8_s8_roundeven_u4_armv7em_sumslanes_product(w + i * 72, inputs + i * 4, sums + i * 24);
        }
        uint32_t word = 0;
        for (int32_t o = 0; o < 24; o++) {
            int32_t acc = sums[o];
            word = tq_roundeven_u4(epilogue, y, o, 24, word, acc);
        }
        y += 12;
    }
}
