/* depthwise2d_s8_int8_armv7m-planes: s8[3,1,24], s8[3,3,24] -> s8[3,1,24] by requantize */
static void tq_fill(uint32_t *to, int32_t words, uint32_t value)
{
    for (int32_t i = 0; i < words; i++) {
        to[i] = value;
    }
}

static TQ_NAKED void
tq_pick_1_24(const int8_t *x __attribute__((unused)), uint32_t *plane __attribute__((unused)))
{
    __asm__ volatile(
        ".syntax unified\n"
        ".rept 1\n"
        "ldr r3, [r0], #24\n"
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
        "movw r3, #3\n"
        "str r3, [sp, #24]\n"
        "ldm r2, {r2-r10}\n"
        "1:\n"
        "ldrd r11, r12, [sp]\n"
        "ldrsb lr, [r0, #0]\n"
        "mla r11, lr, r2, r11\n"
        "ldrsb lr, [r0, #12]\n"
        "mla r11, lr, r5, r11\n"
        "ldrsb lr, [r0, #24]\n"
        "mla r11, lr, r8, r11\n"
        "ldrsb lr, [r0, #4]\n"
        "mla r11, lr, r3, r11\n"
        "ldrsb lr, [r0, #16]\n"
        "mla r11, lr, r6, r11\n"
        "ldrsb lr, [r0, #28]\n"
        "mla r11, lr, r9, r11\n"
        "ldrsb lr, [r0, #8]\n"
        "mla r11, lr, r4, r11\n"
        "ldrsb lr, [r0, #20]\n"
        "mla r11, lr, r7, r11\n"
        "ldrsb lr, [r0, #32]\n"
        "mla r11, lr, r10, r11\n"
        "ldr lr, [sp, #8]\n"
        "smull lr, r11, r11, lr\n"
        "add r11, r11, #14336\n"
        "ssat r11, #8, r11, asr #12\n"
        "strb r11, [r1], #24\n"
        "add r0, r0, #4\n"
        "addw r0, r0, #8\n"
        "ldr r11, [sp, #24]\n"
        "subs r11, #1\n"
        "str r11, [sp, #24]\n"
        "bne 1b\n"
        "add sp, #36\n"
        "pop {r4-r11, pc}\n"
    );
}


/* 3 x 1 outputs of 24 channels. */
static void tq_depthwise2d_s8_s8_s8_armv7m_planes(const int8_t *x, const uint32_t *w, int8_t *y, void *scratch)
{
    uint32_t *const plane = scratch;
    tq_fill(plane, 15, 3638089944u);
    for (int32_t first = 0; first < 24; first += 4) {
        for (int32_t r = 0; r < 3; r++) {
            tq_pick_1_24(x + r * 24 + first, plane + (r + 1) * 3 + 1);
        }
        for (int32_t k = 0; k < 4; k++) {
            tq_depthwise2d_s8_s8_s8_armv7m_planes_channel((const int8_t *)plane + k, y + first + k, w + (first + k) * 11);
        }
    }
}
