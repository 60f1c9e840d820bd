/* conv2d_s8_b1_armv7em-slimrows: s8[3,13,15], b1[15,4,4,15] -> s8[3,13,15] by requantize */
typedef struct {
    const uint32_t *head;
    int32_t quads;
    int32_t stride;
    int32_t bytes;
    int32_t addend;
    int32_t shift;
} tq_block;

static TQ_NAKED void
tq_collect_four(const int8_t *const *at __attribute__((unused)), void *panel __attribute__((unused)), const int32_t *sizes __attribute__((unused)))
{
    __asm__ volatile(
        ".syntax unified\n"
        "push {r4-r11, lr}\n"
        "sub sp, #20\n"
        "mov r12, r1\n"
        "ldm r2, {r4-r6}\n"
        "rsb r7, r5, #0\n"
        "and r7, r7, #7\n"
        "rsb r8, r7, r7, lsl #3\n"
        "lsl r8, r8, #3\n"
        "adds r5, #7\n"
        "lsr r5, r5, #3\n"
        "strd r4, r5, [sp]\n"
        "strd r6, r8, [sp, #8]\n"
        "ldm r0, {r0-r3}\n"
        "1:\n"
        "ldr lr, [sp, #4]\n"
        "ldr r4, [sp, #12]\n"
        "add pc, r4\n"
        "nop\n"
        "2:\n"
        ".rept 8\n"
        "ldr r4, [r0], #4\n"
        "ldr r5, [r1], #4\n"
        "ldr r6, [r2], #4\n"
        "ldr r7, [r3], #4\n"
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
        ".endr\n"
        "subs lr, #1\n"
        "bne 2b\n"
        "ldrd r4, r5, [sp, #4]\n"
        "ldr r6, [sp]\n"
        "add r0, r5\n"
        "add r1, r5\n"
        "add r2, r5\n"
        "add r3, r5\n"
        "subs r6, #1\n"
        "str r6, [sp]\n"
        "bne 1b\n"
        "add sp, #20\n"
        "pop {r4-r11, pc}\n"
    );
}


static TQ_NAKED void
tq_unpack_1(const void *from __attribute__((unused)), void *to __attribute__((unused)), int32_t words __attribute__((unused)))
{
    __asm__ volatile(
        ".syntax unified\n"
        "push {r4-r11, lr}\n"
        "mov r12, #2155905152\n"
        "1:\n"
        "ldr r11, [r0], #4\n"
        "and r4, r12, r11, lsl #7\n"
        "orr r4, r4, #0x40404040\n"
        "and r6, r12, r11, lsl #6\n"
        "orr r6, r6, #0x40404040\n"
        "and r8, r12, r11, lsl #5\n"
        "orr r8, r8, #0x40404040\n"
        "and r10, r12, r11, lsl #4\n"
        "orr r10, r10, #0x40404040\n"
        "sxtb16 r3, r4\n"
        "sxtb16 r4, r4, ror #8\n"
        "sxtb16 r5, r6\n"
        "sxtb16 r6, r6, ror #8\n"
        "sxtb16 r7, r8\n"
        "sxtb16 r8, r8, ror #8\n"
        "sxtb16 r9, r10\n"
        "sxtb16 r10, r10, ror #8\n"
        "stm r1!, {r3-r10}\n"
        "and r4, r12, r11, lsl #3\n"
        "orr r4, r4, #0x40404040\n"
        "and r6, r12, r11, lsl #2\n"
        "orr r6, r6, #0x40404040\n"
        "and r8, r12, r11, lsl #1\n"
        "orr r8, r8, #0x40404040\n"
        "and r10, r12, r11\n"
        "orr r10, r10, #0x40404040\n"
        "sxtb16 r3, r4\n"
        "sxtb16 r4, r4, ror #8\n"
        "sxtb16 r5, r6\n"
        "sxtb16 r6, r6, ror #8\n"
        "sxtb16 r7, r8\n"
        "sxtb16 r8, r8, ror #8\n"
        "sxtb16 r9, r10\n"
        "sxtb16 r10, r10, ror #8\n"
        "stm r1!, {r3-r10}\n"
        "subs r2, #8\n"
        "bgt 1b\n"
        "pop {r4-r11, pc}\n"
    );
}


static TQ_NAKED void
tq_multiply_s8(const void *weights __attribute__((unused)), const void *panel __attribute__((unused)), void *y __attribute__((unused)), const tq_block *job __attribute__((unused)))
{
    __asm__ volatile(
        ".syntax unified\n"
        "push {r4-r11, lr}\n"
        "sub sp, #44\n"
        "ldm r3, {r4-r9}\n"
        "ubfx r10, r7, #4, #4\n"
        "rsb r10, r10, #16\n"
        "and r10, r10, #15\n"
        "mov r11, #44\n"
        "mul r10, r10, r11\n"
        "strd r0, r10, [sp]\n"
        "strd r6, r2, [sp, #8]\n"
        "strd r8, r9, [sp, #16]\n"
        "add r8, r1, r7\n"
        "strd r8, r5, [sp, #24]\n"
        "strd r7, r4, [sp, #32]\n"
        "1:\n"
        "ldr r0, [sp, #36]\n"
        "ldrd r2, r6, [r0]\n"
        "ldrd r0, r10, [sp]\n"
        "mov r3, r2\n"
        "mov r4, r2\n"
        "mov r5, r2\n"
        "mov r7, r6\n"
        "mov r8, r6\n"
        "mov r9, r6\n"
        "add pc, r10\n"
        "nop\n"
        "2:\n"
        ".rept 16\n"
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
        "ldr r10, [sp, #24]\n"
        "cmp r1, r10\n"
        "bne 2b\n"
        "ldr r0, [sp, #36]\n"
        "ldrd r10, r11, [r0, #8]\n"
        "ldrd r12, r0, [sp, #16]\n"
        "ldrd r1, lr, [sp, #8]\n"
        "smmla r2, r2, r10, r12\n"
        "asr r2, r2, r0\n"
        "ssat r2, #8, r2\n"
        "smmla r6, r6, r11, r12\n"
        "asr r6, r6, r0\n"
        "ssat r6, #8, r6\n"
        "strb r6, [lr, #1]\n"
        "strb r2, [lr]\n"
        "add lr, r1\n"
        "smmla r3, r3, r10, r12\n"
        "asr r3, r3, r0\n"
        "ssat r3, #8, r3\n"
        "smmla r7, r7, r11, r12\n"
        "asr r7, r7, r0\n"
        "ssat r7, #8, r7\n"
        "strb r7, [lr, #1]\n"
        "strb r3, [lr]\n"
        "add lr, r1\n"
        "smmla r4, r4, r10, r12\n"
        "asr r4, r4, r0\n"
        "ssat r4, #8, r4\n"
        "smmla r8, r8, r11, r12\n"
        "asr r8, r8, r0\n"
        "ssat r8, #8, r8\n"
        "strb r8, [lr, #1]\n"
        "strb r4, [lr]\n"
        "add lr, r1\n"
        "smmla r5, r5, r10, r12\n"
        "asr r5, r5, r0\n"
        "ssat r5, #8, r5\n"
        "smmla r9, r9, r11, r12\n"
        "asr r9, r9, r0\n"
        "ssat r9, #8, r9\n"
        "strb r9, [lr, #1]\n"
        "strb r5, [lr]\n"
        "add lr, r1\n"
        "ldrd r1, r2, [sp, #24]\n"
        "ldr r3, [sp, #32]\n"
        "str lr, [sp, #12]\n"
        "add r3, r3, r1\n"
        "subs r2, #1\n"
        "strd r3, r2, [sp, #24]\n"
        "bne 1b\n"
        "add sp, #44\n"
        "pop {r4-r11, pc}\n"
    );
}


static TQ_NAKED void
tq_copy_195_loose(const void *from __attribute__((unused)), void *to __attribute__((unused)))
{
    __asm__ volatile(
        ".syntax unified\n"
        "push {r4-r10, lr}\n"
        "movw r2, #6\n"
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
        "ldrb r3, [r0], #1\n"
        "strb r3, [r1], #1\n"
        "ldrb r3, [r0], #1\n"
        "strb r3, [r1], #1\n"
        "ldrb r3, [r0], #1\n"
        "strb r3, [r1], #1\n"
        "pop {r4-r10, pc}\n"
    );
}


static TQ_NAKED void
tq_copy_732(const void *from __attribute__((unused)), void *to __attribute__((unused)))
{
    __asm__ volatile(
        ".syntax unified\n"
        "push {r4-r10, lr}\n"
        "movw r2, #22\n"
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
        "ldr r3, [r0], #4\n"
        "str r3, [r1], #4\n"
        "pop {r4-r10, pc}\n"
    );
}


static void tq_fill(uint32_t *to, int32_t words, uint32_t value)
{
    for (int32_t i = 0; i < words; i++) {
        to[i] = value;
    }
}

/* Windows of 4 x 4 x 15 by 15 channels, 8 at a time, over padded lines in scratch. */
static void tq_conv2d_s8_b1_s8_armv7em_slimrows(const int8_t *x, const uint32_t *w, int8_t *y, void *scratch)
{
    static const int32_t sizes[3] = {4, 15, 184};
    uint8_t *const unpacked = (uint8_t *)scratch + 0;
    uint8_t *const panels = unpacked + 960;
    int8_t *const image = (int8_t *)scratch + 4800;
    uint32_t *const words = (uint32_t *)scratch + 1200;
    tq_block job = {w, 0, 15, 1920, 229376, 16};

    tq_fill(words, 244, 1936946035u);
    for (int32_t r = 0; r < 3; r += 1) {
        if (r > 0) {
            tq_copy_732(image + 244, image);
        }
        for (int32_t i = r > 0 ? 3 : 0; i < 4; i++) {
            const int32_t from = r * 1 + i - 1;
            if (from < 0 || from >= 3) {
                tq_fill(words + i * 61, 61, 1936946035u);
            } else {
                tq_copy_195_loose(x + from * 195, image + i * 244 + 16);
            }
        }
        for (int32_t q = 0; q < 4; q += 2) {
            const int32_t quads = q + 2 <= 3 ? 2 : 3 - q;
            const int32_t more = q + 2 > 3;
            int8_t *const to = y + (r * 13 + 4 * q) * 15;
            for (int32_t i = 0; i < quads + more; i++) {
                const int32_t c = i < quads ? 4 * (q + i) : 9;
                const int8_t *const first = image + c * 15 + 1;
                const int8_t *const at[4] = {first, first + 15, first + 30, first + 45};
                tq_collect_four(at, panels + i * 1920, sizes);
            }
            job.head = w;
            for (int32_t o = 0; o < 8; o++) {
                tq_unpack_1(job.head + 4, unpacked, 120);
                job.quads = quads;
                if (job.quads > 0) {
                    tq_multiply_s8(unpacked, panels, to + (o < 7 ? 2 * o : 13), &job);
                }
                if (more) {
                    job.quads = 1;
                    tq_multiply_s8(unpacked, panels + quads * 1920, y + (r * 13 + 9) * 15 + (o < 7 ? 2 * o : 13), &job);
                }
                job.head += 19;
            }

        }
    }
}
