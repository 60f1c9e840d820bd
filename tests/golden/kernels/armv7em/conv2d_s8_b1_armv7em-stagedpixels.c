/* conv2d_s8_b1_armv7em-stagedpixels: s8[5,5,8], b1[8,1,1,8] -> s32[5,5,8] by raw */
static TQ_NAKED void
tq_gather_2(const void *x __attribute__((unused)), void *panel __attribute__((unused)))
{
    __asm__ volatile(
        ".syntax unified\n"
        "push {r4-r11, lr}\n"
        "1:\n"
        ".rept 2\n"
        "ldr r4, [r0, #8]\n"
        "ldr r5, [r0, #16]\n"
        "ldr r6, [r0, #24]\n"
        "ldr r3, [r0], #4\n"
        "sxtb16 r8, r3\n"
        "sxtb16 r9, r4\n"
        "sxtb16 r10, r5\n"
        "sxtb16 r11, r6\n"
        "sxtb16 r3, r3, ror #8\n"
        "sxtb16 r4, r4, ror #8\n"
        "sxtb16 r5, r5, ror #8\n"
        "sxtb16 r6, r6, ror #8\n"
        "stm r1!, {r8-r11}\n"
        "stm r1!, {r3-r6}\n"
        ".endr\n"
        "pop {r4-r11, pc}\n"
    );
}


static TQ_NAKED void
tq_sums_4(const uint32_t *w __attribute__((unused)), const void *panel __attribute__((unused)), int32_t *y __attribute__((unused)), const uint32_t *end __attribute__((unused)))
{
    __asm__ volatile(
        ".syntax unified\n"
        "push {r4-r11, lr}\n"
        "sub sp, #28\n"
        "movw r12, #64\n"
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
        ".rept 4\n"
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


/* Pixels of 8 channels from sums, 4 pixels to a channel. */
static void tq_conv2d_s8_b1_s32_armv7em_stagedpixels_finish(const int32_t *sums, int32_t pixels, const tq_raw_stage *stage, int32_t *y)
{
    for (int32_t i = 0; i < pixels; i++) {
        uint32_t unit = 0;
        for (int32_t j = 0; j < 8; j++) {
            unit = tq_raw_s32(stage, y, j, 8, unit, sums[(j) * 4 + i]);
        }
        y += tq_units_s32(8);
    }
}


/* 25 pixels of 8 channels by 8, 4 at a time; the last ones may overlap. */
static void tq_conv2d_s8_b1_s32_armv7em_stagedpixels(const int8_t *x, const uint32_t *w, const tq_raw_stage *stage, int32_t *y, void *scratch)
{
    int32_t *const sums = (int32_t *)scratch + 16;
    for (int32_t p = 0; p < 25; p += 4) {
        const int32_t first = p < 21 ? p : 21;
        tq_gather_2(x + first * 8, scratch);
        tq_sums_4(w, scratch, sums, w + 40);
        tq_conv2d_s8_b1_s32_armv7em_stagedpixels_finish(sums + (p - first), first + 4 - p, stage, y + p * tq_units_s32(8));
    }
}
