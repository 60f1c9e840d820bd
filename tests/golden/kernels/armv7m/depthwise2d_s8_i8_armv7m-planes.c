/* depthwise2d_s8_i8_armv7m-planes: s8[5,2,7], s8[3,3,7] -> s8[5,2,7] by requantize */
static void tq_fill(uint32_t *to, int32_t words, uint32_t value)
{
    for (int32_t i = 0; i < words; i++) {
        to[i] = value;
    }
}

static TQ_NAKED void
tq_pick_2_7(const int8_t *x __attribute__((unused)), uint32_t *plane __attribute__((unused)))
{
    __asm__ volatile(
        ".syntax unified\n"
        ".rept 2\n"
        "ldr r3, [r0], #7\n"
        "str r3, [r1], #4\n"
        ".endr\n"
        "bx lr\n"
    );
}


static TQ_NAKED void
tq_depthwise2d_s8_s8_s8_armv7m_planes_channel(const int8_t *plane __attribute__((unused)), void *y __attribute__((unused)), const uint32_t *w __attribute__((unused)))
{
    __asm__ volatile(
        ".syntax unified\n"
        "push {r4-r11, lr}\n"
        "sub sp, #36\n"
        "ldm r2!, {r3, r4}\n"
        "strd r3, r3, [sp]\n"
        "str r4, [sp, #8]\n"
        "movw r3, #5\n"
        "str r3, [sp, #24]\n"
        "ldm r2, {r2-r10}\n"
        "1:\n"
        "ldrd r11, r12, [sp]\n"
        "ldrsb lr, [r0, #0]\n"
        "mla r11, lr, r2, r11\n"
        "ldrsb lr, [r0, #16]\n"
        "mla r11, lr, r5, r11\n"
        "ldrsb lr, [r0, #32]\n"
        "mla r11, lr, r8, r11\n"
        "ldrsb lr, [r0, #4]\n"
        "mla r11, lr, r3, r11\n"
        "mla r12, lr, r2, r12\n"
        "ldrsb lr, [r0, #20]\n"
        "mla r11, lr, r6, r11\n"
        "mla r12, lr, r5, r12\n"
        "ldrsb lr, [r0, #36]\n"
        "mla r11, lr, r9, r11\n"
        "mla r12, lr, r8, r12\n"
        "ldrsb lr, [r0, #8]\n"
        "mla r11, lr, r4, r11\n"
        "mla r12, lr, r3, r12\n"
        "ldrsb lr, [r0, #24]\n"
        "mla r11, lr, r7, r11\n"
        "mla r12, lr, r6, r12\n"
        "ldrsb lr, [r0, #40]\n"
        "mla r11, lr, r10, r11\n"
        "mla r12, lr, r9, r12\n"
        "ldrsb lr, [r0, #12]\n"
        "mla r12, lr, r4, r12\n"
        "ldrsb lr, [r0, #28]\n"
        "mla r12, lr, r7, r12\n"
        "ldrsb lr, [r0, #44]\n"
        "mla r12, lr, r10, r12\n"
        "ldr lr, [sp, #8]\n"
        "smull lr, r11, r11, lr\n"
        "add r11, r11, #839680\n"
        "ssat r11, #8, r11, asr #13\n"
        "strb r11, [r1], #7\n"
        "ldr lr, [sp, #8]\n"
        "smull lr, r12, r12, lr\n"
        "add r12, r12, #839680\n"
        "ssat r12, #8, r12, asr #13\n"
        "strb r12, [r1], #7\n"
        "add r0, r0, #8\n"
        "addw r0, r0, #8\n"
        "ldr r11, [sp, #24]\n"
        "subs r11, #1\n"
        "str r11, [sp, #24]\n"
        "bne 1b\n"
        "add sp, #36\n"
        "pop {r4-r11, pc}\n"
    );
}


/* 5 x 2 outputs of 7 channels. */
static void tq_depthwise2d_s8_s8_s8_armv7m_planes(const int8_t *x, const uint32_t *w, int8_t *y, void *scratch)
{
    uint32_t *const plane = scratch;
    tq_fill(plane, 28, 2206434179u);
    for (int32_t group = 0; group < 7; group += 4) {
        const int32_t first = group < 3 ? group : 3;
        for (int32_t r = 0; r < 5; r++) {
            tq_pick_2_7(x + r * 14 + first, plane + (r + 1) * 4 + 1);
        }
        for (int32_t k = 0; k < 4; k++) {
            tq_depthwise2d_s8_s8_s8_armv7m_planes_channel((const int8_t *)plane + k, y + first + k, w + (first + k) * 11);
        }
    }
}
