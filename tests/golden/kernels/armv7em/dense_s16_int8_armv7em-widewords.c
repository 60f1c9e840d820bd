/* dense_s16_int8_armv7em-widewords: s16[2,33], s8[2,33] -> s8[2,2] by requantizewide */
static void tq_fill(uint32_t *to, int32_t words, uint32_t value)
{
    for (int32_t i = 0; i < words; i++) {
        to[i] = value;
    }
}

static TQ_NAKED void
tq_dense_s16_s8_requantizewide_s8_armv7em_widewords_product(const uint32_t *w __attribute__((unused)), const void *x __attribute__((unused)), int32_t *y __attribute__((unused)))
{
    __asm__ volatile(
        ".syntax unified\n"
        "push {r4-r11, lr}\n"
        "sub sp, #12\n"
        "strd r1, r2, [sp]\n"
        "movw r3, #1\n"
        "str r3, [sp, #8]\n"
        "9:\n"
        "ldm r0!, {r2-r5}\n"
        "addw r12, r1, #72\n"
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
tq_copy_66_loose(const void *from __attribute__((unused)), void *to __attribute__((unused)))
{
    __asm__ volatile(
        ".syntax unified\n"
        "push {r4-r10, lr}\n"
        "movw r2, #2\n"
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


static TQ_NAKED void
tq_dense_s16_s8_requantizewide_s8_armv7em_widewords_finish(const int32_t *sums __attribute__((unused)), const uint32_t *scaling __attribute__((unused)), void *y __attribute__((unused)), int32_t count __attribute__((unused)))
{
    __asm__ volatile(
        ".syntax unified\n"
        "push {r4-r11, lr}\n"
        "1:\n"
        "ldr r4, [r0], #4\n"
        "ldm r1!, {r5-r9}\n"
        "add r4, r5\n"
        "smmla r11, r4, r6, r8\n"
        "asr r11, r9\n"
        "ssat r11, #8, r11\n"
        "strb r11, [r2]\n"
        "addw r2, r2, #1\n"
        "subs r3, #1\n"
        "bne 1b\n"
        "pop {r4-r11, pc}\n"
    );
}


/* 2 row(s) of 33 inputs by 2 channels; sums over 36 inputs at a time. */
static void tq_dense_s16_s8_requantizewide_s8_armv7em_widewords(const int16_t *x, const uint32_t *w, const uint32_t *scaling, int8_t *y, void *scratch)
{
    uint32_t *const inputs = scratch;
    int32_t *const sums = (int32_t *)scratch + 18;
    tq_fill(inputs + 16, 2, 0);
    for (int32_t r = 0; r < 2; r++) {
        tq_copy_66_loose(x + r * 33, inputs);
        for (int32_t i = 0; i < 1; i++) {
            tq_dense_s16_s8_requantizewide_s8_armv7em_widewords_product(w + i * 40, inputs + i * 18, sums + i * 4);
        }
        tq_dense_s16_s8_requantizewide_s8_armv7em_widewords_finish(sums, scaling, y, 2);
        y += 2;
    }
}
