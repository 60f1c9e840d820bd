/* conv2d_s8_int8_armv7em-pixels: s8[4,1,4], s8[16,1,1,4] -> u8[4,1,16] by requantize */
static TQ_NAKED void
tq_gather_1(const void *x __attribute__((unused)), void *panel __attribute__((unused)))
{
    __asm__ volatile(
        ".syntax unified\n"
        "push {r4-r11, lr}\n"
        "1:\n"
        ".rept 1\n"
        "ldr r4, [r0, #4]\n"
        "ldr r5, [r0, #8]\n"
        "ldr r6, [r0, #12]\n"
        "ldr r3, [r0], #4\n"
        "sxtb16 r8, r3\n"
        "sxtb16 r9, r4\n"
        "sxtb16 r10, r5\n"
        "sxtb16 r11, r6\n"
        "sxtb16 r3, r3, ror #8\n"
        "sxtb16 r4, r4, ror #8\n"
        "sxtb16 r5, r5, ror #8\n"
        "sxtb16 r6, r6, ror #8\n"
        "stm r1!, {r8-r11}\n"
        "stm r1!, {r3-r6}\n"
        ".endr\n"
        "pop {r4-r11, pc}\n"
    );
}


static TQ_NAKED void
tq_conv2d_s8_s8_u8_armv7em_pixels_product(const uint32_t *w __attribute__((unused)), const void *panel __attribute__((unused)), void *y __attribute__((unused)), const uint32_t *end __attribute__((unused)))
{
    __asm__ volatile(
        ".syntax unified\n"
        "push {r4-r11, lr}\n"
        "sub sp, #28\n"
        "movw r12, #32\n"
        "add r12, r12, r1\n"
        "strd r1, r2, [sp]\n"
        "strd r3, r12, [sp, #8]\n"
        "movw r4, #59392\n"
        "movt r4, #8\n"
        "str r4, [sp, #16]\n"
        "1:\n"
        "ldrd r2, r6, [r0], #8\n"
        "mov r3, r2\n"
        "mov r4, r2\n"
        "mov r5, r2\n"
        "mov r7, r6\n"
        "mov r8, r6\n"
        "mov r9, r6\n"
        "2:\n"
        ".rept 2\n"
        "ldrd r10, r11, [r0], #8\n"
        "ldrd r12, lr, [r1], #8\n"
        "smlad r2, r12, r10, r2\n"
        "smlad r3, lr, r10, r3\n"
        "smlad r6, r12, r11, r6\n"
        "smlad r7, lr, r11, r7\n"
        "ldrd r12, lr, [r1], #8\n"
        "smlad r4, r12, r10, r4\n"
        "smlad r5, lr, r10, r5\n"
        "smlad r8, r12, r11, r8\n"
        "smlad r9, lr, r11, r9\n"
        ".endr\n"
        "ldrd r10, r11, [r0], #8\n"
        "ldr r12, [sp, #16]\n"
        "ldr lr, [sp, #4]\n"
        "smmla r2, r2, r10, r12\n"
        "usat r2, #8, r2, asr #12\n"
        "smmla r6, r6, r11, r12\n"
        "usat r6, #8, r6, asr #12\n"
        "strb r2, [lr, #0]\n"
        "strb r6, [lr, #1]\n"
        "smmla r3, r3, r10, r12\n"
        "usat r3, #8, r3, asr #12\n"
        "smmla r7, r7, r11, r12\n"
        "usat r7, #8, r7, asr #12\n"
        "strb r3, [lr, #16]\n"
        "strb r7, [lr, #17]\n"
        "smmla r4, r4, r10, r12\n"
        "usat r4, #8, r4, asr #12\n"
        "smmla r8, r8, r11, r12\n"
        "usat r8, #8, r8, asr #12\n"
        "strb r4, [lr, #32]\n"
        "strb r8, [lr, #33]\n"
        "smmla r5, r5, r10, r12\n"
        "usat r5, #8, r5, asr #12\n"
        "smmla r9, r9, r11, r12\n"
        "usat r9, #8, r9, asr #12\n"
        "strb r5, [lr, #48]\n"
        "strb r9, [lr, #49]\n"
        "add lr, #2\n"
        "ldr r1, [sp]\n"
        "ldr r12, [sp, #8]\n"
        "str lr, [sp, #4]\n"
        "cmp r0, r12\n"
        "bne 1b\n"
        "add sp, #28\n"
        "pop {r4-r11, pc}\n"
    );
}


/* 4 pixels of 4 channels by 16, 4 at a time; the last ones may overlap. */
static void tq_conv2d_s8_s8_u8_armv7em_pixels(const int8_t *x, const uint32_t *w, uint8_t *y, void *scratch)
{
    for (int32_t p = 0; p < 4; p += 4) {
        const int32_t first = p < 0 ? p : 0;
        tq_gather_1(x + first * 4, scratch);
        tq_conv2d_s8_s8_u8_armv7em_pixels_product(w, scratch, y + first * 16, w + 64);
    }
}
