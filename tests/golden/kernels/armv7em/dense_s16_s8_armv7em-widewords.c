/* dense_s16_s8_armv7em-widewords: s16[3,4], s8[16,4] -> s16[3,16] by requantizewide */
static TQ_NAKED void
tq_dense_s16_s8_requantizewide_s16_armv7em_widewords_product(const uint32_t *w __attribute__((unused)), const void *x __attribute__((unused)), int32_t *y __attribute__((unused)))
{
    __asm__ volatile(
        ".syntax unified\n"
        "push {r4-r11, lr}\n"
        "sub sp, #12\n"
        "strd r1, r2, [sp]\n"
        "movw r3, #4\n"
        "str r3, [sp, #8]\n"
        "9:\n"
        "ldm r0!, {r2-r5}\n"
        "addw r12, r1, #8\n"
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
tq_copy_8_loose(const void *from __attribute__((unused)), void *to __attribute__((unused)))
{
    __asm__ volatile(
        ".syntax unified\n"
        "push {r4-r10, lr}\n"
        "ldr r3, [r0], #4\n"
        "str r3, [r1], #4\n"
        "ldr r3, [r0], #4\n"
        "str r3, [r1], #4\n"
        "pop {r4-r10, pc}\n"
    );
}


static TQ_NAKED void
tq_dense_s16_s8_requantizewide_s16_armv7em_widewords_finish(const int32_t *sums __attribute__((unused)), const uint32_t *scaling __attribute__((unused)), void *y __attribute__((unused)), int32_t count __attribute__((unused)))
{
    __asm__ volatile(
        ".syntax unified\n"
        "push {r4-r11, lr}\n"
        "1:\n"
        "ldr r4, [r0], #4\n"
        "ldm r1!, {r5-r9}\n"
        "add r4, r5\n"
        "smull r10, r11, r4, r6\n"
        "smmul r12, r4, r7\n"
        "cmp r7, #0\n"
        "it mi\n"
        "addmi r12, r4\n"
        "adds r10, r12\n"
        "adc r11, r11, r12, asr #31\n"
        "add r11, r8\n"
        "asr r11, r9\n"
        "usat r11, #15, r11\n"
        "strh r11, [r2]\n"
        "addw r2, r2, #2\n"
        "subs r3, #1\n"
        "bne 1b\n"
        "pop {r4-r11, pc}\n"
    );
}


/* 3 row(s) of 4 inputs by 16 channels; sums over 4 inputs at a time. */
static void tq_dense_s16_s8_requantizewide_s16_armv7em_widewords(const int16_t *x, const uint32_t *w, const uint32_t *scaling, int16_t *y, void *scratch)
{
    uint32_t *const inputs = scratch;
    int32_t *const sums = (int32_t *)scratch + 2;
    for (int32_t r = 0; r < 3; r++) {
        tq_copy_8_loose(x + r * 4, inputs);
        for (int32_t i = 0; i < 1; i++) {
            tq_dense_s16_s8_requantizewide_s16_armv7em_widewords_product(w + i * 32, inputs + i * 2, sums + i * 16);
        }
        tq_dense_s16_s8_requantizewide_s16_armv7em_widewords_finish(sums, scaling, y, 16);
        y += 16;
    }
}
