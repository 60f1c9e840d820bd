/* Second boot stage of the RP2040: the boot ROM copies these 256 bytes to RAM, checks their CRC and
 * calls them. They let the flash be read as memory, by command 03h at a quarter of the core clock,
 * which every serial flash knows, and jump to the vector table behind them.
 *
 *     ldr   r3, =0x18000000     SSI
 *     movs  r1, #0
 *     str   r1, [r3, #0x08]     SSIENR = 0: off while it is set
 *     movs  r1, #4
 *     str   r1, [r3, #0x14]     BAUDR: core clock / 4
 *     ldr   r1, =0x001F0300
 *     str   r1, [r3, #0x00]     CTRLR0: frames of 32 bits, read mode of memories
 *     movs  r1, #0
 *     str   r1, [r3, #0x04]     CTRLR1: one frame
 *     ldr   r0, =0x180000F4
 *     ldr   r1, =0x03000218
 *     str   r1, [r0]            SPI_CTRLR0: command 03h, 8 bits, then 24 bits of address
 *     movs  r1, #1
 *     str   r1, [r3, #0x08]     SSIENR = 1
 *     ldr   r0, =0x10000100
 *     ldr   r1, =0xE000ED08
 *     str   r0, [r1]            VTOR
 *     ldmia r0!, {r1, r2}       stack and reset handler
 *     msr   msp, r1
 *     bx    r2
 *
 * Source: RP2040 Datasheet, 2.8.1.3 (second stage, CRC) and 4.10.13 (SSI registers). */
#include <stdint.h>

/* The last word is CRC-32 with polynomial 0x04C11DB7, start 0xFFFFFFFF, most significant bit first,
 * over the words before it: the contract tests compute it again. */
extern const uint32_t tq_boot2[64];
__attribute__((section(".boot2"), used)) const uint32_t tq_boot2[64] = {
    0x21004B0Au, 0x21046099u, 0x49096159u, 0x21006019u, 0x48086059u, 0x60014908u,
    0x60992101u, 0x49084807u, 0xC8066008u, 0x8808F381u, 0x46C04710u, 0x18000000u,
    0x001F0300u, 0x180000F4u, 0x03000218u, 0x10000100u, 0xE000ED08u, [63] = 0x5173B336u,
};
