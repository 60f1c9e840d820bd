/* conv2d_s8_i8_armv7em-image: s8[1,3,24], c2[40,4,2,24] -> u8[1,3,40] by requantize */
static TQ_NAKED void
tq_copy_72(const void *from __attribute__((unused)), void *to __attribute__((unused)))
{
    __asm__ volatile(
        ".syntax unified\n"
        "push {r4-r10, lr}\n"
        "movw r2, #2\n"
        "1:\n"
        "ldm r0!, {r3-r10}\n"
        "stm r1!, {r3-r10}\n"
        "subs r2, #1\n"
        "bne 1b\n"
        "ldr r3, [r0], #4\n"
        "str r3, [r1], #4\n"
        "ldr r3, [r0], #4\n"
        "str r3, [r1], #4\n"
        "pop {r4-r10, pc}\n"
    );
}


static TQ_NAKED void
tq_collect_4_12_96(const int8_t *a __attribute__((unused)), const int8_t *b __attribute__((unused)), const int8_t *c __attribute__((unused)), const int8_t *d __attribute__((unused)), void *panel __attribute__((unused)))
{
    __asm__ volatile(
        ".syntax unified\n"
        "push {r4-r11, lr}\n"
        "ldr r12, [sp, #36]\n"
        "mov lr, #4\n"
        "1:\n"
        "movw r4, #2\n"
        "2:\n"
        "push {r4}\n"
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
        "add r0, #24\n"
        "add r1, #24\n"
        "add r2, #24\n"
        "add r3, #24\n"
        "pop {r4}\n"
        "subs r4, #1\n"
        "bne 2b\n"
        "addw r0, r0, #48\n"
        "addw r1, r1, #48\n"
        "addw r2, r2, #48\n"
        "addw r3, r3, #48\n"
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
tq_conv2d_s8_c2_u8_armv7em_image_product(const uint32_t *w __attribute__((unused)), const void *panel __attribute__((unused)), void *y __attribute__((unused)), const uint32_t *end __attribute__((unused)))
{
    __asm__ volatile(
        ".syntax unified\n"
        "push {r4-r11, lr}\n"
        "sub sp, #28\n"
        "movw r12, #1536\n"
        "add r12, r12, r1\n"
        "strd r1, r2, [sp]\n"
        "strd r3, r12, [sp, #8]\n"
        "movw r4, #168\n"
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
        "ldr r10, [sp, #12]\n"
        "cmp r1, r10\n"
        "bne 2b\n"
        "ldrd r10, r11, [r0], #8\n"
        "ldr r12, [sp, #16]\n"
        "ldr lr, [sp, #4]\n"
        "smmla r2, r2, r10, r12\n"
        "usat r2, #31, r2, asr #4\n"
        "rsb r2, r2, #19\n"
        "usat r2, #31, r2\n"
        "rsb r2, r2, #181\n"
        "smmla r6, r6, r11, r12\n"
        "usat r6, #31, r6, asr #4\n"
        "rsb r6, r6, #19\n"
        "usat r6, #31, r6\n"
        "rsb r6, r6, #181\n"
        "strb r2, [lr, #0]\n"
        "strb r6, [lr, #1]\n"
        "smmla r3, r3, r10, r12\n"
        "usat r3, #31, r3, asr #4\n"
        "rsb r3, r3, #19\n"
        "usat r3, #31, r3\n"
        "rsb r3, r3, #181\n"
        "smmla r7, r7, r11, r12\n"
        "usat r7, #31, r7, asr #4\n"
        "rsb r7, r7, #19\n"
        "usat r7, #31, r7\n"
        "rsb r7, r7, #181\n"
        "strb r3, [lr, #40]\n"
        "strb r7, [lr, #41]\n"
        "smmla r4, r4, r10, r12\n"
        "usat r4, #31, r4, asr #4\n"
        "rsb r4, r4, #19\n"
        "usat r4, #31, r4\n"
        "rsb r4, r4, #181\n"
        "smmla r8, r8, r11, r12\n"
        "usat r8, #31, r8, asr #4\n"
        "rsb r8, r8, #19\n"
        "usat r8, #31, r8\n"
        "rsb r8, r8, #181\n"
        "strb r4, [lr, #80]\n"
        "strb r8, [lr, #81]\n"
        "smmla r5, r5, r10, r12\n"
        "usat r5, #31, r5, asr #4\n"
        "rsb r5, r5, #19\n"
        "usat r5, #31, r5\n"
        "rsb r5, r5, #181\n"
        "smmla r9, r9, r11, r12\n"
        "usat r9, #31, r9, asr #4\n"
        "rsb r9, r9, #19\n"
        "usat r9, #31, r9\n"
        "rsb r9, r9, #181\n"
        "strb r5, [lr, #120]\n"
        "strb r9, [lr, #121]\n"
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


/* Windows of 4 x 2 x 24 by 40 channels, over the padded image in scratch. */
static void tq_conv2d_s8_c2_u8_armv7em_image(const int8_t *x, const uint32_t *w, uint8_t *y, void *scratch)
{
    int8_t *const image = (int8_t *)scratch + 1536;
    uint8_t *const last = (uint8_t *)image + 384;
    const int8_t *at[4] = {image, image, image, image};
    int32_t r = 0;
    int32_t c = 0;
    tq_fill((uint32_t *)scratch + 384, 96, 4025479151u);
    for (int32_t i = 0; i < 1; i++) {
        tq_copy_72(x + i * 72, image + (i + 1) * 96 + 0);
    }
    for (int32_t p = 0; p < 3; p += 4) {
        uint8_t *const to = p + 4 <= 3 ? y + p * 40 : last;
        for (int32_t i = 0; i < 4; i++) {
            if (p + i < 3) {
                at[i] = image + r * 96 + c * 24 + 0;
            }
            c++;
            if (c == 3) {
                c = 0;
                r++;
            }
        }
        tq_collect_4_12_96(at[0], at[1], at[2], at[3], scratch);
        tq_conv2d_s8_c2_u8_armv7em_image_product(w, scratch, to, w + 3920);
        if (to == last) {
            for (int32_t i = 0; i < (3 - p) * 40; i++) {
                y[p * 40 + i] = last[i];
            }
        }
    }
}
