/* Test firmware: tells what the port says of itself, then sends back every byte.
 *
 * 0x01  send the stack's high-water mark before and after a frame of FRAME_BYTES was in use
 * 0x02  reset
 * 0x03  overflow the stack
 */
#include "tq_port.h"

#define FRAME_BYTES 1024
#define OVERFLOW_FRAMES 8u /* more than the 4096 bytes of stack, far less than the RAM */

static uint32_t initialized = 0x600DDA7Au; /* .data: copied from flash at every start */
static uint32_t zeroed;                    /* .bss */

static void send_number(uint32_t value)
{
    uint8_t bytes[4];
    for (uint32_t i = 0; i < 4u; i++) {
        bytes[i] = (uint8_t)(value >> (8u * i));
    }
    tq_port_write(bytes, 4);
}

__attribute__((noinline)) static void use_stack(uint32_t depth)
{
    volatile uint8_t frame[FRAME_BYTES];
    frame[0] = (uint8_t)depth;
    if (depth > 0u) {
        use_stack(depth - 1u);
    }
    frame[FRAME_BYTES - 1] = frame[0];
}

int main(void)
{
    tq_port_init();
    tq_port_stack_paint();
    tq_port_write((const uint8_t *)"boot", 4);
    send_number(initialized);
    send_number(zeroed);
    send_number(tq_port_clock_hz());
    initialized++;
    zeroed++;
    for (;;) {
        const int32_t byte = tq_port_read();
        if (byte < 0) {
            continue;
        }
        if (byte == 1) {
            send_number((uint32_t)tq_port_stack_used());
            use_stack(0u);
            send_number((uint32_t)tq_port_stack_used());
        } else if (byte == 2) {
            tq_port_reset();
        } else if (byte == 3) {
            use_stack(OVERFLOW_FRAMES);
        } else {
            const uint8_t answer = (uint8_t)byte;
            tq_port_write(&answer, 1);
        }
    }
}
