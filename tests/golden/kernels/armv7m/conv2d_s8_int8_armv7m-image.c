/* conv2d_s8_int8_armv7m-image: s8[4,1,1], n2[1,3,3,1] -> s8[4,1,1] by requantize */
static TQ_NAKED void
tq_copy_1_loose(const void *from __attribute__((unused)), void *to __attribute__((unused)))
{
    __asm__ volatile(
        ".syntax unified\n"
        "push {r4-r10, lr}\n"
        "ldrb r3, [r0], #1\n"
        "strb r3, [r1], #1\n"
        "pop {r4-r10, pc}\n"
    );
}


static TQ_NAKED void
tq_collect_3_1_8(const int8_t *a __attribute__((unused)), const int8_t *b __attribute__((unused)), const int8_t *c __attribute__((unused)), const int8_t *d __attribute__((unused)), void *panel __attribute__((unused)))
{
    __asm__ volatile(
        ".syntax unified\n"
        "push {r4-r11, lr}\n"
        "ldr r12, [sp, #36]\n"
        "mov lr, #3\n"
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
        "addw r0, r0, #4\n"
        "addw r1, r1, #4\n"
        "addw r2, r2, #4\n"
        "addw r3, r3, #4\n"
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
tq_conv2d_s8_n2_s8_armv7m_image_product(const uint32_t *w __attribute__((unused)), const void *panel __attribute__((unused)), void *y __attribute__((unused)), const uint32_t *end __attribute__((unused)))
{
    __asm__ volatile(
        ".syntax unified\n"
        "push {r4-r11, lr}\n"
        "sub sp, #28\n"
        "movw r12, #96\n"
        "add r12, r12, r1\n"
        "strd r1, r2, [sp]\n"
        "strd r3, r12, [sp, #8]\n"
        "movw r4, #57344\n"
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
        "ldm r0!, {r10, r11}\n"
        "ldr r12, [sp, #16]\n"
        "smull lr, r2, r2, r10\n"
        "add r2, r2, r12\n"
        "ssat r2, #8, r2, asr #14\n"
        "strb r2, [r1, #0]\n"
        "smull lr, r3, r3, r10\n"
        "add r3, r3, r12\n"
        "ssat r3, #8, r3, asr #14\n"
        "strb r3, [r1, #1]\n"
        "smull lr, r4, r4, r10\n"
        "add r4, r4, r12\n"
        "ssat r4, #8, r4, asr #14\n"
        "strb r4, [r1, #2]\n"
        "smull lr, r5, r5, r10\n"
        "add r5, r5, r12\n"
        "ssat r5, #8, r5, asr #14\n"
        "strb r5, [r1, #3]\n"
        "ldr lr, [sp, #8]\n"
        "cmp r0, lr\n"
        "beq 9f\n"
        "smull lr, r6, r6, r11\n"
        "add r6, r6, r12\n"
        "ssat r6, #8, r6, asr #14\n"
        "strb r6, [r1, #1]\n"
        "smull lr, r7, r7, r11\n"
        "add r7, r7, r12\n"
        "ssat r7, #8, r7, asr #14\n"
        "strb r7, [r1, #2]\n"
        "smull lr, r8, r8, r11\n"
        "add r8, r8, r12\n"
        "ssat r8, #8, r8, asr #14\n"
        "strb r8, [r1, #3]\n"
        "smull lr, r9, r9, r11\n"
        "add r9, r9, r12\n"
        "ssat r9, #8, r9, asr #14\n"
        "strb r9, [r1, #4]\n"
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


/* Windows of 3 x 3 x 1 by 1 channels, over the padded image in scratch. */
static void tq_conv2d_s8_n2_s8_armv7m_image(const int8_t *x, const uint32_t *w, int8_t *y, void *scratch)
{
    int8_t *const image = (int8_t *)scratch + 96;
    int8_t *const last = (int8_t *)image + 48;
    const int8_t *at[4] = {image, image, image, image};
    int32_t r = 0;
    int32_t c = 0;
    tq_fill((uint32_t *)scratch + 24, 12, 1987475062u);
    for (int32_t i = 0; i < 4; i++) {
        tq_copy_1_loose(x + i * 1, image + (i + 1) * 8 + 4);
    }
    for (int32_t p = 0; p < 4; p += 4) {
        int8_t *const to = p + 4 <= 4 ? y + p * 1 : last;
        for (int32_t i = 0; i < 4; i++) {
            if (p + i < 4) {
                at[i] = image + r * 8 + c * 1 + 3;
            }
            c++;
            if (c == 1) {
                c = 0;
                r++;
            }
        }
        tq_collect_3_1_8(at[0], at[1], at[2], at[3], scratch);
        tq_conv2d_s8_n2_s8_armv7m_image_product(w, scratch, to, w + 12);
        if (to == last) {
            for (int32_t i = 0; i < (4 - p) * 1; i++) {
                y[p * 1 + i] = last[i];
            }
        }
    }
}
