/* dense_s8_b1_armv7em-digits: s8[1,3], b1[4,3] -> s32[1,4] by raw */
typedef struct {
    int32_t bytes;
    int32_t entry;
    int32_t blocks;
    int32_t addend;
    int32_t shift;
    int32_t sum;
} tq_digits;

static TQ_NAKED int32_t
tq_widen_sum_3(const int8_t *x __attribute__((unused)), void *wide __attribute__((unused)))
{
    __asm__ volatile(
        ".syntax unified\n"
        "push {r4-r6, lr}\n"
        "movs r5, #0\n"
        "mov r6, #0x00010001\n"
        "movs r3, #0\n"
        "movs r4, #0\n"
        "strd r3, r4, [r1]\n"
        "strd r3, r4, [r1, #8]\n"
        "ldrsb r3, [r0, #0]\n"
        "add r5, r3\n"
        "strh r3, [r1, #0]\n"
        "ldrsb r3, [r0, #1]\n"
        "add r5, r3\n"
        "strh r3, [r1, #4]\n"
        "ldrsb r3, [r0, #2]\n"
        "add r5, r3\n"
        "strh r3, [r1, #2]\n"
        "mov r0, r5\n"
        "pop {r4-r6, pc}\n"
    );
}


static TQ_NAKED void
tq_digits_2_raw(const uint32_t *w __attribute__((unused)), const void *x __attribute__((unused)), void *y __attribute__((unused)), const tq_digits *job __attribute__((unused)))
{
    __asm__ volatile(
        ".syntax unified\n"
        "push {r4-r11, lr}\n"
        "sub sp, #36\n"
        "ldm r3, {r4-r9}\n"
        "add r4, r1\n"
        "strd r1, r2, [sp]\n"
        "strd r4, r5, [sp, #8]\n"
        "strd r7, r8, [sp, #16]\n"
        "strd r6, r9, [sp, #24]\n"
        "1:\n"
        "ldr r10, [sp, #12]\n"
        "ldm r0!, {r2-r9}\n"
        "add pc, r10\n"
        "nop\n"
        "2:\n"
        ".rept 6\n"
        "ldrd r10, r11, [r0], #8\n"
        "ldrd r12, lr, [r1], #8\n"
        "smlad r9, r12, r10, r9\n"
        "bic r10, r10, #0xC000C000\n"
        "smlad r8, r12, r10, r8\n"
        "bic r10, r10, #0xF000F000\n"
        "smlad r7, r12, r10, r7\n"
        "bic r10, r10, #0xFC00FC00\n"
        "smlad r6, r12, r10, r6\n"
        "uxtb16 r10, r10\n"
        "smlad r5, r12, r10, r5\n"
        "and r10, r10, #0x003F003F\n"
        "smlad r4, r12, r10, r4\n"
        "and r10, r10, #0x000F000F\n"
        "smlad r3, r12, r10, r3\n"
        "and r10, r10, #0x00030003\n"
        "smlad r2, r12, r10, r2\n"
        "smlad r9, lr, r11, r9\n"
        "bic r11, r11, #0xC000C000\n"
        "smlad r8, lr, r11, r8\n"
        "bic r11, r11, #0xF000F000\n"
        "smlad r7, lr, r11, r7\n"
        "bic r11, r11, #0xFC00FC00\n"
        "smlad r6, lr, r11, r6\n"
        "uxtb16 r11, r11\n"
        "smlad r5, lr, r11, r5\n"
        "and r11, r11, #0x003F003F\n"
        "smlad r4, lr, r11, r4\n"
        "and r11, r11, #0x000F000F\n"
        "smlad r3, lr, r11, r3\n"
        "and r11, r11, #0x00030003\n"
        "smlad r2, lr, r11, r2\n"
        ".endr\n"
        "ldr r10, [sp, #8]\n"
        "cmp r1, r10\n"
        "bne 2b\n"
        "ldr r10, [sp, #28]\n"
        "ldr r1, [sp, #4]\n"
        "sub r9, r9, r8\n"
        "sub r8, r8, r7\n"
        "sub r7, r7, r6\n"
        "sub r6, r6, r5\n"
        "sub r5, r5, r4\n"
        "sub r4, r4, r3\n"
        "sub r3, r3, r2\n"
        "sub r2, r2, r10\n"
        "sub r3, r3, r10, lsl #2\n"
        "sub r4, r4, r10, lsl #4\n"
        "sub r5, r5, r10, lsl #6\n"
        "sub r6, r6, r10, lsl #8\n"
        "sub r7, r7, r10, lsl #10\n"
        "sub r8, r8, r10, lsl #12\n"
        "asr r3, r3, #2\n"
        "asr r4, r4, #4\n"
        "asr r5, r5, #6\n"
        "asr r6, r6, #8\n"
        "asr r7, r7, #10\n"
        "asr r8, r8, #12\n"
        "asr r9, r9, #14\n"
        "stm r1!, {r2-r9}\n"
        "ldr r10, [sp, #24]\n"
        "str r1, [sp, #4]\n"
        "ldr r1, [sp]\n"
        "subs r10, #1\n"
        "str r10, [sp, #24]\n"
        "bne 1b\n"
        "add sp, #36\n"
        "pop {r4-r11, pc}\n"
    );
}


/* 1 row(s) of 3 inputs by 4 channels, 8 channels at a time. */
static void tq_dense_s8_b1_s32_armv7em_digits(const int8_t *x, const uint32_t *w, int32_t *y, void *scratch)
{
    tq_digits job = {16, 512, 1, 0, 0, 0};
    int32_t *const all = (int32_t *)scratch + 4;
    for (int32_t r = 0; r < 1; r++) {
        job.sum = 2 * tq_widen_sum_3(x + r * 3, scratch);
        tq_digits_2_raw(w, scratch, all, &job);
        for (int32_t o = 0; o < 4; o++) {
            y[r * 4 + o] = all[o];
        }
    }
}
