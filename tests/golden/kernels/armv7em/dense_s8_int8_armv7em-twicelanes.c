/* dense_s8_int8_armv7em-twicelanes: s8[1,8], s8[1,8] -> s8[1,1] by requantizetwice */
static TQ_NAKED void
tq_widen_8(const int8_t *x __attribute__((unused)), void *wide __attribute__((unused)))
{
    __asm__ volatile(
        ".syntax unified\n"
        "push {r4-r6, lr}\n"
        "1:\n"
        ".rept 2\n"
        "ldr r2, [r0], #4\n"
        "sxtb16 r3, r2\n"
        "sxtb16 r4, r2, ror #8\n"
        "strd r3, r4, [r1], #8\n"
        ".endr\n"
        "pop {r4-r6, pc}\n"
    );
}


static TQ_NAKED void
tq_dense_s8_s8_requantizetwice_s8_armv7em_twicelanes_product(const uint32_t *w __attribute__((unused)), const void *x __attribute__((unused)), void *y __attribute__((unused)))
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


static TQ_NAKED void
tq_dense_s8_s8_requantizetwice_s8_armv7em_twicelanes_finish(const int32_t *sums __attribute__((unused)), const uint32_t *scaling __attribute__((unused)), void *y __attribute__((unused)), int32_t count __attribute__((unused)))
{
    __asm__ volatile(
        ".syntax unified\n"
        "push {r4-r10, lr}\n"
        "1:\n"
        "ldr r10, [r0], #4\n"
        "mov r4, r10\n"
        "ldm r1!, {r5-r8}\n"
        "add r4, r5, r4, lsl #1\n"
        "smmlar r9, r4, r6, r7\n"
        "add r9, r9, r4, asr #31\n"
        "asr r9, r9, r8\n"
        "usat r9, #31, r9\n"
        "rsb r9, r9, #45\n"
        "usat r9, #31, r9\n"
        "rsb r9, r9, #63\n"
        "strb r9, [r2], #1\n"
        "subs r3, #1\n"
        "bne 1b\n"
        "pop {r4-r10, pc}\n"
    );
}


/* 1 row(s) of 8 inputs by 1 channels; sums over 8 inputs at a time. */
static void tq_dense_s8_s8_requantizetwice_s8_armv7em_twicelanes(const int8_t *x, const uint32_t *w, const uint32_t *scaling, int8_t *y, void *scratch)
{
    uint32_t *const inputs = scratch;
    int32_t *const sums = (int32_t *)scratch + 4;
    for (int32_t r = 0; r < 1; r++) {
        tq_widen_8(x + r * 8, inputs);
        for (int32_t i = 0; i < 1; i++) {
            tq_dense_s8_s8_requantizetwice_s8_armv7em_twicelanes_product(w + i * 12, inputs + i * 4, sums + i * 4);
        }
        tq_dense_s8_s8_requantizetwice_s8_armv7em_twicelanes_finish(sums, scaling, y, 1);
        y += 1;
    }
}
