/* conv2d_s8_int8_armv7em-lanes: s8[3,1,12], c4[12,3,1,12] -> u8[1,1,12] by requantize */
static TQ_NAKED void
tq_widen_36(const int8_t *x __attribute__((unused)), void *wide __attribute__((unused)))
{
    __asm__ volatile(
        ".syntax unified\n"
        "push {r4-r6, lr}\n"
        "movw r12, #36\n"
        "add r12, r12, r0\n"
        "1:\n"
        ".rept 3\n"
        "ldr r2, [r0], #4\n"
        "sxtb16 r3, r2\n"
        "sxtb16 r4, r2, ror #8\n"
        "strd r3, r4, [r1], #8\n"
        ".endr\n"
        "cmp r0, r12\n"
        "bne 1b\n"
        "movs r3, #0\n"
        "movs r4, #0\n"
        "strd r3, r4, [r1]\n"
        "pop {r4-r6, pc}\n"
    );
}


static TQ_NAKED void
tq_conv2d_s8_c4_u8_armv7em_lanes_product(const uint32_t *w __attribute__((unused)), const void *x __attribute__((unused)), void *y __attribute__((unused)))
{
    __asm__ volatile(
        ".syntax unified\n"
        "push {r4-r11, lr}\n"
        "sub sp, #28\n"
        "movw r12, #80\n"
        "add r12, r12, r1\n"
        "movw r3, #3\n"
        "strd r1, r2, [sp]\n"
        "strd r12, r3, [sp, #8]\n"
        "movw r4, #23296\n"
        "movw r5, #0\n"
        "movt r5, #91\n"
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
        "ldr r10, [sp, #8]\n"
        "cmp r1, r10\n"
        "bne 1b\n"
        "ldr r1, [sp, #4]\n"
        "sub r3, r3, r2\n"
        "sub r5, r5, r4\n"
        "ldm r0!, {r6-r9}\n"
        "ldrd r12, lr, [sp, #16]\n"
        "smmla r2, r2, r6, r12\n"
        "usat r2, #8, r2, asr #9\n"
        "strb r2, [r1], #1\n"
        "smmla r3, r3, r7, lr\n"
        "usat r3, #8, r3, asr #17\n"
        "strb r3, [r1], #1\n"
        "smmla r4, r4, r8, r12\n"
        "usat r4, #8, r4, asr #9\n"
        "strb r4, [r1], #1\n"
        "smmla r5, r5, r9, lr\n"
        "usat r5, #8, r5, asr #17\n"
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


/* 1 row(s) of 36 inputs by 12 channels, four channels at a time. */
static void tq_conv2d_s8_c4_u8_armv7em_lanes(const int8_t *x, const uint32_t *w, uint8_t *y, void *scratch)
{
    for (int32_t r = 0; r < 1; r++) {
        tq_widen_36(x + r * 36, scratch);
        tq_conv2d_s8_c4_u8_armv7em_lanes_product(w, scratch, y + r * 12);
    }
}
