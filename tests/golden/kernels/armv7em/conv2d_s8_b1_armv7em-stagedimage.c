/* conv2d_s8_b1_armv7em-stagedimage: s8[1,13,1], b1[1,1,1,1] -> b1[1,13,1] by threshold */
static TQ_NAKED void
tq_copy_13_loose(const void *from __attribute__((unused)), void *to __attribute__((unused)))
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
        "ldrb r3, [r0], #1\n"
        "strb r3, [r1], #1\n"
        "pop {r4-r10, pc}\n"
    );
}


static TQ_NAKED void
tq_collect_1_1_16(const int8_t *a __attribute__((unused)), const int8_t *b __attribute__((unused)), const int8_t *c __attribute__((unused)), const int8_t *d __attribute__((unused)), void *panel __attribute__((unused)))
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
tq_sums_2(const uint32_t *w __attribute__((unused)), const void *panel __attribute__((unused)), int32_t *y __attribute__((unused)), const uint32_t *end __attribute__((unused)))
{
    __asm__ volatile(
        ".syntax unified\n"
        "push {r4-r11, lr}\n"
        "sub sp, #28\n"
        "movw r12, #32\n"
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
        ".rept 2\n"
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


/* Pixels of 1 channels from sums, 4 pixels to a channel. */
static void tq_conv2d_s8_b1_b1_armv7em_stagedimage_finish(const int32_t *sums, int32_t pixels, const tq_threshold_stage *stage, uint32_t *y)
{
    for (int32_t i = 0; i < pixels; i++) {
        uint32_t unit = 0;
        for (int32_t j = 0; j < 1; j++) {
            unit = tq_threshold_b1(stage, y, j, 1, unit, sums[(j) * 4 + i]);
        }
        y += tq_units_b1(1);
    }
}


/* Windows of 1 x 1 x 1 by 1 channels, over the padded image in scratch. */
static void tq_conv2d_s8_b1_b1_armv7em_stagedimage(const int8_t *x, const uint32_t *w, const tq_threshold_stage *stage, uint32_t *y, void *scratch)
{
    int8_t *const image = (int8_t *)scratch + 32;
    int32_t *const sums = (int32_t *)scratch + 12;
    const int8_t *at[4] = {image, image, image, image};
    int32_t r = 0;
    int32_t c = 0;
    tq_fill((uint32_t *)scratch + 8, 4, 2829625512u);
    for (int32_t i = 0; i < 1; i++) {
        tq_copy_13_loose(x + i * 13, image + (i + 0) * 16 + 0);
    }
    for (int32_t p = 0; p < 13; p += 4) {
        for (int32_t i = 0; i < 4; i++) {
            if (p + i < 13) {
                at[i] = image + r * 16 + c * 1 + 0;
            }
            c++;
            if (c == 13) {
                c = 0;
                r++;
            }
        }
        tq_collect_1_1_16(at[0], at[1], at[2], at[3], scratch);
        tq_sums_2(w, scratch, sums, w + 6);
        tq_conv2d_s8_b1_b1_armv7em_stagedimage_finish(sums, p + 4 <= 13 ? 4 : 13 - p, stage, y + p * tq_units_b1(1));
    }
}
