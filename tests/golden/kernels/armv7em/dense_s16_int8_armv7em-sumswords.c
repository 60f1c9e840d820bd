/* dense_s16_int8_armv7em-sumswords: s16[3,129], s8[40,129] -> s8[3,40] by requantizewide */
static void tq_fill(uint32_t *to, int32_t words, uint32_t value)
{
    for (int32_t i = 0; i < words; i++) {
        to[i] = value;
    }
}

static TQ_NAKED void
tq_dense_s16_s8_requantizewide_s8_armv7em_sumswords_product(const uint32_t *w __attribute__((unused)), const void *x __attribute__((unused)), int32_t *y __attribute__((unused)))
{
    __asm__ volatile(
        ".syntax unified\n"
        "push {r4-r11, lr}\n"
        "sub sp, #12\n"
        "strd r1, r2, [sp]\n"
        "movw r3, #10\n"
        "str r3, [sp, #8]\n"
        "9:\n"
        "ldm r0!, {r2-r5}\n"
        "addw r12, r1, #264\n"
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
tq_copy_258_loose(const void *from __attribute__((unused)), void *to __attribute__((unused)))
{
    __asm__ volatile(
        ".syntax unified\n"
        "push {r4-r10, lr}\n"
        "movw r2, #8\n"
        "1:\n"
        "ldr r3, [r0], #4\n"
        "ldr r4, [r0], #4\n"
        "ldr r5, [r0], #4\n"
        "ldr r6, [r0], #4\n"
        "ldr r7, [r0], #4\n"
        "ldr r8, [r0], #4\n"
        "ldr r9, [r0], #4\n"
        "ldr r10, [r0], #4\n"
        "stm r1!, {r3-r10}\n"
        "subs r2, #1\n"
        "bne 1b\n"
        "ldrb r3, [r0], #1\n"
        "strb r3, [r1], #1\n"
        "ldrb r3, [r0], #1\n"
        "strb r3, [r1], #1\n"
        "pop {r4-r10, pc}\n"
    );
}


/* 3 row(s) of 129 inputs by 40 channels; sums over 132 inputs at a time. */
static void tq_dense_s16_s8_requantizewide_s8_armv7em_sumswords(const int16_t *x, const uint32_t *w, const tq_requantizewide_epilogue *epilogue, int8_t *y, void *scratch)
{
    uint32_t *const inputs = scratch;
    int32_t *const sums = (int32_t *)scratch + 66;
    tq_fill(inputs + 64, 2, 0);
    for (int32_t r = 0; r < 3; r++) {
        tq_copy_258_loose(x + r * 129, inputs);
        for (int32_t i = 0; i < 1; i++) {
            tq_dense_s16_s8_requantizewide_s8_armv7em_sumswords_product(w + i * 1360, inputs + i * 66, sums + i * 40);
        }
        uint32_t word = 0;
        for (int32_t o = 0; o < 40; o++) {
            int64_t acc = sums[o];
            word = tq_requantizewide_s8(epilogue, y, o, 40, word, acc);
        }
        y += 40;
    }
}
