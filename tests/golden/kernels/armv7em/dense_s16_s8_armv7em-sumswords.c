/* dense_s16_s8_armv7em-sumswords: s16[3,9], s8[24,9] -> b1[3,24] by threshold */
static void tq_fill(uint32_t *to, int32_t words, uint32_t value)
{
    for (int32_t i = 0; i < words; i++) {
        to[i] = value;
    }
}

static TQ_NAKED void
tq_dense_s16_s8_b1_armv7em_sumswords_product(const uint32_t *w __attribute__((unused)), const void *x __attribute__((unused)), int32_t *y __attribute__((unused)))
{
    __asm__ volatile(
        ".syntax unified\n"
        "push {r4-r11, lr}\n"
        "sub sp, #12\n"
        "strd r1, r2, [sp]\n"
        "movw r3, #6\n"
        "str r3, [sp, #8]\n"
        "9:\n"
        "ldm r0!, {r2-r5}\n"
        "addw r12, r1, #24\n"
        "1:\n"
        ".rept 1\n"
        "ldrd r6, r7, [r1], #8\n"
        "ldm r0!, {r8-r11}\n"
        "sxtb16 lr, r8\n"
        "smlad r2, r6, lr, r2\n"
        "sxtb16 lr, r8, ror #8\n"
        "smlad r2, r7, lr, r2\n"
        "sxtb16 lr, r9\n"
        "smlad r3, r6, lr, r3\n"
        "sxtb16 lr, r9, ror #8\n"
        "smlad r3, r7, lr, r3\n"
        "sxtb16 lr, r10\n"
        "smlad r4, r6, lr, r4\n"
        "sxtb16 lr, r10, ror #8\n"
        "smlad r4, r7, lr, r4\n"
        "sxtb16 lr, r11\n"
        "smlad r5, r6, lr, r5\n"
        "sxtb16 lr, r11, ror #8\n"
        "smlad r5, r7, lr, r5\n"
        ".endr\n"
        "cmp r1, r12\n"
        "bne 1b\n"
        "ldrd r1, r12, [sp]\n"
        "stm r12!, {r2-r5}\n"
        "ldr r3, [sp, #8]\n"
        "str r12, [sp, #4]\n"
        "subs r3, #1\n"
        "str r3, [sp, #8]\n"
        "bne 9b\n"
        "add sp, #12\n"
        "pop {r4-r11, pc}\n"
    );
}


static TQ_NAKED void
tq_copy_18_loose(const void *from __attribute__((unused)), void *to __attribute__((unused)))
{
    __asm__ volatile(
        ".syntax unified\n"
        "push {r4-r10, lr}\n"
        "ldr r3, [r0], #4\n"
        "str r3, [r1], #4\n"
        "ldr r3, [r0], #4\n"
        "str r3, [r1], #4\n"
        "ldr r3, [r0], #4\n"
        "str r3, [r1], #4\n"
        "ldr r3, [r0], #4\n"
        "str r3, [r1], #4\n"
        "ldrb r3, [r0], #1\n"
        "strb r3, [r1], #1\n"
        "ldrb r3, [r0], #1\n"
        "strb r3, [r1], #1\n"
        "pop {r4-r10, pc}\n"
    );
}


/* 3 row(s) of 9 inputs by 24 channels; sums over 12 inputs at a time. */
static void tq_dense_s16_s8_b1_armv7em_sumswords(const int16_t *x, const uint32_t *w, const tq_threshold_epilogue *epilogue, uint32_t *y, void *scratch)
{
    uint32_t *const inputs = scratch;
    int32_t *const sums = (int32_t *)scratch + 6;
    tq_fill(inputs + 4, 2, 0);
    for (int32_t r = 0; r < 3; r++) {
        tq_copy_18_loose(x + r * 9, inputs);
        for (int32_t i = 0; i < 1; i++) {
            tq_dense_s16_s8_b1_armv7em_sumswords_product(w + i * 96, inputs + i * 6, sums + i * 24);
        }
        uint32_t word = 0;
        for (int32_t o = 0; o < 24; o++) {
            int32_t acc = sums[o];
            word = tq_threshold_b1(epilogue, y, o, 24, word, acc);
        }
        y += 1;
    }
}
