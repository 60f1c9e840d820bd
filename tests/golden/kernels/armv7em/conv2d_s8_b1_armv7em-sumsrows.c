/* conv2d_s8_b1_armv7em-sumsrows: s8[2,7,15], b1[15,3,3,15] -> s8[2,7,15] by steps */
static TQ_NAKED void
tq_copy_280(const void *from __attribute__((unused)), void *to __attribute__((unused)))
{
    __asm__ volatile(
        ".syntax unified\n"
        "push {r4-r10, lr}\n"
        "movw r2, #8\n"
        "1:\n"
        "ldm r0!, {r3-r10}\n"
        "stm r1!, {r3-r10}\n"
        "subs r2, #1\n"
        "bne 1b\n"
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
tq_copy_105_loose(const void *from __attribute__((unused)), void *to __attribute__((unused)))
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
tq_collect_3_12_140(const int8_t *a __attribute__((unused)), const int8_t *b __attribute__((unused)), const int8_t *c __attribute__((unused)), const int8_t *d __attribute__((unused)), void *panel __attribute__((unused)))
{
    __asm__ volatile(
        ".syntax unified\n"
        "push {r4-r11, lr}\n"
        "ldr r12, [sp, #36]\n"
        "mov lr, #3\n"
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
        "addw r0, r0, #92\n"
        "addw r1, r1, #92\n"
        "addw r2, r2, #92\n"
        "addw r3, r3, #92\n"
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
tq_sums_72(const uint32_t *w __attribute__((unused)), const void *panel __attribute__((unused)), int32_t *y __attribute__((unused)), const uint32_t *end __attribute__((unused)))
{
    __asm__ volatile(
        ".syntax unified\n"
        "push {r4-r11, lr}\n"
        "sub sp, #28\n"
        "movw r12, #1152\n"
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
        ".rept 12\n"
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


/* Pixels of 15 channels from sums, 4 pixels to a channel. */
static void tq_conv2d_s8_b1_steps_s8_armv7em_sumsrows_finish(const int32_t *sums, int32_t pixels, const tq_steps_epilogue *epilogue, int8_t *y)
{
    for (int32_t i = 0; i < pixels; i++) {
        uint32_t word = 0;
        for (int32_t j = 0; j < 15; j++) {
            word = tq_steps_s8(epilogue, y, j, 15, word, sums[(j) * 4 + i]);
        }
        y += tq_words_s8(15);
    }
}


/* Windows of 3 x 3 x 15 by 15 channels, over the padded lines in scratch. */
static void tq_conv2d_s8_b1_steps_s8_armv7em_sumsrows(const int8_t *x, const uint32_t *w, const tq_steps_epilogue *epilogue, int8_t *y, void *scratch)
{
    int8_t *const lines = (int8_t *)scratch + 1152;
    uint32_t *const words = (uint32_t *)scratch + 288;
    int32_t *const sums = (int32_t *)scratch + 393;
    tq_fill(words, 105, 2593823386u);
    for (int32_t i = 0; i < 1; i++) {
        tq_copy_105_loose(x + i * 105, lines + i * 140 + 296);
    }
    for (int32_t r = 0; r < 2; r++) {
        const int32_t from = r + 1;
        tq_copy_280(lines + 140, lines);
        if (from < 2) {
            tq_copy_105_loose(x + from * 105, lines + 296);
        } else {
            tq_fill(words + 70, 35, 2593823386u);
        }
        for (int32_t p = 0; p < 7; p += 4) {
            const int32_t c = p < 3 ? p : 3;
            const int8_t *const at = lines + c * 15 + 1;
            tq_collect_3_12_140(at, at + 15, at + 30, at + 45, scratch);
            tq_sums_72(w, scratch, sums, w + 1168);
            tq_conv2d_s8_b1_steps_s8_armv7em_sumsrows_finish(sums + (p - c), c + 4 - p, epilogue, y + (r * 7 + p) * tq_words_s8(15));
        }
    }
}
