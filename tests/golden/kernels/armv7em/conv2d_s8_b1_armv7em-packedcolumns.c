/* conv2d_s8_b1_armv7em-packedcolumns: s8[13,5,16], b1[16,1,1,16] -> u4[13,2,16] by requantize */
static TQ_NAKED void
tq_copy_loose_16(const void *from __attribute__((unused)), void *to __attribute__((unused)))
{
    __asm__ volatile(
        ".syntax unified\n"
        ".rept 4\n"
        "ldr r3, [r0], #4\n"
        "str r3, [r1], #4\n"
        ".endr\n"
        "bx lr\n"
    );
}


static void tq_conv2d_s8_b1_u4_armv7em_packedcolumns_column(const int8_t *x, int32_t r, int32_t c, int8_t *to)
{
    const int32_t left = c * 3 - 0;
    for (int32_t i = 0; i < 1; i++) {
        const int32_t row = r * 1 - 0 + i * 3;
        const int32_t above = row < 0 || row >= 13;
        if (!above && left >= 0 && left <= 4) {
            tq_copy_loose_16(x + (row * 5 + left) * 16, to);
            to += 16;
            continue;
        }
        for (int32_t j = 0; j < 1; j++) {
            const int32_t column = left + j * 1;
            if (above || column < 0 || column >= 5) {
                for (int32_t k = 0; k < 16; k++) {
                    to[k] = 6;
                }
            } else {
                tq_copy_loose_16(x + (row * 5 + column) * 16, to);
            }
            to += 16;
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
tq_sums_8(const uint32_t *w __attribute__((unused)), const void *panel __attribute__((unused)), int32_t *y __attribute__((unused)), const uint32_t *end __attribute__((unused)))
{
    __asm__ volatile(
        ".syntax unified\n"
        "push {r4-r11, lr}\n"
        "sub sp, #28\n"
        "movw r12, #128\n"
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
        ".rept 8\n"
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


/* Windows of 1 x 1 x 16 by 16 channels, 16 columns at a time. */
static void tq_conv2d_s8_b1_u4_armv7em_packedcolumns(const int8_t *x, const uint32_t *w, const tq_requantize_epilogue *epilogue, uint8_t *y, void *scratch)
{
    static const int32_t sizes[3] = {1, 4, 0};
    uint32_t *const words = scratch;
    uint32_t *const unpacked = words + 0;
    uint32_t *const panels = words + 18;
    int8_t *const columns = (int8_t *)(words + 146);
    int32_t *const sums = (int32_t *)words + 162;
    const int8_t *const at[4] = {columns, columns + 16, columns + 32, columns + 48};
    int32_t r = 0;
    int32_t c = 0;
    for (int32_t p = 0; p < 26; p += 16) {
        const int32_t left = 26 - p;
        const int32_t count = left < 16 ? left : 16;
        const int32_t quads = (count + 3) / 4;
        const uint32_t *head = w + 0;
        for (int32_t k = 0; k < quads; k++) {
            for (int32_t i = 0; i < 4 && 4 * k + i < count; i++) {
                tq_conv2d_s8_b1_u4_armv7em_packedcolumns_column(x, r, c, columns + i * 16);
                c++;
                if (c == 2) {
                    c = 0;
                    r++;
                }
            }
            tq_collect_four(at, panels + k * 32, sizes);
        }
        for (int32_t o = 0; o < 8; o++) {
            int32_t *to = sums + 4 * 2 * o;
            unpacked[0] = head[0];
            unpacked[1] = head[1];
            tq_unpack_1(head + 2, unpacked + 2, 8);
            for (int32_t k = 0; k < quads; k++) {
                tq_sums_8(unpacked, panels + k * 32, to, unpacked + 18);
                to += 64;
            }
            head += 3;
        }
        for (int32_t i = 0; i < count; i++) {
            const int32_t *const own = sums + i / 4 * 64 + i % 4;
            uint32_t word = 0;
            for (int32_t o = 0; o < 16; o++) {
                word = tq_requantize_u4(epilogue, y, o, 16, word, own[4 * o] / 64);
            }
            y += 8;
        }
    }
}
