/* conv2d_s8_b1_armv7em-sumspixels: s8[8,1,16], b1[16,1,1,16] -> s4[8,1,16] by roundeven */
static TQ_NAKED void
tq_gather_4(const void *x __attribute__((unused)), void *panel __attribute__((unused)))
{
    __asm__ volatile(
        ".syntax unified\n"
        "push {r4-r11, lr}\n"
        "1:\n"
        ".rept 4\n"
        "ldr r4, [r0, #16]\n"
        "ldr r5, [r0, #32]\n"
        "ldr r6, [r0, #48]\n"
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
tq_sums_8(const uint32_t *w __attribute__((unused)), const void *panel __attribute__((unused)), int32_t *y __attribute__((unused)), const uint32_t *end __attribute__((unused)))
{
    __asm__ volatile(
        ".syntax unified\n"
        "push {r4-r11, lr}\n"
        "sub sp, #28\n"
        "movw r12, #128\n"
        "add r12, r12, r1\n"
        "strd r1, r2, [sp]\n"
        "strd r3, r12, [sp, #8]\n"
        "1:\n"
        "ldrd r2, r6, [r0], #8\n"
        "mov r3, r2\n"
        "mov r4, r2\n"
        "mov r5, r2\n"
        "mov r7, r6\n"
        "mov r8, r6\n"
        "mov r9, r6\n"
        "2:\n"
        ".rept 8\n"
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
        "ldr lr, [sp, #4]\n"
        "stm lr!, {r2-r9}\n"
        "ldr r1, [sp]\n"
        "ldr r12, [sp, #8]\n"
        "str lr, [sp, #4]\n"
        "cmp r0, r12\n"
        "bne 1b\n"
        "add sp, #28\n"
        "pop {r4-r11, pc}\n"
    );
}


/* Pixels of 16 channels from sums, 4 pixels to a channel. */
static void tq_conv2d_s8_b1_roundeven_s4_armv7em_sumspixels_finish(const int32_t *sums, int32_t pixels, const tq_roundeven_epilogue *epilogue, uint8_t *y)
{
    for (int32_t i = 0; i < pixels; i++) {
        uint32_t word = 0;
        for (int32_t j = 0; j < 8; j++) {
            word = tq_roundeven_s4(epilogue, y, 2 * j, 16, word, sums[(2 * j) * 4 + i]);
            word = tq_roundeven_s4(epilogue, y, 2 * j + 1, 16, word, sums[(2 * j + 1) * 4 + i]);
        }
        y += tq_words_s4(16);
    }
}


/* 8 pixels of 16 channels by 16, 4 at a time; the last ones may overlap. */
static void tq_conv2d_s8_b1_roundeven_s4_armv7em_sumspixels(const int8_t *x, const uint32_t *w, const tq_roundeven_epilogue *epilogue, uint8_t *y, void *scratch)
{
    int32_t *const sums = (int32_t *)scratch + 32;
    for (int32_t p = 0; p < 8; p += 4) {
        const int32_t first = p < 4 ? p : 4;
        tq_gather_4(x + first * 16, scratch);
        tq_sums_8(w, scratch, sums, w + 144);
        tq_conv2d_s8_b1_roundeven_s4_armv7em_sumspixels_finish(sums + (p - first), first + 4 - p, epilogue, y + p * tq_words_s4(16));
    }
}
