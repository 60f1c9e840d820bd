/* tfliteadd_s8_s8_armv7m: s8[4,1,8], s8[4,1,8] -> s8[4,1,8] by requantizetwice */
/* 32 sums. Codes are read before their sum is written: y may be x_1 or x_2. */
static TQ_NAKED void
tq_tfliteadd_s8_s8_requantizetwice_s8_armv7m(const int8_t *x_1 __attribute__((unused)), const int8_t *x_2 __attribute__((unused)), const uint32_t *x_table __attribute__((unused)), const uint32_t *y_table __attribute__((unused)), int8_t *y __attribute__((unused)))
{
    __asm__ volatile(
        ".syntax unified\n"
        "push {r4-r9, lr}\n"
        "ldr r4, [sp, #28]\n"
        "movw r5, #57562\n"
        "movt r5, #26570\n"
        "movw r6, #0\n"
        "movt r6, #203\n"
        "movw r12, #4\n"
        "1:\n"
        ".rept 8\n"
        "ldrb r7, [r0], #1\n"
        "ldrb r8, [r1], #1\n"
        "ldr r7, [r2, r7, lsl #2]\n"
        "ldr r8, [r3, r8, lsl #2]\n"
        "add r7, r7, r8\n"
        "smull r8, r9, r7, r5\n"
        "adds r8, r8, #0x80000000\n"
        "adc r9, r9, r6\n"
        "add r9, r9, r7, asr #31\n"
        "ssat r9, #8, r9, asr #17\n"
        "strb r9, [r4], #1\n"
        ".endr\n"
        "subs r12, #1\n"
        "bne 1b\n"
        "pop {r4-r9, pc}\n"
    );
}
