/* conv2d_s8_b1_armv7em-slimcolumns: s8[4,7,7], b1[33,3,3,7] -> u8[4,3,33] by requantize */
static void tq_conv2d_s8_b1_u8_armv7em_slimcolumns_column(const int8_t *x, int32_t r, int32_t c, int8_t *to)
{
    const int32_t left = c * 3 - 3;
    for (int32_t i = 0; i < 3; i++) {
        const int32_t row = r * 1 - 3 + i * 3;
        const int32_t above = row < 0 || row >= 4;
        for (int32_t j = 0; j < 3; j++) {
            const int32_t column = left + j * 3;
            if (above || column < 0 || column >= 7) {
                for (int32_t k = 0; k < 7; k++) {
                    to[k] = 8;
                }
            } else {
                for (int32_t k = 0; k < 7; k++) {
                    to[k] = x[(row * 7 + column) * 7 + k];
                }
            }
            to += 7;
        }
    }
}

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
tq_unpack_2(const void *from __attribute__((unused)), void *to __attribute__((unused)), int32_t words __attribute__((unused)))
{
    __asm__ volatile(
        ".syntax unified\n"
        "push {r4-r11, lr}\n"
        "mov r12, #3233857728\n"
        "1:\n"
        "ldr r11, [r0], #4\n"
        "and r4, r12, r11, lsl #6\n"
        "and r6, r12, r11, lsl #4\n"
        "and r8, r12, r11, lsl #2\n"
        "and r10, r12, r11\n"
        "sxtb16 r3, r4\n"
        "sxtb16 r4, r4, ror #8\n"
        "sxtb16 r5, r6\n"
        "sxtb16 r6, r6, ror #8\n"
        "sxtb16 r7, r8\n"
        "sxtb16 r8, r8, ror #8\n"
        "sxtb16 r9, r10\n"
        "sxtb16 r10, r10, ror #8\n"
        "stm r1!, {r3-r10}\n"
        "subs r2, #4\n"
        "bgt 1b\n"
        "pop {r4-r11, pc}\n"
    );
}


static TQ_NAKED void
tq_sums_32(const uint32_t *w __attribute__((unused)), const void *panel __attribute__((unused)), int32_t *y __attribute__((unused)), const uint32_t *end __attribute__((unused)))
{
    __asm__ volatile(
        ".syntax unified\n"
        "push {r4-r11, lr}\n"
        "sub sp, #28\n"
        "movw r12, #512\n"
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
        "ldr r10, [sp, #12]\n"
        "cmp r1, r10\n"
        "bne 2b\n"
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


/* Windows of 3 x 3 x 7 by 33 channels, 8 columns at a time. */
static void tq_conv2d_s8_b1_u8_armv7em_slimcolumns(const int8_t *x, const uint32_t *w, const tq_requantize_epilogue *epilogue, uint8_t *y, void *scratch)
{
    static const int32_t sizes[3] = {1, 16, 0};
    uint32_t *const words = scratch;
    uint32_t *const unpacked = words + 0;
    uint32_t *const panels = words + 66;
    int8_t *const columns = (int8_t *)(words + 322);
    int32_t *const sums = (int32_t *)words + 386;
    const int8_t *const at[4] = {columns, columns + 64, columns + 128, columns + 192};
    int32_t r = 0;
    int32_t c = 0;
    for (int32_t p = 0; p < 12; p += 8) {
        const int32_t left = 12 - p;
        const int32_t count = left < 8 ? left : 8;
        const int32_t quads = (count + 3) / 4;
        const uint32_t *head = w + 0;
        for (int32_t k = 0; k < quads; k++) {
            for (int32_t i = 0; i < 4 && 4 * k + i < count; i++) {
                tq_conv2d_s8_b1_u8_armv7em_slimcolumns_column(x, r, c, columns + i * 64);
                c++;
                if (c == 3) {
                    c = 0;
                    r++;
                }
            }
            tq_collect_four(at, panels + k * 128, sizes);
        }
        for (int32_t o = 0; o < 17; o++) {
            int32_t *to = sums + 4 * (o < 16 ? 2 * o : 31);
            unpacked[0] = head[0];
            unpacked[1] = head[1];
            tq_unpack_2(head + 2, unpacked + 2, 32);
            for (int32_t k = 0; k < quads; k++) {
                tq_sums_32(unpacked, panels + k * 128, to, unpacked + 66);
                to += 132;
            }
            head += 10;
        }
        for (int32_t i = 0; i < count; i++) {
            const int32_t *const own = sums + i / 4 * 132 + i % 4;
            uint32_t word = 0;
            for (int32_t o = 0; o < 33; o++) {
                word = tq_requantize_u8(epilogue, y, o, 33, word, own[4 * o] / 64);
            }
            y += 33;
        }
    }
}
