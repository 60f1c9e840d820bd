/* firmware/core/wire.c behind a pipe: what it writes past its buffers ends this program, not the tests.
 *
 *   request  what u8, size u32, content        reply  size u32, content
 *
 *   'c'  capacity u32                          nothing
 *   'e'  kind u8, sequence u16, payload        the line
 *   'd'  a line                                of each frame 1, its size u32 and bytes; 2 if damaged
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "wire.h"

static uint8_t *reply;
static size_t reply_count;

static void append(const uint8_t *bytes, int32_t count)
{
    uint8_t *const longer = realloc(reply, reply_count + (size_t)count + 1);
    if (longer == NULL) {
        exit(3);
    }
    reply = longer;
    memcpy(reply + reply_count, bytes, (size_t)count);
    reply_count += (size_t)count;
}

static void encode(const uint8_t *content, size_t size)
{
    uint8_t *const frame = malloc(size - 3 + TQ_WIRE_OVERHEAD_BYTES);
    if (frame == NULL) {
        exit(3);
    }
    tq_wire_put_header(frame, content[0], (uint16_t)(content[1] | content[2] << 8));
    memcpy(frame + TQ_WIRE_HEADER_BYTES, content + 3, size - 3);
    tq_wire_send(frame, (int32_t)(size - 3), append);
    free(frame);
}

static void decode(const uint8_t *content, size_t size, int32_t capacity)
{
    uint8_t *const bytes = malloc((size_t)capacity); /* exactly: the next byte is not its own */
    tq_wire_decoder decoder;
    if (bytes == NULL) {
        exit(3);
    }
    tq_wire_decoder_start(&decoder, bytes, capacity);
    for (size_t i = 0; i < size; i++) {
        const int32_t event = tq_wire_accept(&decoder, content[i]);
        uint8_t head[5] = {(uint8_t)event, 0, 0, 0, 0};
        if (event == TQ_WIRE_FRAME) {
            tq_wire_put_u32(head + 1, (uint32_t)decoder.length);
            append(head, 5);
            append(bytes, decoder.length);
        } else if (event == TQ_WIRE_DAMAGED) {
            append(head, 1);
        }
    }
    free(bytes);
}

int main(void)
{
    int32_t capacity = TQ_WIRE_OVERHEAD_BYTES;
    uint8_t head[5];
    while (fread(head, 1, sizeof head, stdin) == sizeof head) {
        const size_t size = tq_wire_get_u32(head + 1);
        uint8_t *const content = malloc(size + 1);
        if (content == NULL || fread(content, 1, size, stdin) != size) {
            return 3;
        }
        reply_count = 0;
        if (head[0] == 'c') {
            capacity = (int32_t)tq_wire_get_u32(content);
        } else if (head[0] == 'e') {
            encode(content, size);
        } else {
            decode(content, size, capacity);
        }
        uint8_t count[4];
        tq_wire_put_u32(count, (uint32_t)reply_count);
        fwrite(count, 1, sizeof count, stdout);
        if (reply_count > 0) {
            fwrite(reply, 1, reply_count, stdout);
        }
        fflush(stdout);
        free(content);
    }
    free(reply);
    return 0;
}
