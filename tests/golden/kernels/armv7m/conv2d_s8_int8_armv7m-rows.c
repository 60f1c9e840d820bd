/* conv2d_s8_int8_armv7m-rows: s8[13,7,3], s8[3,1,1,3] -> s8[13,7,3] by requantizetwice */
static TQ_NAKED void
tq_copy_21_loose(const void *from __attribute__((unused)), void *to __attribute__((unused)))
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
        "ldr r3, [r0], #4\n"
        "str r3, [r1], #4\n"
        "ldrb r3, [r0], #1\n"
        "strb r3, [r1], #1\n"
        "pop {r4-r10, pc}\n"
    );
}


static TQ_NAKED void
tq_collect_1_1_24(const int8_t *a __attribute__((unused)), const int8_t *b __attribute__((unused)), const int8_t *c __attribute__((unused)), const int8_t *d __attribute__((unused)), void *panel __attribute__((unused)))
{
    __asm__ volatile(
        ".syntax unified\n"
        "push {r4-r11, lr}\n"
        "ldr r12, [sp, #36]\n"
        "mov lr, #1\n"
        "1:\n"
        ".rept 1\n"
        "ldr r4, [r0], #4\n"
        "ldr r5, [r1], #4\n"
        "ldr r6, [r2], #4\n"
        "ldr r7, [r3], #4\n"
        "eor r4, r4, #0x80808080\n"
        "eor r6, r6, #0x80808080\n"
        "uxtb r8, r4\n"
        "uxtb r9, r6\n"
        "orr r8, r8, r5, lsl #24\n"
        "orr r9, r9, r7, lsl #24\n"
        "and r10, r5, #0xff000000\n"
        "and r11, r7, #0xff000000\n"
        "orr r10, r10, r4, lsr #24\n"
        "orr r11, r11, r6, lsr #24\n"
        "stm r12!, {r8-r11}\n"
        "uxtb r8, r4, ror #8\n"
        "uxtb r9, r6, ror #8\n"
        "lsr r5, r5, #8\n"
        "lsr r7, r7, #8\n"
        "orr r8, r8, r5, lsl #24\n"
        "orr r9, r9, r7, lsl #24\n"
        "uxtb r10, r4, ror #16\n"
        "uxtb r11, r6, ror #16\n"
        "lsr r5, r5, #8\n"
        "lsr r7, r7, #8\n"
        "orr r10, r10, r5, lsl #24\n"
        "orr r11, r11, r7, lsl #24\n"
        "stm r12!, {r8-r11}\n"
        ".endr\n"
        "pop {r4-r11, pc}\n"
    );
}


static void tq_fill(uint32_t *to, int32_t words, uint32_t value)
{
    for (int32_t i = 0; i < words; i++) {
        to[i] = value;
    }
}

static TQ_NAKED void
tq_conv2d_s8_s8_requantizetwice_s8_armv7m_rows_product(const uint32_t *w __attribute__((unused)), const void *panel __attribute__((unused)), void *y __attribute__((unused)), const uint32_t *end __attribute__((unused)))
{
    __asm__ volatile(
        ".syntax unified\n"
        "push {r4-r11, lr}\n"
        "sub sp, #28\n"
        "movw r12, #32\n"
        "add r12, r12, r1\n"
        "strd r1, r2, [sp]\n"
        "strd r3, r12, [sp, #8]\n"
        "movw r4, #0\n"
        "str r4, [sp, #16]\n"
        "1:\n"
        "ldm r0!, {r2, r3, r6, r7}\n"
        "mov r4, r2\n"
        "mov r5, r3\n"
        "mov r8, r6\n"
        "mov r9, r7\n"
        "2:\n"
        ".rept 4\n"
        "ldm r1!, {r12, lr}\n"
        "ldrsb r10, [r0], #1\n"
        "ldrsb r11, [r0], #1\n"
        "smlal r2, r3, r12, r10\n"
        "smlal r4, r5, lr, r10\n"
        "smlal r6, r7, r12, r11\n"
        "smlal r8, r9, lr, r11\n"
        ".endr\n"
        "lsrs lr, r2, #24\n"
        "adc r3, lr, r3, lsl #8\n"
        "sbfx r2, r2, #0, #24\n"
        "lsrs lr, r4, #24\n"
        "adc r5, lr, r5, lsl #8\n"
        "sbfx r4, r4, #0, #24\n"
        "lsrs lr, r6, #24\n"
        "adc r7, lr, r7, lsl #8\n"
        "sbfx r6, r6, #0, #24\n"
        "lsrs lr, r8, #24\n"
        "adc r9, lr, r9, lsl #8\n"
        "sbfx r8, r8, #0, #24\n"
        "ldr r1, [sp, #4]\n"
        "ldm r0!, {r10, r11, r12}\n"
        "str r0, [sp, #20]\n"
        "smull lr, r0, r2, r11\n"
        "adds lr, lr, #0x80000000\n"
        "adc r0, r0, r12\n"
        "add r0, r0, r2, asr #31\n"
        "asr r0, r0, r10\n"
        "ssat r0, #8, r0\n"
        "strb r0, [r1, #0]\n"
        "smull lr, r0, r3, r11\n"
        "adds lr, lr, #0x80000000\n"
        "adc r0, r0, r12\n"
        "add r0, r0, r3, asr #31\n"
        "asr r0, r0, r10\n"
        "ssat r0, #8, r0\n"
        "strb r0, [r1, #3]\n"
        "smull lr, r0, r4, r11\n"
        "adds lr, lr, #0x80000000\n"
        "adc r0, r0, r12\n"
        "add r0, r0, r4, asr #31\n"
        "asr r0, r0, r10\n"
        "ssat r0, #8, r0\n"
        "strb r0, [r1, #6]\n"
        "smull lr, r0, r5, r11\n"
        "adds lr, lr, #0x80000000\n"
        "adc r0, r0, r12\n"
        "add r0, r0, r5, asr #31\n"
        "asr r0, r0, r10\n"
        "ssat r0, #8, r0\n"
        "strb r0, [r1, #9]\n"
        "ldr r0, [sp, #20]\n"
        "ldr r10, [sp, #8]\n"
        "sub r10, #12\n"
        "cmp r0, r10\n"
        "beq 9f\n"
        "ldm r0!, {r10, r11, r12}\n"
        "str r0, [sp, #20]\n"
        "smull lr, r0, r6, r11\n"
        "adds lr, lr, #0x80000000\n"
        "adc r0, r0, r12\n"
        "add r0, r0, r6, asr #31\n"
        "asr r0, r0, r10\n"
        "ssat r0, #8, r0\n"
        "strb r0, [r1, #1]\n"
        "smull lr, r0, r7, r11\n"
        "adds lr, lr, #0x80000000\n"
        "adc r0, r0, r12\n"
        "add r0, r0, r7, asr #31\n"
        "asr r0, r0, r10\n"
        "ssat r0, #8, r0\n"
        "strb r0, [r1, #4]\n"
        "smull lr, r0, r8, r11\n"
        "adds lr, lr, #0x80000000\n"
        "adc r0, r0, r12\n"
        "add r0, r0, r8, asr #31\n"
        "asr r0, r0, r10\n"
        "ssat r0, #8, r0\n"
        "strb r0, [r1, #7]\n"
        "smull lr, r0, r9, r11\n"
        "adds lr, lr, #0x80000000\n"
        "adc r0, r0, r12\n"
        "add r0, r0, r9, asr #31\n"
        "asr r0, r0, r10\n"
        "ssat r0, #8, r0\n"
        "strb r0, [r1, #10]\n"
        "ldr r0, [sp, #20]\n"
        "add r1, #2\n"
        "ldr r12, [sp, #8]\n"
        "str r1, [sp, #4]\n"
        "ldr r1, [sp]\n"
        "cmp r0, r12\n"
        "bne 1b\n"
        "9:\n"
        "add sp, #28\n"
        "pop {r4-r11, pc}\n"
    );
}


/* Windows of 1 x 1 x 3 by 3 channels, over the padded lines in scratch. */
static void tq_conv2d_s8_s8_requantizetwice_s8_armv7m_rows(const int8_t *x, const uint32_t *w, int8_t *y, void *scratch)
{
    int8_t *const lines = (int8_t *)scratch + 32;
    uint32_t *const words = (uint32_t *)scratch + 8;
    tq_fill(words, 6, 3065427638u);
    for (int32_t r = 0; r < 13; r++) {
        for (int32_t i = 0; i < 1; i += 1) {
            const int32_t from = r * 1 + i - 0;
            if (from < 0 || from >= 13) {
                tq_fill(words + i * 6, 6, 3065427638u);
            } else {
                tq_copy_21_loose(x + from * 21, lines + i * 24 + 0);
            }
        }
        for (int32_t p = 0; p < 7; p += 4) {
            const int32_t c = p < 3 ? p : 3;
            const int8_t *const at = lines + c * 3 + 0;
            tq_collect_1_1_24(at, at + 3, at + 6, at + 9, scratch);
            tq_conv2d_s8_s8_requantizetwice_s8_armv7m_rows_product(w, scratch, y + (r * 7 + c) * 3, w + 24);
        }
    }
}
