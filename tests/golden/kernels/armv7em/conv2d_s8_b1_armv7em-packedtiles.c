/* conv2d_s8_b1_armv7em-packedtiles: s8[2,40,16], b1[6,3,3,16] -> s8[2,40,6] by requantize */
static TQ_NAKED void
tq_downwards_40_16(const int8_t *a __attribute__((unused)), const int8_t *b __attribute__((unused)), const int8_t *c __attribute__((unused)), const int8_t *d __attribute__((unused)), void *t __attribute__((unused)))
{
    __asm__ volatile(
        ".syntax unified\n"
        "push {r4-r11, lr}\n"
        "ldr r4, [sp, #36]\n"
        "mov r5, #4\n"
        "push {r5}\n"
        "add r4, #32\n"
        "1:\n"
        "movw r5, #40\n"
        "push {r5}\n"
        "2:\n"
        "ldr r5, [r0], #16\n"
        "ldr r6, [r1], #16\n"
        "ldr r7, [r2], #16\n"
        "ldr r8, [r3], #16\n"
        "sxtb16 r9, r5\n"
        "sxtb16 r10, r6\n"
        "sxtb16 r11, r7\n"
        "sxtb16 lr, r8\n"
        "ssub16 r9, r9, r11\n"
        "sadd16 r12, r10, r11\n"
        "ssub16 lr, r10, lr\n"
        "ssub16 r11, r11, r10\n"
        "stm r4!, {r9, r11, r12, lr}\n"
        "sxtb16 r5, r5, ror #8\n"
        "sxtb16 r6, r6, ror #8\n"
        "sxtb16 r7, r7, ror #8\n"
        "sxtb16 r8, r8, ror #8\n"
        "ssub16 r5, r5, r7\n"
        "sadd16 r12, r6, r7\n"
        "ssub16 lr, r6, r8\n"
        "ssub16 r7, r7, r6\n"
        "stm r4!, {r5, r7, r12, lr}\n"
        "ldr r9, [sp]\n"
        "subs r9, #1\n"
        "str r9, [sp]\n"
        "bne 2b\n"
        "add sp, #4\n"
        "movw r9, #636\n"
        "sub r0, r0, r9\n"
        "sub r1, r1, r9\n"
        "sub r2, r2, r9\n"
        "sub r3, r3, r9\n"
        "add r4, #64\n"
        "ldr r9, [sp]\n"
        "subs r9, #1\n"
        "str r9, [sp]\n"
        "bne 1b\n"
        "add sp, #4\n"
        "pop {r4-r11, pc}\n"
    );
}


static TQ_NAKED void
tq_across_40_16(const void *t __attribute__((unused)), void *panel __attribute__((unused)))
{
    __asm__ volatile(
        ".syntax unified\n"
        "push {r4-r11, lr}\n"
        "add r12, r1, #2048\n"
        "1:\n"
        "ldr r2, [r0, #0]\n"
        "ldr r3, [r0, #32]\n"
        "ldr r4, [r0, #64]\n"
        "ldr r5, [r0, #96]\n"
        "ldr r6, [r0, #128]\n"
        "ldr r7, [r0, #160]\n"
        "ssub16 r8, r2, r4\n"
        "ssub16 r9, r4, r6\n"
        "strd r8, r9, [r1, #0]\n"
        "sadd16 r8, r3, r4\n"
        "sadd16 r9, r5, r6\n"
        "strd r8, r9, [r1, #16]\n"
        "ssub16 r8, r4, r3\n"
        "ssub16 r9, r6, r5\n"
        "strd r8, r9, [r1, #32]\n"
        "ssub16 r8, r3, r5\n"
        "ssub16 r9, r5, r7\n"
        "strd r8, r9, [r1, #48]\n"
        "ldr r2, [r0, #192]\n"
        "ldr r3, [r0, #224]\n"
        "ldr r4, [r0, #256]\n"
        "ldr r5, [r0, #288]\n"
        "ssub16 r8, r6, r2\n"
        "ssub16 r9, r2, r4\n"
        "strd r8, r9, [r1, #8]\n"
        "sadd16 r8, r7, r2\n"
        "sadd16 r9, r3, r4\n"
        "strd r8, r9, [r1, #24]\n"
        "ssub16 r8, r2, r7\n"
        "ssub16 r9, r4, r3\n"
        "strd r8, r9, [r1, #40]\n"
        "ssub16 r8, r7, r3\n"
        "ssub16 r9, r3, r5\n"
        "strd r8, r9, [r1, #56]\n"
        "ldr r2, [r0, #16]\n"
        "ldr r3, [r0, #48]\n"
        "ldr r4, [r0, #80]\n"
        "ldr r5, [r0, #112]\n"
        "ldr r6, [r0, #144]\n"
        "ldr r7, [r0, #176]\n"
        "ssub16 r8, r2, r4\n"
        "ssub16 r9, r4, r6\n"
        "strd r8, r9, [r1, #256]\n"
        "sadd16 r8, r3, r4\n"
        "sadd16 r9, r5, r6\n"
        "strd r8, r9, [r1, #272]\n"
        "ssub16 r8, r4, r3\n"
        "ssub16 r9, r6, r5\n"
        "strd r8, r9, [r1, #288]\n"
        "ssub16 r8, r3, r5\n"
        "ssub16 r9, r5, r7\n"
        "strd r8, r9, [r1, #304]\n"
        "ldr r2, [r0, #208]\n"
        "ldr r3, [r0, #240]\n"
        "ldr r4, [r0, #272]\n"
        "ldr r5, [r0, #304]\n"
        "ssub16 r8, r6, r2\n"
        "ssub16 r9, r2, r4\n"
        "strd r8, r9, [r1, #264]\n"
        "sadd16 r8, r7, r2\n"
        "sadd16 r9, r3, r4\n"
        "strd r8, r9, [r1, #280]\n"
        "ssub16 r8, r2, r7\n"
        "ssub16 r9, r4, r3\n"
        "strd r8, r9, [r1, #296]\n"
        "ssub16 r8, r7, r3\n"
        "ssub16 r9, r3, r5\n"
        "strd r8, r9, [r1, #312]\n"
        "add r1, #64\n"
        "add r0, #4\n"
        "tst r1, #0xC0\n"
        "bne 1b\n"
        "add r1, #256\n"
        "addw r0, r0, #1328\n"
        "cmp r1, r12\n"
        "bne 1b\n"
        "pop {r4-r11, pc}\n"
    );
}


static void tq_fill(uint32_t *to, int32_t words, uint32_t value)
{
    for (int32_t i = 0; i < words; i++) {
        to[i] = value;
    }
}

typedef struct {
    const uint32_t *head;
    int32_t quads;
    int32_t pixel;
    int32_t line;
    int32_t addend;
    int32_t shift;
} tq_tiles;

static TQ_NAKED void
tq_copy_640(const void *from __attribute__((unused)), void *to __attribute__((unused)))
{
    __asm__ volatile(
        ".syntax unified\n"
        "push {r4-r10, lr}\n"
        "movw r2, #20\n"
        "1:\n"
        "ldm r0!, {r3-r10}\n"
        "stm r1!, {r3-r10}\n"
        "subs r2, #1\n"
        "bne 1b\n"
        "pop {r4-r10, pc}\n"
    );
}


static TQ_NAKED void
tq_transform_8(const void *from __attribute__((unused)), void *to __attribute__((unused)))
{
    __asm__ volatile(
        ".syntax unified\n"
        "push {r4-r11, lr}\n"
        "movw r2, #288\n"
        "add r2, r0\n"
        "push {r2}\n"
        "1:\n"
        "ldm r0, {r2-r10}\n"
        "sxtb16 r2, r2\n"
        "sxtb16 r3, r3\n"
        "sxtb16 r4, r4\n"
        "sxtb16 r5, r5\n"
        "sxtb16 r6, r6\n"
        "sxtb16 r7, r7\n"
        "sxtb16 r8, r8\n"
        "sxtb16 r9, r9\n"
        "sxtb16 r10, r10\n"
        "sadd16 r11, r2, r4\n"
        "sadd16 r12, r11, r3\n"
        "ssub16 r11, r11, r3\n"
        "str r2, [r1, #0]\n"
        "str r12, [r1, #64]\n"
        "str r11, [r1, #128]\n"
        "str r4, [r1, #192]\n"
        "sadd16 r11, r8, r10\n"
        "sadd16 r12, r11, r9\n"
        "ssub16 r11, r11, r9\n"
        "str r8, [r1, #768]\n"
        "str r12, [r1, #832]\n"
        "str r11, [r1, #896]\n"
        "str r10, [r1, #960]\n"
        "sadd16 r2, r2, r8\n"
        "ssub16 r8, r2, r5\n"
        "sadd16 r2, r2, r5\n"
        "sadd16 r3, r3, r9\n"
        "ssub16 r9, r3, r6\n"
        "sadd16 r3, r3, r6\n"
        "sadd16 r4, r4, r10\n"
        "ssub16 r10, r4, r7\n"
        "sadd16 r4, r4, r7\n"
        "sadd16 r11, r2, r4\n"
        "sadd16 r12, r11, r3\n"
        "ssub16 r11, r11, r3\n"
        "str r2, [r1, #512]\n"
        "str r12, [r1, #576]\n"
        "str r11, [r1, #640]\n"
        "str r4, [r1, #704]\n"
        "sadd16 r11, r8, r10\n"
        "sadd16 r12, r11, r9\n"
        "ssub16 r11, r11, r9\n"
        "str r8, [r1, #256]\n"
        "str r12, [r1, #320]\n"
        "str r11, [r1, #384]\n"
        "str r10, [r1, #448]\n"
        "ldm r0!, {r2-r10}\n"
        "sxtb16 r2, r2, ror #8\n"
        "sxtb16 r3, r3, ror #8\n"
        "sxtb16 r4, r4, ror #8\n"
        "sxtb16 r5, r5, ror #8\n"
        "sxtb16 r6, r6, ror #8\n"
        "sxtb16 r7, r7, ror #8\n"
        "sxtb16 r8, r8, ror #8\n"
        "sxtb16 r9, r9, ror #8\n"
        "sxtb16 r10, r10, ror #8\n"
        "sadd16 r11, r2, r4\n"
        "sadd16 r12, r11, r3\n"
        "ssub16 r11, r11, r3\n"
        "str r2, [r1, #4]\n"
        "str r12, [r1, #68]\n"
        "str r11, [r1, #132]\n"
        "str r4, [r1, #196]\n"
        "sadd16 r11, r8, r10\n"
        "sadd16 r12, r11, r9\n"
        "ssub16 r11, r11, r9\n"
        "str r8, [r1, #772]\n"
        "str r12, [r1, #836]\n"
        "str r11, [r1, #900]\n"
        "str r10, [r1, #964]\n"
        "sadd16 r2, r2, r8\n"
        "ssub16 r8, r2, r5\n"
        "sadd16 r2, r2, r5\n"
        "sadd16 r3, r3, r9\n"
        "ssub16 r9, r3, r6\n"
        "sadd16 r3, r3, r6\n"
        "sadd16 r4, r4, r10\n"
        "ssub16 r10, r4, r7\n"
        "sadd16 r4, r4, r7\n"
        "sadd16 r11, r2, r4\n"
        "sadd16 r12, r11, r3\n"
        "ssub16 r11, r11, r3\n"
        "str r2, [r1, #516]\n"
        "str r12, [r1, #580]\n"
        "str r11, [r1, #644]\n"
        "str r4, [r1, #708]\n"
        "sadd16 r11, r8, r10\n"
        "sadd16 r12, r11, r9\n"
        "ssub16 r11, r11, r9\n"
        "str r8, [r1, #260]\n"
        "str r12, [r1, #324]\n"
        "str r11, [r1, #388]\n"
        "str r10, [r1, #452]\n"
        "add r1, #8\n"
        "ldr r2, [sp]\n"
        "cmp r0, r2\n"
        "bne 1b\n"
        "add sp, #4\n"
        "pop {r4-r11, pc}\n"
    );
}


static TQ_NAKED void
tq_loosen_1(const void *from __attribute__((unused)), void *to __attribute__((unused)), int32_t words __attribute__((unused)))
{
    __asm__ volatile(
        ".syntax unified\n"
        "push {r4-r11, lr}\n"
        "mov r12, #2155905152\n"
        "1:\n"
        "ldr r3, [r0], #4\n"
        "and r4, r12, r3, lsl #7\n"
        "orr r4, r4, #0x40404040\n"
        "and r5, r12, r3, lsl #6\n"
        "orr r5, r5, #0x40404040\n"
        "and r6, r12, r3, lsl #5\n"
        "orr r6, r6, #0x40404040\n"
        "and r7, r12, r3, lsl #4\n"
        "orr r7, r7, #0x40404040\n"
        "and r8, r12, r3, lsl #3\n"
        "orr r8, r8, #0x40404040\n"
        "and r9, r12, r3, lsl #2\n"
        "orr r9, r9, #0x40404040\n"
        "and r10, r12, r3, lsl #1\n"
        "orr r10, r10, #0x40404040\n"
        "and r11, r12, r3\n"
        "orr r11, r11, #0x40404040\n"
        "stm r1!, {r4-r11}\n"
        "subs r2, #8\n"
        "bgt 1b\n"
        "pop {r4-r11, pc}\n"
    );
}


static TQ_NAKED void
tq_multiply_tiles_8_s8(const void *weights __attribute__((unused)), const void *panels __attribute__((unused)), void *y __attribute__((unused)), const tq_tiles *job __attribute__((unused)))
{
    __asm__ volatile(
        ".syntax unified\n"
        "push {r4-r11, lr}\n"
        "mov r4, sp\n"
        "sub r5, r4, #64\n"
        "bic r5, r5, #31\n"
        "ldm r3, {r6-r11}\n"
        "mov sp, r5\n"
        "strd r0, r2, [sp]\n"
        "strd r6, r7, [sp, #8]\n"
        "strd r1, r4, [sp, #16]\n"
        "strd r8, r9, [sp, #24]\n"
        "strd r10, r11, [sp, #32]\n"
        "1:\n"
        "ldrd r10, r11, [r0], #8\n"
        "ldrd r12, lr, [r1], #8\n"
        "smuad r2, r12, r10\n"
        "smuad r3, lr, r10\n"
        "smuad r6, r12, r11\n"
        "smuad r7, lr, r11\n"
        "ldrd r12, lr, [r1], #248\n"
        "smuad r4, r12, r10\n"
        "smuad r5, lr, r10\n"
        "smuad r8, r12, r11\n"
        "smuad r9, lr, r11\n"
        ".rept 7\n"
        "ldrd r10, r11, [r0], #8\n"
        "ldrd r12, lr, [r1], #8\n"
        "smlad r2, r12, r10, r2\n"
        "smlad r3, lr, r10, r3\n"
        "smlad r6, r12, r11, r6\n"
        "smlad r7, lr, r11, r7\n"
        "ldrd r12, lr, [r1], #248\n"
        "smlad r4, r12, r10, r4\n"
        "smlad r5, lr, r10, r5\n"
        "smlad r8, r12, r11, r8\n"
        "smlad r9, lr, r11, r9\n"
        ".endr\n"
        "push {r2-r9}\n"
        "movw r12, #2032\n"
        "sub r1, r1, r12\n"
        "tst r1, #0xF0\n"
        "bne 1b\n"
        "mov r12, sp\n"
        "7:\n"
        "ldr lr, [sp, #516]\n"
        "8:\n"
        "ldr r0, [r12, #480]\n"
        "ldr r8, [r12, #224]\n"
        "ldr r9, [r12, #352]\n"
        "ldr r10, [r12, #96]\n"
        "add r0, r8, r0, lsl #1\n"
        "sub r4, r8, r9\n"
        "add r0, r0, r9\n"
        "sub r4, r4, r10, lsl #1\n"
        "ldr r1, [r12, #448]\n"
        "ldr r8, [r12, #192]\n"
        "ldr r9, [r12, #320]\n"
        "ldr r10, [r12, #64]\n"
        "ldr r11, [sp, #520]\n"
        "ldr r11, [r11]\n"
        "add r8, r11\n"
        "add r1, r8, r1, lsl #1\n"
        "sub r5, r8, r9\n"
        "add r1, r1, r9\n"
        "sub r5, r5, r10, lsl #1\n"
        "ldr r2, [r12, #416]\n"
        "ldr r8, [r12, #160]\n"
        "ldr r9, [r12, #288]\n"
        "ldr r10, [r12, #32]\n"
        "add r2, r8, r2, lsl #1\n"
        "sub r6, r8, r9\n"
        "add r2, r2, r9\n"
        "sub r6, r6, r10, lsl #1\n"
        "ldr r3, [r12, #384]\n"
        "ldr r8, [r12, #128]\n"
        "ldr r9, [r12, #256]\n"
        "ldr r10, [r12, #0]\n"
        "add r3, r8, r3, lsl #1\n"
        "sub r7, r8, r9\n"
        "add r3, r3, r9\n"
        "sub r7, r7, r10, lsl #1\n"
        "add r0, r1, r0, lsl #1\n"
        "sub r1, r1, r2\n"
        "add r0, r0, r2\n"
        "sub r1, r1, r3, lsl #1\n"
        "add r4, r5, r4, lsl #1\n"
        "sub r5, r5, r6\n"
        "add r4, r4, r6\n"
        "sub r5, r5, r7, lsl #1\n"
        "ldr r11, [sp, #520]\n"
        "ldrd r2, r3, [sp, #536]\n"
        "ldrd r10, r9, [sp, #544]\n"
        "ldr r11, [r11, #4]\n"
        "smmla r0, r0, r11, r10\n"
        "asr r0, r0, r9\n"
        "ssat r0, #8, r0\n"
        "smmla r1, r1, r11, r10\n"
        "asr r1, r1, r9\n"
        "ssat r1, #8, r1\n"
        "smmla r4, r4, r11, r10\n"
        "asr r4, r4, r9\n"
        "ssat r4, #8, r4\n"
        "smmla r5, r5, r11, r10\n"
        "asr r5, r5, r9\n"
        "ssat r5, #8, r5\n"
        "strb r0, [lr]\n"
        "strb r1, [lr, r2]\n"
        "strb r4, [lr, r3]\n"
        "add r3, r2\n"
        "strb r5, [lr, r3]\n"
        "add lr, lr, r2, lsl #1\n"
        "add r12, #4\n"
        "tst r12, #12\n"
        "bne 8b\n"
        "ldrd r0, r1, [sp, #516]\n"
        "add r0, #1\n"
        "add r1, #8\n"
        "strd r0, r1, [sp, #516]\n"
        "tst r12, #16\n"
        "bne 7b\n"
        "add sp, #512\n"
        "ldr r4, [sp, #24]\n"
        "ldrd r2, r3, [sp, #4]\n"
        "sub r2, #2\n"
        "sub r3, #16\n"
        "add r2, r2, r4, lsl #3\n"
        "strd r2, r3, [sp, #4]\n"
        "ldrd r2, r1, [sp, #12]\n"
        "addw r1, r1, #2048\n"
        "ldr r0, [sp]\n"
        "subs r2, #1\n"
        "strd r2, r1, [sp, #12]\n"
        "bne 1b\n"
        "ldr r4, [sp, #20]\n"
        "mov sp, r4\n"
        "pop {r4-r11, pc}\n"
    );
}


/* 2 x 40 x 16 by 6 channels, in tiles of 2 x 2, 12 at a time. A line of x is kept
 * before the lines of y are written, so y may be x. */
static void tq_conv2d_s8_b1_s8_armv7em_packedtiles(const int8_t *x, const uint32_t *w, int8_t *y, void *scratch)
{
    uint8_t *const panels = (uint8_t *)(((uintptr_t)scratch + 255u) & ~(uintptr_t)255u);
    uint32_t *const t = (uint32_t *)(void *)(panels + 6144);
    uint32_t *const outside = t + 1344;
    uint32_t *const kept = outside + 160;
    uint32_t *const weights = kept + 160;
    uint32_t *const loose = weights + 256;
    tq_tiles job = {w, 0, 6, 240, -1081344, 16};
    tq_fill(outside, 160, 3890735079u);
    for (int32_t k = 0; k < 4; k++) {
        for (int32_t side = 0; side < 2; side++) {
            uint32_t *const edge = t + k * 336 + side * 328;
            tq_fill(edge, 8, 0u);
            edge[2] = 4291755982u;
            edge[6] = 4291755982u;
        }
    }
    for (int32_t r = 0; r < 2; r += 2) {
        for (int32_t i = r; i < r + 2; i += 2) {
            const int8_t *const at = x + i * 640;
            const int8_t *const above = i == 0 ? (const int8_t *)outside : i == r ? (const int8_t *)kept : at - 640;
            const int8_t *const below = i == 0 ? (const int8_t *)outside : at + 1280;
            tq_downwards_40_16(above, at, at + 640, below, t);
        }
        tq_copy_640(x + (r + 1) * 640, kept);
        for (int32_t c = 0; c < 5; c += 3) {
            job.quads = c + 3 <= 5 ? 3 : 5 - c;
            for (int32_t k = 0; k < job.quads; k++) {
                tq_across_40_16(t + (c + k) * 64, panels + k * 2048);
            }
            job.head = w;
            for (int32_t o = 0; o < 3; o++) {
                tq_loosen_1(job.head + 4, loose, 72);
                tq_transform_8(loose, weights);
                tq_multiply_tiles_8_s8(weights, panels, y + r * 240 + c * 48 + 2 * o, &job);
                job.head += 13;
            }

        }
    }
}
