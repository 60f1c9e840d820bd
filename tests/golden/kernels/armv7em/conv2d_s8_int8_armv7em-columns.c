/* conv2d_s8_int8_armv7em-columns: s8[9,12,1], s8[1,3,3,1] -> s8[3,4,1] by requantizetwice */
static void tq_conv2d_s8_s8_requantizetwice_s8_armv7em_columns_column(const int8_t *x, int32_t r, int32_t c, int8_t *to)
{
    const int32_t left = c * 3 - 0;
    for (int32_t i = 0; i < 3; i++) {
        const int32_t row = r * 3 - 0 + i * 1;
        const int32_t above = row < 0 || row >= 9;
        for (int32_t j = 0; j < 3; j++) {
            const int32_t column = left + j * 1;
            if (above || column < 0 || column >= 12) {
                for (int32_t k = 0; k < 1; k++) {
                    to[k] = -12;
                }
            } else {
                for (int32_t k = 0; k < 1; k++) {
                    to[k] = x[(row * 12 + column) * 1 + k];
                }
            }
            to += 1;
        }
    }
}

static TQ_NAKED void
tq_collect_1_3_12(const int8_t *a __attribute__((unused)), const int8_t *b __attribute__((unused)), const int8_t *c __attribute__((unused)), const int8_t *d __attribute__((unused)), void *panel __attribute__((unused)))
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
        "pop {r4-r11, pc}\n"
    );
}


static TQ_NAKED void
tq_conv2d_s8_s8_requantizetwice_s8_armv7em_columns_product(const uint32_t *w __attribute__((unused)), const void *panel __attribute__((unused)), void *y __attribute__((unused)), const uint32_t *end __attribute__((unused)))
{
    __asm__ volatile(
        ".syntax unified\n"
        "push {r4-r11, lr}\n"
        "sub sp, #28\n"
        "movw r12, #96\n"
        "add r12, r12, r1\n"
        "strd r1, r2, [sp]\n"
        "strd r3, r12, [sp, #8]\n"
        "movw r4, #0\n"
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
        ".rept 6\n"
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
        "ldm r0!, {r1, r10, r12}\n"
        "smmlar r11, r2, r10, r12\n"
        "add r11, r11, r2, asr #31\n"
        "asr r11, r11, r1\n"
        "usat r11, #31, r11\n"
        "rsb r11, r11, #81\n"
        "usat r11, #31, r11\n"
        "rsb r11, r11, #67\n"
        "strb r11, [lr, #0]\n"
        "smmlar r11, r3, r10, r12\n"
        "add r11, r11, r3, asr #31\n"
        "asr r11, r11, r1\n"
        "usat r11, #31, r11\n"
        "rsb r11, r11, #81\n"
        "usat r11, #31, r11\n"
        "rsb r11, r11, #67\n"
        "strb r11, [lr, #1]\n"
        "smmlar r11, r4, r10, r12\n"
        "add r11, r11, r4, asr #31\n"
        "asr r11, r11, r1\n"
        "usat r11, #31, r11\n"
        "rsb r11, r11, #81\n"
        "usat r11, #31, r11\n"
        "rsb r11, r11, #67\n"
        "strb r11, [lr, #2]\n"
        "smmlar r11, r5, r10, r12\n"
        "add r11, r11, r5, asr #31\n"
        "asr r11, r11, r1\n"
        "usat r11, #31, r11\n"
        "rsb r11, r11, #81\n"
        "usat r11, #31, r11\n"
        "rsb r11, r11, #67\n"
        "strb r11, [lr, #3]\n"
        "ldm r0!, {r1, r10, r12}\n"
        "ldr r11, [sp, #8]\n"
        "cmp r0, r11\n"
        "smmlar r11, r6, r10, r12\n"
        "add r11, r11, r6, asr #31\n"
        "asr r11, r11, r1\n"
        "usat r11, #31, r11\n"
        "rsb r11, r11, #81\n"
        "usat r11, #31, r11\n"
        "rsb r11, r11, #67\n"
        "it ne\n"
        "strbne r11, [lr, #1]\n"
        "smmlar r11, r7, r10, r12\n"
        "add r11, r11, r7, asr #31\n"
        "asr r11, r11, r1\n"
        "usat r11, #31, r11\n"
        "rsb r11, r11, #81\n"
        "usat r11, #31, r11\n"
        "rsb r11, r11, #67\n"
        "it ne\n"
        "strbne r11, [lr, #2]\n"
        "smmlar r11, r8, r10, r12\n"
        "add r11, r11, r8, asr #31\n"
        "asr r11, r11, r1\n"
        "usat r11, #31, r11\n"
        "rsb r11, r11, #81\n"
        "usat r11, #31, r11\n"
        "rsb r11, r11, #67\n"
        "it ne\n"
        "strbne r11, [lr, #3]\n"
        "smmlar r11, r9, r10, r12\n"
        "add r11, r11, r9, asr #31\n"
        "asr r11, r11, r1\n"
        "usat r11, #31, r11\n"
        "rsb r11, r11, #81\n"
        "usat r11, #31, r11\n"
        "rsb r11, r11, #67\n"
        "it ne\n"
        "strbne r11, [lr, #4]\n"
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


/* Windows of 3 x 3 x 1 by 1 channels, 4 columns at a time. */
static void tq_conv2d_s8_s8_requantizetwice_s8_armv7em_columns(const int8_t *x, const uint32_t *w, int8_t *y, void *scratch)
{
    uint32_t *const panel = scratch;
    int8_t *const columns = (int8_t *)(panel + 24);
    int8_t *const last = (int8_t *)(panel + 36);
    int32_t r = 0;
    int32_t c = 0;
    for (int32_t p = 0; p < 12; p += 4) {
        const int32_t left = 12 - p;
        const int32_t count = left < 4 ? left : 4;
        for (int32_t i = 0; i < count; i++) {
            tq_conv2d_s8_s8_requantizetwice_s8_armv7em_columns_column(x, r, c, columns + i * 12);
            c++;
            if (c == 4) {
                c = 0;
                r++;
            }
        }
        tq_collect_1_3_12(columns, columns + 12, columns + 24, columns + 36, panel);
        if (count == 4) {
            tq_conv2d_s8_s8_requantizetwice_s8_armv7em_columns_product(w, panel, y, w + 20);
            y += 4;
        } else {
            tq_conv2d_s8_s8_requantizetwice_s8_armv7em_columns_product(w, panel, last, w + 20);
            for (int32_t i = 0; i < count * 1; i++) {
                y[i] = last[i];
            }
        }
    }
}
