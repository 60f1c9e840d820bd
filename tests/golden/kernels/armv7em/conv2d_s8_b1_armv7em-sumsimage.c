/* conv2d_s8_b1_armv7em-sumsimage: s8[2,3,8], b1[7,2,2,8] -> s8[1,1,7] by steps */
static TQ_NAKED void
tq_copy_24(const void *from __attribute__((unused)), void *to __attribute__((unused)))
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
        "pop {r4-r10, pc}\n"
    );
}


static TQ_NAKED void
tq_collect_2_4_24(const int8_t *a __attribute__((unused)), const int8_t *b __attribute__((unused)), const int8_t *c __attribute__((unused)), const int8_t *d __attribute__((unused)), void *panel __attribute__((unused)))
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
        "ldr r4, [r0, #36]\n"
        "ldr r5, [r1, #36]\n"
        "ldr r6, [r2, #36]\n"
        "ldr r7, [r3, #36]\n"
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
tq_sums_16(const uint32_t *w __attribute__((unused)), const void *panel __attribute__((unused)), int32_t *y __attribute__((unused)), const uint32_t *end __attribute__((unused)))
{
    __asm__ volatile(
        ".syntax unified\n"
        "push {r4-r11, lr}\n"
        "sub sp, #28\n"
        "movw r12, #256\n"
        "add r12, r12, r1\n"
        "strd r1, r2, [sp]\n"
        "strd r3, r12, [sp, #8]\n"
        "1:\n"
        "ldrd r2, r6, [r0], #8\n"
        "mov r3, r2\n"
        "mov r4, r2\n"
        "mov r5, r2\n"
        "mov r7, r6\n"
        "mov r8, r6\n"
        "mov r9, r6\n"
        "2:\n"
        ".rept 16\n"
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
        "ldr lr, [sp, #4]\n"
        "stm lr!, {r2-r9}\n"
        "ldr r1, [sp]\n"
        "ldr r12, [sp, #8]\n"
        "str lr, [sp, #4]\n"
        "cmp r0, r12\n"
        "bne 1b\n"
        "add sp, #28\n"
        "pop {r4-r11, pc}\n"
    );
}


/* Pixels of 7 channels from sums, 4 pixels to a channel. */
static void tq_conv2d_s8_b1_steps_s8_armv7em_sumsimage_finish(const int32_t *sums, int32_t pixels, const tq_steps_epilogue *epilogue, int8_t *y)
{
    for (int32_t i = 0; i < pixels; i++) {
        uint32_t word = 0;
        for (int32_t j = 0; j < 7; j++) {
            word = tq_steps_s8(epilogue, y, j, 7, word, sums[(j) * 4 + i]);
        }
        y += tq_words_s8(7);
    }
}


/* Windows of 2 x 2 x 8 by 7 channels, over the padded image in scratch. */
static void tq_conv2d_s8_b1_steps_s8_armv7em_sumsimage(const int8_t *x, const uint32_t *w, const tq_steps_epilogue *epilogue, int8_t *y, void *scratch)
{
    int8_t *const image = (int8_t *)scratch + 256;
    int32_t *const sums = (int32_t *)scratch + 76;
    const int8_t *at[4] = {image, image, image, image};
    int32_t r = 0;
    int32_t c = 0;
    tq_fill((uint32_t *)scratch + 64, 12, 488447261u);
    for (int32_t i = 0; i < 2; i++) {
        tq_copy_24(x + i * 24, image + (i + 0) * 24 + 0);
    }
    for (int32_t p = 0; p < 1; p += 4) {
        for (int32_t i = 0; i < 4; i++) {
            if (p + i < 1) {
                at[i] = image + r * 72 + c * 24 + 0;
            }
            c++;
            if (c == 1) {
                c = 0;
                r++;
            }
        }
        tq_collect_2_4_24(at[0], at[1], at[2], at[3], scratch);
        tq_sums_16(w, scratch, sums, w + 136);
        tq_conv2d_s8_b1_steps_s8_armv7em_sumsimage_finish(sums, p + 4 <= 1 ? 4 : 1 - p, epilogue, y + p * tq_words_s8(7));
    }
}
