/* pad2d_s16_armv7em-runs: s16[12,3,2] -> s16[15,5,2] by  */
static TQ_NAKED void
tq_copy_run_12(const void *from __attribute__((unused)), void *to __attribute__((unused)))
{
    __asm__ volatile(
        ".syntax unified\n"
        "push {r4-r11, lr}\n"
        "mov r2, r1\n"
        "ldm r0!, {r4-r6}\n"
        "stm r2!, {r4-r6}\n"
        "pop {r4-r11, pc}\n"
    );
}


static TQ_NAKED void
tq_set_run_20(void *to __attribute__((unused)), uint32_t value __attribute__((unused)))
{
    __asm__ volatile(
        ".syntax unified\n"
        "movw r2, #1\n"
        "1:\n"
        "str r1, [r0], #4\n"
        "str r1, [r0], #4\n"
        "str r1, [r0], #4\n"
        "str r1, [r0], #4\n"
        "subs r2, #1\n"
        "bne 1b\n"
        "str r1, [r0], #4\n"
        "bx lr\n"
    );
}


static TQ_NAKED void
tq_set_run_8(void *to __attribute__((unused)), uint32_t value __attribute__((unused)))
{
    __asm__ volatile(
        ".syntax unified\n"
        "str r1, [r0], #4\n"
        "str r1, [r0], #4\n"
        "bx lr\n"
    );
}


static TQ_NAKED void
tq_set_run_48(void *to __attribute__((unused)), uint32_t value __attribute__((unused)))
{
    __asm__ volatile(
        ".syntax unified\n"
        "movw r2, #3\n"
        "1:\n"
        "str r1, [r0], #4\n"
        "str r1, [r0], #4\n"
        "str r1, [r0], #4\n"
        "str r1, [r0], #4\n"
        "subs r2, #1\n"
        "bne 1b\n"
        "bx lr\n"
    );
}


/* 1, 2, 0 and 2 lines and columns around 12 x 3 pixels of 2 channels. */
static void tq_pad2d_s16_armv7em_runs(const int16_t *x, int16_t *y)
{
    uint8_t *to = (uint8_t *)y;
    tq_set_run_20(to, 1502370188u);
    to += 20;
    for (int32_t r = 0; r < 12; r++) {
        if (r > 0) {
            tq_set_run_8(to, 1502370188u);
            to += 8;
        }
        tq_copy_run_12(x + r * 6, to);
        to += 12;
    }
    tq_set_run_48(to, 1502370188u);
}
