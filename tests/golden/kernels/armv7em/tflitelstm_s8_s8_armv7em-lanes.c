/* tflitelstm_s8_s8_armv7em-lanes: s8[2,40], s8[4,17,40], s8[4,17,17], s32[4,17] -> s8[2,17] by  */
static TQ_NAKED void
tq_widen_40(const int8_t *x __attribute__((unused)), void *wide __attribute__((unused)))
{
    __asm__ volatile(
        ".syntax unified\n"
        "push {r4-r6, lr}\n"
        "movw r12, #40\n"
        "add r12, r12, r0\n"
        "1:\n"
        ".rept 5\n"
        "ldr r2, [r0], #4\n"
        "sxtb16 r3, r2\n"
        "sxtb16 r4, r2, ror #8\n"
        "strd r3, r4, [r1], #8\n"
        ".endr\n"
        "cmp r0, r12\n"
        "bne 1b\n"
        "pop {r4-r6, pc}\n"
    );
}


static TQ_NAKED void
tq_widen_17(const int8_t *x __attribute__((unused)), void *wide __attribute__((unused)))
{
    __asm__ volatile(
        ".syntax unified\n"
        "push {r4-r6, lr}\n"
        "1:\n"
        ".rept 4\n"
        "ldr r2, [r0], #4\n"
        "sxtb16 r3, r2\n"
        "sxtb16 r4, r2, ror #8\n"
        "strd r3, r4, [r1], #8\n"
        ".endr\n"
        "movs r3, #0\n"
        "movs r4, #0\n"
        "strd r3, r4, [r1]\n"
        "strd r3, r4, [r1, #8]\n"
        "ldrsb r3, [r0, #0]\n"
        "strh r3, [r1, #0]\n"
        "pop {r4-r6, pc}\n"
    );
}


static TQ_NAKED void
tq_tflitelstm_s8_s8_armv7em_lanes_product_x(const uint32_t *w __attribute__((unused)), const void *x __attribute__((unused)), void *y __attribute__((unused)))
{
    __asm__ volatile(
        ".syntax unified\n"
        "push {r4-r11, lr}\n"
        "sub sp, #28\n"
        "movw r12, #80\n"
        "add r12, r12, r1\n"
        "movw r3, #17\n"
        "strd r1, r2, [sp]\n"
        "strd r12, r3, [sp, #8]\n"
        "9:\n"
        "ldm r0!, {r2-r5}\n"
        "1:\n"
        ".rept 1\n"
        "ldm r1!, {r6-r9}\n"
        "ldm r0!, {r10, r11, r12, lr}\n"
        "smlad r3, r6, r10, r3\n"
        "sxtb16 r10, r10\n"
        "smlad r2, r6, r10, r2\n"
        "smlad r5, r6, r11, r5\n"
        "sxtb16 r11, r11\n"
        "smlad r4, r6, r11, r4\n"
        "smlad r3, r7, r12, r3\n"
        "sxtb16 r12, r12\n"
        "smlad r2, r7, r12, r2\n"
        "smlad r5, r7, lr, r5\n"
        "sxtb16 lr, lr\n"
        "smlad r4, r7, lr, r4\n"
        "ldm r0!, {r10, r11, r12, lr}\n"
        "smlad r3, r8, r10, r3\n"
        "sxtb16 r10, r10\n"
        "smlad r2, r8, r10, r2\n"
        "smlad r5, r8, r11, r5\n"
        "sxtb16 r11, r11\n"
        "smlad r4, r8, r11, r4\n"
        "smlad r3, r9, r12, r3\n"
        "sxtb16 r12, r12\n"
        "smlad r2, r9, r12, r2\n"
        "smlad r5, r9, lr, r5\n"
        "sxtb16 lr, lr\n"
        "smlad r4, r9, lr, r4\n"
        ".endr\n"
        "ldr r10, [sp, #8]\n"
        "cmp r1, r10\n"
        "bne 1b\n"
        "ldr r1, [sp, #4]\n"
        "sub r3, r3, r2\n"
        "sub r5, r5, r4\n"
        "asr r3, r3, #8\n"
        "asr r5, r5, #8\n"
        "stm r1!, {r2-r5}\n"
        "ldr r10, [sp, #12]\n"
        "str r1, [sp, #4]\n"
        "ldr r1, [sp]\n"
        "subs r10, #1\n"
        "str r10, [sp, #12]\n"
        "bne 9b\n"
        "add sp, #28\n"
        "pop {r4-r11, pc}\n"
    );
}


static TQ_NAKED void
tq_tflitelstm_s8_s8_armv7em_lanes_product_h(const uint32_t *w __attribute__((unused)), const void *x __attribute__((unused)), void *y __attribute__((unused)))
{
    __asm__ volatile(
        ".syntax unified\n"
        "push {r4-r11, lr}\n"
        "sub sp, #28\n"
        "movw r12, #48\n"
        "add r12, r12, r1\n"
        "movw r3, #17\n"
        "strd r1, r2, [sp]\n"
        "strd r12, r3, [sp, #8]\n"
        "9:\n"
        "ldm r0!, {r2-r5}\n"
        "1:\n"
        ".rept 3\n"
        "ldm r1!, {r6-r9}\n"
        "ldm r0!, {r10, r11, r12, lr}\n"
        "smlad r3, r6, r10, r3\n"
        "sxtb16 r10, r10\n"
        "smlad r2, r6, r10, r2\n"
        "smlad r5, r6, r11, r5\n"
        "sxtb16 r11, r11\n"
        "smlad r4, r6, r11, r4\n"
        "smlad r3, r7, r12, r3\n"
        "sxtb16 r12, r12\n"
        "smlad r2, r7, r12, r2\n"
        "smlad r5, r7, lr, r5\n"
        "sxtb16 lr, lr\n"
        "smlad r4, r7, lr, r4\n"
        "ldm r0!, {r10, r11, r12, lr}\n"
        "smlad r3, r8, r10, r3\n"
        "sxtb16 r10, r10\n"
        "smlad r2, r8, r10, r2\n"
        "smlad r5, r8, r11, r5\n"
        "sxtb16 r11, r11\n"
        "smlad r4, r8, r11, r4\n"
        "smlad r3, r9, r12, r3\n"
        "sxtb16 r12, r12\n"
        "smlad r2, r9, r12, r2\n"
        "smlad r5, r9, lr, r5\n"
        "sxtb16 lr, lr\n"
        "smlad r4, r9, lr, r4\n"
        ".endr\n"
        "ldr r1, [sp, #4]\n"
        "sub r3, r3, r2\n"
        "sub r5, r5, r4\n"
        "asr r3, r3, #8\n"
        "asr r5, r5, #8\n"
        "stm r1!, {r2-r5}\n"
        "ldr r10, [sp, #12]\n"
        "str r1, [sp, #4]\n"
        "ldr r1, [sp]\n"
        "subs r10, #1\n"
        "str r10, [sp, #12]\n"
        "bne 9b\n"
        "add sp, #28\n"
        "pop {r4-r11, pc}\n"
    );
}


static inline int32_t tq_limit16(int32_t x)
{
    int32_t y;
    __asm__("ssat %0, #16, %1" : "=r"(y) : "r"(x));
    return y;
}

static inline int32_t tq_limit8(int32_t x)
{
    int32_t y;
    __asm__("ssat %0, #8, %1" : "=r"(y) : "r"(x));
    return y;
}

/* 2 steps of 40 inputs and 17 cells, products four channels at a time. */
static void tq_tflitelstm_s8_s8_armv7em_lanes(const int8_t *x, const uint32_t *w_x, const uint32_t *w_h, int8_t *y, void *scratch)
{
    int32_t *const x_sums = scratch;
    int32_t *const h_sums = (int32_t *)scratch + 68;
    void *const wide = (int32_t *)scratch + 136;
    int16_t *const cells = (int16_t *)((uint8_t *)scratch + 624);
    int8_t *const hidden = (int8_t *)scratch + 660;
    for (int32_t c = 0; c < 17; c++) {
        cells[c] = 0;
        hidden[c] = -104;
    }
    for (int32_t t = 0; t < 2; t++) {
        tq_widen_40(x, wide);
        tq_tflitelstm_s8_s8_armv7em_lanes_product_x(w_x, wide, x_sums);
        tq_widen_17(hidden, wide);
        tq_tflitelstm_s8_s8_armv7em_lanes_product_h(w_h, wide, h_sums);
        for (int32_t c = 0; c < 17; c++) {
            const int32_t input_x = tq_scale_twice(x_sums[0 + c], 1760008839, 0);
            const int32_t input_h = tq_scale_twice(h_sums[0 + c], 1081032260, -3);
            const int32_t input = tq_saturate16((int64_t)tq_limit16(input_x) + input_h);
            const int32_t forget_x = tq_scale_twice(x_sums[17 + c], 2119967306, -2);
            const int32_t forget_h = tq_scale_twice(h_sums[17 + c], 1926621780, -2);
            const int32_t forget = tq_saturate16((int64_t)tq_limit16(forget_x) + forget_h);
            const int32_t update_x = tq_scale_twice(x_sums[34 + c], 1321836580, -1);
            const int32_t update_h = tq_scale_twice(h_sums[34 + c], 2024549032, 1);
            const int32_t update = tq_saturate16((int64_t)tq_limit16(update_x) + update_h);
            const int32_t output_x = tq_scale_twice(x_sums[51 + c], 1866897874, -2);
            const int32_t output_h = tq_scale_twice(h_sums[51 + c], 1159831210, 0);
            const int32_t output = tq_saturate16((int64_t)tq_limit16(output_x) + output_h);
            const int32_t kept = tq_divide_by_power(tq_logistic16(forget, 3) * cells[c], 15);
            const int32_t added = tq_divide_by_power(tq_logistic16(input, 3) * tq_tanh16(update, 3), 21);
            int32_t cell = tq_limit16(kept + added);
            cell = tq_clip(cell, -2000, 2000);
            cells[c] = (int16_t)cell;
            const int32_t shown = tq_logistic16(output, 3) * tq_tanh16(cell, 6);
            const int64_t code = tq_scale_twice(shown, 1279839562, -23);
            hidden[c] = (int8_t)tq_clip(code + 72, -128, 127);
            y[c] = hidden[c];
        }
        x += 40;
        y += 17;
    }
}
