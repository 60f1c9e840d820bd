/* conv2d_s8_i8_armv7em-rows: s8[2,12,40], s8[40,1,1,40] -> s8[2,12,40] by requantize */
static TQ_NAKED void
tq_copy_480(const void *from __attribute__((unused)), void *to __attribute__((unused)))
{
    __asm__ volatile(
        ".syntax unified\n"
        "push {r4-r10, lr}\n"
        "movw r2, #15\n"
        "1:\n"
        "ldm r0!, {r3-r10}\n"
        "stm r1!, {r3-r10}\n"
        "subs r2, #1\n"
        "bne 1b\n"
        "pop {r4-r10, pc}\n"
    );
}


static TQ_NAKED void
tq_collect_1_10_480(const int8_t *a __attribute__((unused)), const int8_t *b __attribute__((unused)), const int8_t *c __attribute__((unused)), const int8_t *d __attribute__((unused)), void *panel __attribute__((unused)))
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
tq_conv2d_s8_s8_s8_armv7em_rows_product(const uint32_t *w __attribute__((unused)), const void *panel __attribute__((unused)), void *y __attribute__((unused)), const uint32_t *end __attribute__((unused)))
{
    __asm__ volatile(
        ".syntax unified\n"
        "push {r4-r11, lr}\n"
        "sub sp, #28\n"
        "movw r12, #320\n"
        "add r12, r12, r1\n"
        "strd r1, r2, [sp]\n"
        "strd r3, r12, [sp, #8]\n"
        "movw r4, #49152\n"
        "movt r4, #1\n"
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
        ".rept 10\n"
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
        "ssat r2, #8, r2, asr #15\n"
        "smmla r6, r6, r11, r12\n"
        "ssat r6, #8, r6, asr #15\n"
        "strb r2, [lr, #0]\n"
        "strb r6, [lr, #1]\n"
        "smmla r3, r3, r10, r12\n"
        "ssat r3, #8, r3, asr #15\n"
        "smmla r7, r7, r11, r12\n"
        "ssat r7, #8, r7, asr #15\n"
        "strb r3, [lr, #40]\n"
        "strb r7, [lr, #41]\n"
        "smmla r4, r4, r10, r12\n"
        "ssat r4, #8, r4, asr #15\n"
        "smmla r8, r8, r11, r12\n"
        "ssat r8, #8, r8, asr #15\n"
        "strb r4, [lr, #80]\n"
        "strb r8, [lr, #81]\n"
        "smmla r5, r5, r10, r12\n"
        "ssat r5, #8, r5, asr #15\n"
        "smmla r9, r9, r11, r12\n"
        "ssat r9, #8, r9, asr #15\n"
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


/* Windows of 1 x 1 x 40 by 40 channels, over the padded lines in scratch. */
static void tq_conv2d_s8_s8_s8_armv7em_rows(const int8_t *x, const uint32_t *w, int8_t *y, void *scratch)
{
    int8_t *const lines = (int8_t *)scratch + 320;
    uint32_t *const words = (uint32_t *)scratch + 80;
    tq_fill(words, 120, 2155905152u);
    for (int32_t r = 0; r < 2; r++) {
        for (int32_t i = 0; i < 1; i += 1) {
            const int32_t from = r * 1 + i - 0;
            if (from < 0 || from >= 2) {
                tq_fill(words + i * 120, 120, 2155905152u);
            } else {
                tq_copy_480(x + from * 480, lines + i * 480 + 0);
            }
        }
        for (int32_t p = 0; p < 12; p += 4) {
            const int32_t c = p < 8 ? p : 8;
            const int8_t *const at = lines + c * 40 + 0;
            tq_collect_1_10_480(at, at + 40, at + 80, at + 120, scratch);
            tq_conv2d_s8_s8_s8_armv7em_rows_product(w, scratch, y + (r * 12 + c) * 40, w + 880);
        }
    }
}
