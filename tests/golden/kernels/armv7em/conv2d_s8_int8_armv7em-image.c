/* conv2d_s8_int8_armv7em-image: s8[13,3,33], s8[33,1,1,33] -> s8[13,3,33] by requantize */
static TQ_NAKED void
tq_copy_99_loose(const void *from __attribute__((unused)), void *to __attribute__((unused)))
{
    __asm__ volatile(
        ".syntax unified\n"
        "push {r4-r10, lr}\n"
        "movw r2, #3\n"
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
        "ldrb r3, [r0], #1\n"
        "strb r3, [r1], #1\n"
        "pop {r4-r10, pc}\n"
    );
}


static TQ_NAKED void
tq_collect_1_9_104(const int8_t *a __attribute__((unused)), const int8_t *b __attribute__((unused)), const int8_t *c __attribute__((unused)), const int8_t *d __attribute__((unused)), void *panel __attribute__((unused)))
{
    __asm__ volatile(
        ".syntax unified\n"
        "push {r4-r11, lr}\n"
        "ldr r12, [sp, #36]\n"
        "ldr r4, [r0, #0]\n"
        "ldr r5, [r1, #0]\n"
        "ldr r6, [r2, #0]\n"
        "ldr r7, [r3, #0]\n"
        "sxtb16 r8, r4\n"
        "sxtb16 r9, r5\n"
        "sxtb16 r10, r6\n"
        "sxtb16 r11, r7\n"
        "sxtb16 r4, r4, ror #8\n"
        "sxtb16 r5, r5, ror #8\n"
        "sxtb16 r6, r6, ror #8\n"
        "sxtb16 r7, r7, ror #8\n"
        "stm r12!, {r8-r11}\n"
        "stm r12!, {r4-r7}\n"
        "ldr r4, [r0, #4]\n"
        "ldr r5, [r1, #4]\n"
        "ldr r6, [r2, #4]\n"
        "ldr r7, [r3, #4]\n"
        "sxtb16 r8, r4\n"
        "sxtb16 r9, r5\n"
        "sxtb16 r10, r6\n"
        "sxtb16 r11, r7\n"
        "sxtb16 r4, r4, ror #8\n"
        "sxtb16 r5, r5, ror #8\n"
        "sxtb16 r6, r6, ror #8\n"
        "sxtb16 r7, r7, ror #8\n"
        "stm r12!, {r8-r11}\n"
        "stm r12!, {r4-r7}\n"
        "ldr r4, [r0, #8]\n"
        "ldr r5, [r1, #8]\n"
        "ldr r6, [r2, #8]\n"
        "ldr r7, [r3, #8]\n"
        "sxtb16 r8, r4\n"
        "sxtb16 r9, r5\n"
        "sxtb16 r10, r6\n"
        "sxtb16 r11, r7\n"
        "sxtb16 r4, r4, ror #8\n"
        "sxtb16 r5, r5, ror #8\n"
        "sxtb16 r6, r6, ror #8\n"
        "sxtb16 r7, r7, ror #8\n"
        "stm r12!, {r8-r11}\n"
        "stm r12!, {r4-r7}\n"
        "ldr r4, [r0, #12]\n"
        "ldr r5, [r1, #12]\n"
        "ldr r6, [r2, #12]\n"
        "ldr r7, [r3, #12]\n"
        "sxtb16 r8, r4\n"
        "sxtb16 r9, r5\n"
        "sxtb16 r10, r6\n"
        "sxtb16 r11, r7\n"
        "sxtb16 r4, r4, ror #8\n"
        "sxtb16 r5, r5, ror #8\n"
        "sxtb16 r6, r6, ror #8\n"
        "sxtb16 r7, r7, ror #8\n"
        "stm r12!, {r8-r11}\n"
        "stm r12!, {r4-r7}\n"
        "ldr r4, [r0, #16]\n"
        "ldr r5, [r1, #16]\n"
        "ldr r6, [r2, #16]\n"
        "ldr r7, [r3, #16]\n"
        "sxtb16 r8, r4\n"
        "sxtb16 r9, r5\n"
        "sxtb16 r10, r6\n"
        "sxtb16 r11, r7\n"
        "sxtb16 r4, r4, ror #8\n"
        "sxtb16 r5, r5, ror #8\n"
        "sxtb16 r6, r6, ror #8\n"
        "sxtb16 r7, r7, ror #8\n"
        "stm r12!, {r8-r11}\n"
        "stm r12!, {r4-r7}\n"
        "ldr r4, [r0, #20]\n"
        "ldr r5, [r1, #20]\n"
        "ldr r6, [r2, #20]\n"
        "ldr r7, [r3, #20]\n"
        "sxtb16 r8, r4\n"
        "sxtb16 r9, r5\n"
        "sxtb16 r10, r6\n"
        "sxtb16 r11, r7\n"
        "sxtb16 r4, r4, ror #8\n"
        "sxtb16 r5, r5, ror #8\n"
        "sxtb16 r6, r6, ror #8\n"
        "sxtb16 r7, r7, ror #8\n"
        "stm r12!, {r8-r11}\n"
        "stm r12!, {r4-r7}\n"
        "ldr r4, [r0, #24]\n"
        "ldr r5, [r1, #24]\n"
        "ldr r6, [r2, #24]\n"
        "ldr r7, [r3, #24]\n"
        "sxtb16 r8, r4\n"
        "sxtb16 r9, r5\n"
        "sxtb16 r10, r6\n"
        "sxtb16 r11, r7\n"
        "sxtb16 r4, r4, ror #8\n"
        "sxtb16 r5, r5, ror #8\n"
        "sxtb16 r6, r6, ror #8\n"
        "sxtb16 r7, r7, ror #8\n"
        "stm r12!, {r8-r11}\n"
        "stm r12!, {r4-r7}\n"
        "ldr r4, [r0, #28]\n"
        "ldr r5, [r1, #28]\n"
        "ldr r6, [r2, #28]\n"
        "ldr r7, [r3, #28]\n"
        "sxtb16 r8, r4\n"
        "sxtb16 r9, r5\n"
        "sxtb16 r10, r6\n"
        "sxtb16 r11, r7\n"
        "sxtb16 r4, r4, ror #8\n"
        "sxtb16 r5, r5, ror #8\n"
        "sxtb16 r6, r6, ror #8\n"
        "sxtb16 r7, r7, ror #8\n"
        "stm r12!, {r8-r11}\n"
        "stm r12!, {r4-r7}\n"
        "ldr r4, [r0, #32]\n"
        "ldr r5, [r1, #32]\n"
        "ldr r6, [r2, #32]\n"
        "ldr r7, [r3, #32]\n"
        "sxtb16 r8, r4\n"
        "sxtb16 r9, r5\n"
        "sxtb16 r10, r6\n"
        "sxtb16 r11, r7\n"
        "sxtb16 r4, r4, ror #8\n"
        "sxtb16 r5, r5, ror #8\n"
        "sxtb16 r6, r6, ror #8\n"
        "sxtb16 r7, r7, ror #8\n"
        "stm r12!, {r8-r11}\n"
        "stm r12!, {r4-r7}\n"
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
tq_conv2d_s8_s8_s8_armv7em_image_product(const uint32_t *w __attribute__((unused)), const void *panel __attribute__((unused)), void *y __attribute__((unused)), const uint32_t *end __attribute__((unused)))
{
    __asm__ volatile(
        ".syntax unified\n"
        "push {r4-r11, lr}\n"
        "sub sp, #28\n"
        "movw r12, #288\n"
        "add r12, r12, r1\n"
        "strd r1, r2, [sp]\n"
        "strd r3, r12, [sp, #8]\n"
        "movw r4, #7\n"
        "str r4, [sp, #16]\n"
        "1:\n"
        "ldrd r2, r6, [r0], #8\n"
        "mov r3, r2\n"
        "mov r4, r2\n"
        "mov r5, r2\n"
        "mov r7, r6\n"
        "mov r8, r6\n"
        "mov r9, r6\n"
        "2:\n"
        ".rept 9\n"
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
        "ldr r10, [sp, #12]\n"
        "cmp r1, r10\n"
        "bne 2b\n"
        "ldrd r10, r11, [r0], #8\n"
        "ldr r12, [sp, #16]\n"
        "ldr lr, [sp, #4]\n"
        "ldr r1, [sp, #8]\n"
        "cmp r0, r1\n"
        "smmla r2, r2, r10, r12\n"
        "ssat r2, #8, r2, asr #1\n"
        "smmla r6, r6, r11, r12\n"
        "ssat r6, #8, r6, asr #1\n"
        "strb r2, [lr, #0]\n"
        "it ne\n"
        "strbne r6, [lr, #1]\n"
        "smmla r3, r3, r10, r12\n"
        "ssat r3, #8, r3, asr #1\n"
        "smmla r7, r7, r11, r12\n"
        "ssat r7, #8, r7, asr #1\n"
        "strb r3, [lr, #33]\n"
        "it ne\n"
        "strbne r7, [lr, #34]\n"
        "smmla r4, r4, r10, r12\n"
        "ssat r4, #8, r4, asr #1\n"
        "smmla r8, r8, r11, r12\n"
        "ssat r8, #8, r8, asr #1\n"
        "strb r4, [lr, #66]\n"
        "it ne\n"
        "strbne r8, [lr, #67]\n"
        "smmla r5, r5, r10, r12\n"
        "ssat r5, #8, r5, asr #1\n"
        "smmla r9, r9, r11, r12\n"
        "ssat r9, #8, r9, asr #1\n"
        "strb r5, [lr, #99]\n"
        "it ne\n"
        "strbne r9, [lr, #100]\n"
        "add lr, #2\n"
        "ldr r1, [sp]\n"
        "ldr r12, [sp, #8]\n"
        "str lr, [sp, #4]\n"
        "cmp r0, r12\n"
        "bne 1b\n"
        "add sp, #28\n"
        "pop {r4-r11, pc}\n"
    );
}


/* Windows of 1 x 1 x 33 by 33 channels, over the padded image in scratch. */
static void tq_conv2d_s8_s8_s8_armv7em_image(const int8_t *x, const uint32_t *w, int8_t *y, void *scratch)
{
    int8_t *const image = (int8_t *)scratch + 288;
    int8_t *const last = (int8_t *)image + 1352;
    const int8_t *at[4] = {image, image, image, image};
    int32_t r = 0;
    int32_t c = 0;
    tq_fill((uint32_t *)scratch + 72, 338, 3435973836u);
    for (int32_t i = 0; i < 13; i++) {
        tq_copy_99_loose(x + i * 99, image + (i + 0) * 104 + 0);
    }
    for (int32_t p = 0; p < 39; p += 4) {
        int8_t *const to = p + 4 <= 39 ? y + p * 33 : last;
        for (int32_t i = 0; i < 4; i++) {
            if (p + i < 39) {
                at[i] = image + r * 104 + c * 33 + 0;
            }
            c++;
            if (c == 3) {
                c = 0;
                r++;
            }
        }
        tq_collect_1_9_104(at[0], at[1], at[2], at[3], scratch);
        tq_conv2d_s8_s8_s8_armv7em_image_product(w, scratch, to, w + 680);
        if (to == last) {
            for (int32_t i = 0; i < (39 - p) * 33; i++) {
                y[p * 33 + i] = last[i];
            }
        }
    }
}
