/* conv2d_s8_i8_armv7m-rows: s8[9,4,7], s2[7,3,3,7] -> s8[9,4,7] by requantizetwice */
static TQ_NAKED void
tq_copy_96(const void *from __attribute__((unused)), void *to __attribute__((unused)))
{
    __asm__ volatile(
        ".syntax unified\n"
        "push {r4-r10, lr}\n"
        "movw r2, #3\n"
        "1:\n"
        "ldm r0!, {r3-r10}\n"
        "stm r1!, {r3-r10}\n"
        "subs r2, #1\n"
        "bne 1b\n"
        "pop {r4-r10, pc}\n"
    );
}


static TQ_NAKED void
tq_copy_28(const void *from __attribute__((unused)), void *to __attribute__((unused)))
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
        "ldr r3, [r0], #4\n"
        "str r3, [r1], #4\n"
        "ldr r3, [r0], #4\n"
        "str r3, [r1], #4\n"
        "pop {r4-r10, pc}\n"
    );
}


static TQ_NAKED void
tq_collect_3_6_48(const int8_t *a __attribute__((unused)), const int8_t *b __attribute__((unused)), const int8_t *c __attribute__((unused)), const int8_t *d __attribute__((unused)), void *panel __attribute__((unused)))
{
    __asm__ volatile(
        ".syntax unified\n"
        "push {r4-r11, lr}\n"
        "ldr r12, [sp, #36]\n"
        "mov lr, #3\n"
        "1:\n"
        ".rept 6\n"
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
        "addw r0, r0, #24\n"
        "addw r1, r1, #24\n"
        "addw r2, r2, #24\n"
        "addw r3, r3, #24\n"
        "subs lr, #1\n"
        "bne 1b\n"
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
tq_conv2d_s8_s2_requantizetwice_s8_armv7m_rows_product(const uint32_t *w __attribute__((unused)), const void *panel __attribute__((unused)), void *y __attribute__((unused)), const uint32_t *end __attribute__((unused)))
{
    __asm__ volatile(
        ".syntax unified\n"
        "push {r4-r11, lr}\n"
        "sub sp, #28\n"
        "movw r12, #576\n"
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
        ".rept 12\n"
        "ldm r1!, {r12, lr}\n"
        "ldrsb r10, [r0], #1\n"
        "ldrsb r11, [r0], #1\n"
        "smlal r2, r3, r12, r10\n"
        "smlal r4, r5, lr, r10\n"
        "smlal r6, r7, r12, r11\n"
        "smlal r8, r9, lr, r11\n"
        ".endr\n"
        "ldr r10, [sp, #12]\n"
        "cmp r1, r10\n"
        "bne 2b\n"
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
        "usat r0, #31, r0\n"
        "rsb r0, r0, #39\n"
        "usat r0, #31, r0\n"
        "rsb r0, r0, #113\n"
        "strb r0, [r1, #0]\n"
        "smull lr, r0, r3, r11\n"
        "adds lr, lr, #0x80000000\n"
        "adc r0, r0, r12\n"
        "add r0, r0, r3, asr #31\n"
        "asr r0, r0, r10\n"
        "usat r0, #31, r0\n"
        "rsb r0, r0, #39\n"
        "usat r0, #31, r0\n"
        "rsb r0, r0, #113\n"
        "strb r0, [r1, #7]\n"
        "smull lr, r0, r4, r11\n"
        "adds lr, lr, #0x80000000\n"
        "adc r0, r0, r12\n"
        "add r0, r0, r4, asr #31\n"
        "asr r0, r0, r10\n"
        "usat r0, #31, r0\n"
        "rsb r0, r0, #39\n"
        "usat r0, #31, r0\n"
        "rsb r0, r0, #113\n"
        "strb r0, [r1, #14]\n"
        "smull lr, r0, r5, r11\n"
        "adds lr, lr, #0x80000000\n"
        "adc r0, r0, r12\n"
        "add r0, r0, r5, asr #31\n"
        "asr r0, r0, r10\n"
        "usat r0, #31, r0\n"
        "rsb r0, r0, #39\n"
        "usat r0, #31, r0\n"
        "rsb r0, r0, #113\n"
        "strb r0, [r1, #21]\n"
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
        "usat r0, #31, r0\n"
        "rsb r0, r0, #39\n"
        "usat r0, #31, r0\n"
        "rsb r0, r0, #113\n"
        "strb r0, [r1, #1]\n"
        "smull lr, r0, r7, r11\n"
        "adds lr, lr, #0x80000000\n"
        "adc r0, r0, r12\n"
        "add r0, r0, r7, asr #31\n"
        "asr r0, r0, r10\n"
        "usat r0, #31, r0\n"
        "rsb r0, r0, #39\n"
        "usat r0, #31, r0\n"
        "rsb r0, r0, #113\n"
        "strb r0, [r1, #8]\n"
        "smull lr, r0, r8, r11\n"
        "adds lr, lr, #0x80000000\n"
        "adc r0, r0, r12\n"
        "add r0, r0, r8, asr #31\n"
        "asr r0, r0, r10\n"
        "usat r0, #31, r0\n"
        "rsb r0, r0, #39\n"
        "usat r0, #31, r0\n"
        "rsb r0, r0, #113\n"
        "strb r0, [r1, #15]\n"
        "smull lr, r0, r9, r11\n"
        "adds lr, lr, #0x80000000\n"
        "adc r0, r0, r12\n"
        "add r0, r0, r9, asr #31\n"
        "asr r0, r0, r10\n"
        "usat r0, #31, r0\n"
        "rsb r0, r0, #39\n"
        "usat r0, #31, r0\n"
        "rsb r0, r0, #113\n"
        "strb r0, [r1, #22]\n"
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


/* Windows of 3 x 3 x 7 by 7 channels, over the padded lines in scratch. */
static void tq_conv2d_s8_s2_requantizetwice_s8_armv7m_rows(const int8_t *x, const uint32_t *w, int8_t *y, void *scratch)
{
    int8_t *const lines = (int8_t *)scratch + 576;
    uint32_t *const words = (uint32_t *)scratch + 144;
    tq_fill(words, 36, 2122219134u);
    for (int32_t i = 0; i < 1; i++) {
        tq_copy_28(x + i * 28, lines + i * 48 + 104);
    }
    for (int32_t r = 0; r < 9; r++) {
        const int32_t from = r + 1;
        tq_copy_96(lines + 48, lines);
        if (from < 9) {
            tq_copy_28(x + from * 28, lines + 104);
        } else {
            tq_fill(words + 24, 12, 2122219134u);
        }
        for (int32_t p = 0; p < 4; p += 4) {
            const int32_t c = p < 0 ? p : 0;
            const int8_t *const at = lines + c * 7 + 1;
            tq_collect_3_6_48(at, at + 7, at + 14, at + 21, scratch);
            tq_conv2d_s8_s2_requantizetwice_s8_armv7m_rows_product(w, scratch, y + (r * 4 + c) * 7, w + 184);
        }
    }
}
