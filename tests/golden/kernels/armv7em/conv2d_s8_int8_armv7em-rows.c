/* conv2d_s8_int8_armv7em-rows: s8[2,4,17], s8[40,1,1,17] -> u4[2,4,40] by requantize */
static TQ_NAKED void
tq_copy_68(const void *from __attribute__((unused)), void *to __attribute__((unused)))
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
        "pop {r4-r10, pc}\n"
    );
}


static TQ_NAKED void
tq_collect_1_5_72(const int8_t *a __attribute__((unused)), const int8_t *b __attribute__((unused)), const int8_t *c __attribute__((unused)), const int8_t *d __attribute__((unused)), void *panel __attribute__((unused)))
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
tq_conv2d_s8_s8_u4_armv7em_rows_product(const uint32_t *w __attribute__((unused)), const void *panel __attribute__((unused)), void *y __attribute__((unused)), const uint32_t *end __attribute__((unused)))
{
    __asm__ volatile(
        ".syntax unified\n"
        "push {r4-r11, lr}\n"
        "sub sp, #28\n"
        "movw r12, #160\n"
        "add r12, r12, r1\n"
        "strd r1, r2, [sp]\n"
        "strd r3, r12, [sp, #8]\n"
        "movw r4, #512\n"
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
        "ldrd r10, r11, [r0], #8\n"
        "ldr r12, [sp, #16]\n"
        "ldr lr, [sp, #4]\n"
        "smmla r2, r2, r10, r12\n"
        "usat r2, #31, r2, asr #10\n"
        "rsb r2, r2, #6\n"
        "usat r2, #31, r2\n"
        "rsb r2, r2, #6\n"
        "smmla r6, r6, r11, r12\n"
        "usat r6, #31, r6, asr #10\n"
        "rsb r6, r6, #6\n"
        "usat r6, #31, r6\n"
        "rsb r6, r6, #6\n"
        "bfi r2, r6, #4, #4\n"
        "strb r2, [lr, #0]\n"
        "smmla r3, r3, r10, r12\n"
        "usat r3, #31, r3, asr #10\n"
        "rsb r3, r3, #6\n"
        "usat r3, #31, r3\n"
        "rsb r3, r3, #6\n"
        "smmla r7, r7, r11, r12\n"
        "usat r7, #31, r7, asr #10\n"
        "rsb r7, r7, #6\n"
        "usat r7, #31, r7\n"
        "rsb r7, r7, #6\n"
        "bfi r3, r7, #4, #4\n"
        "strb r3, [lr, #20]\n"
        "smmla r4, r4, r10, r12\n"
        "usat r4, #31, r4, asr #10\n"
        "rsb r4, r4, #6\n"
        "usat r4, #31, r4\n"
        "rsb r4, r4, #6\n"
        "smmla r8, r8, r11, r12\n"
        "usat r8, #31, r8, asr #10\n"
        "rsb r8, r8, #6\n"
        "usat r8, #31, r8\n"
        "rsb r8, r8, #6\n"
        "bfi r4, r8, #4, #4\n"
        "strb r4, [lr, #40]\n"
        "smmla r5, r5, r10, r12\n"
        "usat r5, #31, r5, asr #10\n"
        "rsb r5, r5, #6\n"
        "usat r5, #31, r5\n"
        "rsb r5, r5, #6\n"
        "smmla r9, r9, r11, r12\n"
        "usat r9, #31, r9, asr #10\n"
        "rsb r9, r9, #6\n"
        "usat r9, #31, r9\n"
        "rsb r9, r9, #6\n"
        "bfi r5, r9, #4, #4\n"
        "strb r5, [lr, #60]\n"
        "add lr, #1\n"
        "ldr r1, [sp]\n"
        "ldr r12, [sp, #8]\n"
        "str lr, [sp, #4]\n"
        "cmp r0, r12\n"
        "bne 1b\n"
        "add sp, #28\n"
        "pop {r4-r11, pc}\n"
    );
}


/* Windows of 1 x 1 x 17 by 40 channels, over the padded lines in scratch. */
static void tq_conv2d_s8_s8_u4_armv7em_rows(const int8_t *x, const uint32_t *w, uint8_t *y, void *scratch)
{
    int8_t *const lines = (int8_t *)scratch + 160;
    uint32_t *const words = (uint32_t *)scratch + 40;
    tq_fill(words, 18, 1835887981u);
    for (int32_t r = 0; r < 2; r++) {
        for (int32_t i = 0; i < 1; i += 1) {
            const int32_t from = r * 1 + i - 0;
            if (from < 0 || from >= 2) {
                tq_fill(words + i * 18, 18, 1835887981u);
            } else {
                tq_copy_68(x + from * 68, lines + i * 72 + 0);
            }
        }
        for (int32_t p = 0; p < 4; p += 4) {
            const int32_t c = p < 0 ? p : 0;
            const int8_t *const at = lines + c * 17 + 0;
            tq_collect_1_5_72(at, at + 17, at + 34, at + 51, scratch);
            tq_conv2d_s8_s8_u4_armv7em_rows_product(w, scratch, y + (r * 4 + c) * 20, w + 480);
        }
    }
}
