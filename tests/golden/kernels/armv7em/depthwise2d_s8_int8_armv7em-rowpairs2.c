/* depthwise2d_s8_int8_armv7em-rowpairs2: s8[4,6,16], s8[3,3,16] -> s8[2,3,16] by requantize */
static TQ_NAKED void
tq_copy_160(const void *from __attribute__((unused)), void *to __attribute__((unused)))
{
    __asm__ volatile(
        ".syntax unified\n"
        "push {r4-r10, lr}\n"
        "movw r2, #5\n"
        "1:\n"
        "ldm r0!, {r3-r10}\n"
        "stm r1!, {r3-r10}\n"
        "subs r2, #1\n"
        "bne 1b\n"
        "pop {r4-r10, pc}\n"
    );
}


static void tq_fill(uint32_t *to, int32_t words, uint32_t value)
{
    for (int32_t i = 0; i < words; i++) {
        to[i] = value;
    }
}

static TQ_NAKED void
tq_spread_rows_6_16(const int8_t *upper __attribute__((unused)), const int8_t *lower __attribute__((unused)), uint32_t *to __attribute__((unused)), uint32_t *also __attribute__((unused)))
{
    __asm__ volatile(
        ".syntax unified\n"
        "push {r4-r11, lr}\n"
        "movw r12, #48\n"
        "add r12, r12, r2\n"
        "1:\n"
        "ldr r4, [r0], #16\n"
        "ldr r5, [r1], #16\n"
        "sxtb16 r6, r4\n"
        "sxtb16 r7, r5\n"
        "sxtb16 r4, r4, ror #8\n"
        "sxtb16 r5, r5, ror #8\n"
        "pkhbt r8, r6, r7, lsl #16\n"
        "pkhtb r9, r7, r6, asr #16\n"
        "pkhbt r10, r4, r5, lsl #16\n"
        "pkhtb r11, r5, r4, asr #16\n"
        "str r10, [r2, #64]\n"
        "str r10, [r3, #64]\n"
        "str r9, [r2, #128]\n"
        "str r9, [r3, #128]\n"
        "str r11, [r2, #192]\n"
        "str r11, [r3, #192]\n"
        "str r8, [r2], #8\n"
        "str r8, [r3], #8\n"
        "cmp r2, r12\n"
        "bne 1b\n"
        "pop {r4-r11, pc}\n"
    );
}


static TQ_NAKED void
tq_depthwise2d_s8_s8_s8_armv7em_rowpairs2_row(const uint32_t *lines __attribute__((unused)), void *y __attribute__((unused)), const uint32_t *constants __attribute__((unused)))
{
    __asm__ volatile(
        ".syntax unified\n"
        "push {r4-r11, lr}\n"
        "sub sp, #36\n"
        "str r0, [sp, #16]\n"
        "str r1, [sp, #20]\n"
        "mov r3, #4\n"
        "str r3, [sp, #28]\n"
        "mov lr, r2\n"
        "9:\n"
        "ldm lr!, {r2-r11}\n"
        "str lr, [sp, #24]\n"
        "strd r8, r9, [sp]\n"
        "str r10, [sp, #8]\n"
        "str r11, [sp, #12]\n"
        "ldrd r8, r9, [r0], #8\n"
        "ldrd r10, r11, [r0], #8\n"
        "smulbt r9, r9, r3\n"
        "smlad r8, r8, r2, r9\n"
        "smlabt r8, r11, r5, r8\n"
        "smlad r8, r10, r4, r8\n"
        "ldrd r12, lr, [r0], #8\n"
        "ldrd r10, r11, [sp]\n"
        "smlad r8, r12, r6, r8\n"
        "smlabt r8, lr, r7, r8\n"
        "ldr r9, [sp, #8]\n"
        "add r8, r8, r9\n"
        "smmla r8, r8, r10, r11\n"
        "usat r8, #31, r8, asr #10\n"
        "rsb r8, r8, #136\n"
        "usat r8, #31, r8\n"
        "rsb r8, r8, #15\n"
        "strb r8, [r1], #16\n"
        "ldrd r10, r11, [r0], #8\n"
        "smulbt lr, lr, r3\n"
        "smlad r12, r12, r2, lr\n"
        "smlabt r12, r11, r5, r12\n"
        "smlad r12, r10, r4, r12\n"
        "ldrd r8, r9, [r0], #8\n"
        "ldrd r10, r11, [sp]\n"
        "smlad r12, r8, r6, r12\n"
        "smlabt r12, r9, r7, r12\n"
        "ldr lr, [sp, #8]\n"
        "add r12, r12, lr\n"
        "smmla r12, r12, r10, r11\n"
        "usat r12, #31, r12, asr #10\n"
        "rsb r12, r12, #136\n"
        "usat r12, #31, r12\n"
        "rsb r12, r12, #15\n"
        "strb r12, [r1], #16\n"
        "ldrd r10, r11, [r0], #8\n"
        "smulbt r9, r9, r3\n"
        "smlad r8, r8, r2, r9\n"
        "smlabt r8, r11, r5, r8\n"
        "smlad r8, r10, r4, r8\n"
        "ldrd r12, lr, [r0], #8\n"
        "ldrd r10, r11, [sp]\n"
        "smlad r8, r12, r6, r8\n"
        "smlabt r8, lr, r7, r8\n"
        "ldr r9, [sp, #8]\n"
        "add r8, r8, r9\n"
        "smmla r8, r8, r10, r11\n"
        "usat r8, #31, r8, asr #10\n"
        "rsb r8, r8, #136\n"
        "usat r8, #31, r8\n"
        "rsb r8, r8, #15\n"
        "strb r8, [r1], #16\n"
        "ldrd r0, r1, [sp, #16]\n"
        "addw r0, r0, #64\n"
        "add r1, #1\n"
        "strd r0, r1, [sp, #16]\n"
        "ldrd lr, r3, [sp, #24]\n"
        "subs r3, #1\n"
        "str r3, [sp, #28]\n"
        "bne 9b\n"
        "add sp, #36\n"
        "pop {r4-r11, pc}\n"
    );
}


/* 2 x 3 outputs of 16 channels. */
static void tq_depthwise2d_s8_s8_s8_armv7em_rowpairs2(const int8_t *x, const uint32_t *w, int8_t *y, void *scratch)
{
    uint32_t *now = scratch;
    uint32_t *next = now + 64;
    int8_t *const outside = (int8_t *)scratch + 512;
    uint32_t *const constants = now + 152;
    tq_fill(now + 128, 24, 2307492233u);
    for (int32_t k = 0; k < 4; k++) {
        tq_fill(now + k * 16 + 12, 2, 4287233929u);
        tq_fill(next + k * 16 + 12, 2, 4287233929u);
    }
    for (int32_t c = 0; c < 16; c += 4) {
        tq_copy_160(w + c * 10, constants);
        tq_spread_rows_6_16(x + c, x + c + 96, now, now);
        for (int32_t r = 0; r < 2; r++) {
            const int8_t *const below = x + c + (2 * r + 2) * 96;
            const int32_t inside = r < 1;
            tq_spread_rows_6_16(inside ? below : outside + c, inside ? below + 96 : outside + c, now + 1, next);
            tq_depthwise2d_s8_s8_s8_armv7em_rowpairs2_row(now, y + c + r * 48, constants);
            uint32_t *const used = now;
            now = next;
            next = used;
        }
    }
}
