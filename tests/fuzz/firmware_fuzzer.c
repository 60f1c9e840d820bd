/* The whole of firmware/core fed with bytes: main, decoder, handlers, a model behind them.
 *
 * Built with a fuzzing engine (clang -fsanitize=fuzzer), or with FUZZ_FILES and a main of its own that
 * runs the files it is given. An input whose first byte is odd is the line as it stands; of any other
 * the rest is a list of requests, framed soundly so that the fuzzer gets past the checksum:
 *
 *   mode u8, kind u8, sequence u16, length u16, payload
 *
 *   mode bit 0  any kind, not one of the first eight
 *        bit 1  another protocol version
 *        bit 2  a length of whole inputs
 *        bit 3  a damaged byte
 *
 * Every reply must be sound, and what is read and written must stay in its buffers (sanitizers).
 */
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>

#include "tq_model.h"
#include "tq_port.h"
#include "tq_profile.h"
#include "wire.h"

#define INPUT_BYTES 12
#define OUTPUT_BYTES 5
#define LAYERS 2
#define LINE_BYTES 65536
#define FRAME_BYTES 4096

int firmware_main(void);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const uint8_t *next_byte;
static size_t bytes_left;
static uint32_t clock_now;
static uint8_t replies[LINE_BYTES];
static size_t reply_count;
static jmp_buf line_ended;

static uint8_t steps; /* state, so that its reset is no function that nobody needs */

static void reset(void)
{
    steps = 0;
}

static void run(const void *input, void *output)
{
    const uint8_t *x = (const uint8_t *)input;
    uint8_t *y = (uint8_t *)output;
    for (int32_t layer = 0; layer <= LAYERS; layer++) {
        TQ_MARK(layer);
    }
    steps++;
    memset(y, x[0] ^ x[INPUT_BYTES - 1] ^ steps, OUTPUT_BYTES);
}

static const tq_model_port ports[] = {
    {"image", INPUT_BYTES},
    {"an_output_with_a_name_that_is_longer_than_the_reply_has_room_for", OUTPUT_BYTES},
};

const tq_model tq_model_instance = {
    "fuzz", {1}, INPUT_BYTES, OUTPUT_BYTES, 0, LAYERS, run, 1, 1, ports, 4, reset,
};

void tq_port_init(void)
{
}

int32_t tq_port_read(void)
{
    if (bytes_left == 0) {
        longjmp(line_ended, 1);
    }
    bytes_left--;
    return *next_byte++;
}

void tq_port_write(const uint8_t *bytes, int32_t count)
{
    for (int32_t i = 0; i < count && reply_count < sizeof replies; i++) {
        replies[reply_count++] = bytes[i];
    }
}

uint32_t tq_port_cycles(void)
{
    clock_now += 7;
    return clock_now;
}

uint32_t tq_port_clock_hz(void)
{
    return 1;
}

void tq_port_stack_paint(void)
{
}

int32_t tq_port_stack_used(void)
{
    return 5;
}

void tq_port_reset(void)
{
    longjmp(line_ended, 2);
}

static uint8_t *line;
static size_t line_count;

static void append(const uint8_t *bytes, int32_t count)
{
    memcpy(line + line_count, bytes, (size_t)count);
    line_count += (size_t)count;
}

/* Take one request of the list; returns the bytes used, 0 at its end. */
static size_t add_request(const uint8_t *data, size_t size)
{
    static uint8_t frame[FRAME_BYTES];
    if (size < 6 || line_count + 2 * FRAME_BYTES > LINE_BYTES) {
        return 0;
    }
    const uint8_t mode = data[0];
    size_t length = (data[4] | (size_t)data[5] << 8) % (FRAME_BYTES - TQ_WIRE_OVERHEAD_BYTES);
    if (mode & 4u) {
        length = length / INPUT_BYTES * INPUT_BYTES;
    }
    const size_t given = size - 6 < length ? size - 6 : length;
    frame[0] = (uint8_t)(mode & 2u ? data[1] : TQ_WIRE_VERSION);
    frame[1] = (uint8_t)(mode & 1u ? data[1] : data[1] & 7u);
    frame[2] = data[2];
    frame[3] = data[3];
    memset(frame + 4, mode, length);
    memcpy(frame + 4, data + 6, given);
    const size_t start = line_count;
    tq_wire_send(frame, (int32_t)length, append); /* writes the checksum as well */
    if (mode & 8u) {
        line[start + (line_count - start) / 2] ^= 0x40u;
    }
    return 6 + given;
}

static void check_replies(void)
{
    static uint8_t bytes[LINE_BYTES];
    tq_wire_decoder decoder;
    if (reply_count == sizeof replies) {
        return; /* the last one was cut here */
    }
    tq_wire_decoder_start(&decoder, bytes, (int32_t)sizeof bytes);
    for (size_t i = 0; i < reply_count; i++) {
        if (tq_wire_accept(&decoder, replies[i]) == TQ_WIRE_DAMAGED) {
            abort();
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0) {
        return 0;
    }
    line = malloc(LINE_BYTES);
    line_count = 0;
    reply_count = 0;
    if (line == NULL) {
        return 0;
    }
    if (data[0] & 1u) {
        line_count = size - 1 < LINE_BYTES ? size - 1 : LINE_BYTES;
        memcpy(line, data + 1, line_count);
    } else {
        size_t at = 1;
        size_t used;
        while ((used = add_request(data + at, size - at)) != 0) {
            at += used;
        }
    }
    /* A copy of exactly its size, so that a read behind it is seen. */
    uint8_t *const exact = malloc(line_count + 1);
    if (exact != NULL) {
        memcpy(exact, line, line_count);
        next_byte = exact;
        bytes_left = line_count;
        if (setjmp(line_ended) == 0) {
            (void)firmware_main();
        }
        check_replies();
    }
    free(exact);
    free(line);
    return 0;
}

#if defined(FUZZ_FILES)
#include <stdio.h>

/* Read inputs from standard input, each behind its size, u32 little endian. */
int main(void)
{
    static uint8_t input[LINE_BYTES];
    uint8_t head[4];
    while (fread(head, 1, sizeof head, stdin) == sizeof head) {
        const uint32_t size = tq_wire_get_u32(head);
        if (size > sizeof input || fread(input, 1, size, stdin) != size) {
            return 2;
        }
        (void)LLVMFuzzerTestOneInput(input, size);
    }
    return 0;
}
#endif
