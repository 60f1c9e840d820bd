/* The firmware: answer frames on the serial line, one request at a time.
 *
 * Every request but hello is run once per sequence number. When the same number comes again, its
 * reply got lost, and the reply that still lies in the buffer is sent again. After a start the
 * firmware refuses everything until it has been greeted, so a host notices a reset even when it
 * missed the boot frame.
 */
#include "tq_build.h"
#include "tq_model.h"
#include "tq_port.h"
#include "tq_profile.h"
#include "wire.h"

/* The build gives the payload capacities: tinyq.targets.wire.payload_bytes. */
#ifndef TQ_PAYLOAD_BYTES
#define TQ_PAYLOAD_BYTES 1024
#endif
#ifndef TQ_REPLY_BYTES
#define TQ_REPLY_BYTES TQ_PAYLOAD_BYTES
#endif

/* A system with a main of its own calls the firmware by another name. */
#ifndef TQ_MAIN
#define TQ_MAIN main
#endif

#define NAME_BYTES 64
#define HELLO_FIXED_BYTES 100
#define HELLO_BYTES (HELLO_FIXED_BYTES + NAME_BYTES)
#define FLAG_CYCLE_COUNTER 1u
#define FLAG_STATE 2u

typedef char reply_buffer_holds_hello[TQ_REPLY_BYTES >= HELLO_BYTES ? 1 : -1];
typedef char
    payloads_are_whole_words[TQ_PAYLOAD_BYTES % 4 == 0 && TQ_REPLY_BYTES % 4 == 0 ? 1 : -1];

#define REQUEST_FRAME_BYTES (TQ_PAYLOAD_BYTES + TQ_WIRE_OVERHEAD_BYTES)
#define REPLY_FRAME_BYTES (TQ_REPLY_BYTES + TQ_WIRE_OVERHEAD_BYTES)

/* Words, so that the payloads after the 4-byte header are aligned. */
static uint32_t request_words[REQUEST_FRAME_BYTES / 4];
static uint32_t reply_words[REPLY_FRAME_BYTES / 4];

/* Read from the image, to know the device by. */
extern const uint8_t tq_firmware_digest[32];
const uint8_t tq_firmware_digest[32] = {TQ_FIRMWARE_DIGEST};

typedef struct {
    uint8_t greeted;
    uint8_t kind;
    uint16_t sequence;
    int32_t reply_bytes; /* payload bytes of the reply in reply_words */
} session_state;

static session_state session;

/* A handler fills the reply payload and returns its size in bytes, or minus an error code. */
typedef int32_t (*request_handler)(const uint8_t *payload, int32_t payload_bytes, uint32_t *reply);

static void copy_bytes(uint8_t *to, const uint8_t *from, int32_t count)
{
    for (int32_t i = 0; i < count; i++) {
        to[i] = from[i];
    }
}

/* Bytes from one tensor to the next in a batch: rounded up to whole words. */
static int32_t stride(int32_t bytes)
{
    return (bytes + 3) / 4 * 4;
}

/* A counter that is a clock times a factor stands still between two reads. */
static uint32_t find_flags(void)
{
    const uint32_t state = tq_model_instance.reset != 0 ? FLAG_STATE : 0u;
    const uint32_t first = tq_port_cycles();
    for (int32_t i = 0; i < 100; i++) {
        if (tq_port_cycles() != first) {
            return state | FLAG_CYCLE_COUNTER;
        }
    }
    return state;
}

static int32_t count_characters(const char *text)
{
    int32_t count = 0;
    while (text[count] != 0) {
        count++;
    }
    return count;
}

/* Write size and name of each input and output, where there are several, from to[at] on. Returns
 * where they end, or minus an error code. */
static int32_t put_ports(uint8_t *to, int32_t at)
{
    const tq_model *model = &tq_model_instance;
    for (int32_t i = 0; i < model->inputs + model->outputs; i++) {
        const tq_model_port *port = &model->ports[i];
        const int32_t characters = count_characters(port->name) + 1; /* the zero byte, too */
        if (characters > TQ_REPLY_BYTES - at - 4) {
            return -TQ_WIRE_ERROR_CAPACITY;
        }
        tq_wire_put_u32(to + at, (uint32_t)port->bytes);
        copy_bytes(to + at + 4, (const uint8_t *)port->name, characters);
        at += 4 + characters;
    }
    return at;
}

/* reply  clock_hz, flags, capacities of request and reply, input_bytes, output_bytes, arena_bytes,
 *        layers u32[8], digests of model and firmware u8[64], inputs, outputs, characters of the
 *        name, 0 u8[4], name; then for each input and output, where there are several: bytes u32,
 *        its name, 0
 */
static int32_t answer_hello(const uint8_t *payload, int32_t payload_bytes, uint32_t *reply)
{
    const tq_model *model = &tq_model_instance;
    uint8_t *to = (uint8_t *)reply;
    int32_t name_bytes = count_characters(model->name);
    (void)payload;
    if (payload_bytes != 0) {
        return -TQ_WIRE_ERROR_LENGTH;
    }
    if (name_bytes > NAME_BYTES) {
        name_bytes = NAME_BYTES;
    }
    tq_wire_put_u32(to, tq_port_clock_hz());
    tq_wire_put_u32(to + 4, find_flags());
    tq_wire_put_u32(to + 8, TQ_PAYLOAD_BYTES);
    tq_wire_put_u32(to + 12, TQ_REPLY_BYTES);
    tq_wire_put_u32(to + 16, (uint32_t)model->input_bytes);
    tq_wire_put_u32(to + 20, (uint32_t)model->output_bytes);
    tq_wire_put_u32(to + 24, (uint32_t)model->arena_bytes);
    tq_wire_put_u32(to + 28, (uint32_t)model->layers);
    copy_bytes(to + 32, model->digest, 32);
    copy_bytes(to + 64, tq_firmware_digest, 32);
    to[96] = (uint8_t)model->inputs;
    to[97] = (uint8_t)model->outputs;
    to[98] = (uint8_t)name_bytes;
    to[99] = 0;
    copy_bytes(to + HELLO_FIXED_BYTES, (const uint8_t *)model->name, name_bytes);
    session.greeted = 1;
    return put_ports(to, HELLO_FIXED_BYTES + name_bytes);
}

static int32_t answer_echo(const uint8_t *payload, int32_t payload_bytes, uint32_t *reply)
{
    if (payload_bytes > TQ_REPLY_BYTES) {
        return -TQ_WIRE_ERROR_CAPACITY;
    }
    copy_bytes((uint8_t *)reply, payload, payload_bytes);
    return payload_bytes;
}

/* Clear the bytes that fill the last word of a tensor. Returns where the next one begins. */
static int32_t fill_word(uint8_t *output, int32_t bytes)
{
    for (int32_t i = bytes; i < stride(bytes); i++) {
        output[i] = 0;
    }
    return stride(bytes);
}

/* Run the model on the inputs of a sample; the bytes that fill an output's last word are 0. */
static void infer_one(const uint8_t *input, uint8_t *output)
{
    const tq_model *model = &tq_model_instance;
    tq_profile_run(input, output);
    if (model->outputs == 0) {
        fill_word(output, model->output_bytes);
    }
    for (int32_t i = 0; i < model->outputs; i++) {
        output += fill_word(output, model->ports[model->inputs + i].bytes);
    }
}

/* payload  [n][stride(input_bytes)]  ->  reply  [n][stride(output_bytes)],  n >= 1
 *
 * The samples are the next steps of one sequence where the model keeps state. */
static int32_t answer_infer(const uint8_t *payload, int32_t payload_bytes, uint32_t *reply)
{
    const int32_t input_stride = stride(tq_model_instance.input_bytes);
    const int32_t output_stride = stride(tq_model_instance.output_bytes);
    const int32_t count = payload_bytes / input_stride;
    uint8_t *output = (uint8_t *)reply;
    if (count < 1 || payload_bytes != count * input_stride) {
        return -TQ_WIRE_ERROR_LENGTH;
    }
    if (count > TQ_REPLY_BYTES / output_stride) {
        return -TQ_WIRE_ERROR_CAPACITY;
    }
    for (int32_t i = 0; i < count; i++) {
        infer_one(payload + i * input_stride, output + i * output_stride);
    }
    return count * output_stride;
}

/* payload  [stride(input_bytes)]
 * reply    mark_cycles u32, stamps u32[layers + 1], output [stride(output_bytes)]
 */
static int32_t answer_profile(const uint8_t *payload, int32_t payload_bytes, uint32_t *reply)
{
    const int32_t layers = tq_model_instance.layers;
    const int32_t output_stride = stride(tq_model_instance.output_bytes);
    uint32_t *const stamps = reply + 1;
    if (payload_bytes != stride(tq_model_instance.input_bytes)) {
        return -TQ_WIRE_ERROR_LENGTH;
    }
    if (layers + 2 > (TQ_REPLY_BYTES - output_stride) / 4) {
        return -TQ_WIRE_ERROR_CAPACITY;
    }
    const uint32_t mark_cycles = tq_profile_mark_cycles();
    tq_profile_begin(stamps, layers + 1);
    infer_one(payload, (uint8_t *)(stamps + layers + 1));
    tq_profile_end();

    tq_wire_put_u32((uint8_t *)reply, mark_cycles);
    for (int32_t i = 0; i <= layers; i++) {
        tq_wire_put_u32((uint8_t *)(stamps + i), stamps[i]);
    }
    return 4 * (layers + 2) + output_stride;
}

/* Begin a sequence; nothing to do for a model that keeps no state. */
static int32_t answer_start(const uint8_t *payload, int32_t payload_bytes, uint32_t *reply)
{
    (void)payload;
    (void)reply;
    if (payload_bytes != 0) {
        return -TQ_WIRE_ERROR_LENGTH;
    }
    if (tq_model_instance.reset != 0) {
        tq_model_instance.reset();
    }
    return 0;
}

static int32_t answer_paint(const uint8_t *payload, int32_t payload_bytes, uint32_t *reply)
{
    (void)payload;
    (void)reply;
    if (payload_bytes != 0) {
        return -TQ_WIRE_ERROR_LENGTH;
    }
    tq_port_stack_paint();
    return 0;
}

static int32_t answer_stack(const uint8_t *payload, int32_t payload_bytes, uint32_t *reply)
{
    (void)payload;
    if (payload_bytes != 0) {
        return -TQ_WIRE_ERROR_LENGTH;
    }
    tq_wire_put_u32((uint8_t *)reply, (uint32_t)tq_port_stack_used());
    return 4;
}

/* The reset itself follows when the reply is out. */
static int32_t answer_reset(const uint8_t *payload, int32_t payload_bytes, uint32_t *reply)
{
    (void)payload;
    (void)reply;
    return payload_bytes == 0 ? 0 : -TQ_WIRE_ERROR_LENGTH;
}

static request_handler find_handler(uint8_t kind)
{
    static const request_handler handlers[] = {
        [TQ_WIRE_HELLO] = answer_hello, [TQ_WIRE_ECHO] = answer_echo,
        [TQ_WIRE_INFER] = answer_infer, [TQ_WIRE_PROFILE] = answer_profile,
        [TQ_WIRE_PAINT] = answer_paint, [TQ_WIRE_STACK] = answer_stack,
        [TQ_WIRE_RESET] = answer_reset, [TQ_WIRE_START] = answer_start,
    };
    return kind < sizeof handlers / sizeof handlers[0] ? handlers[kind] : 0;
}

/* Send a frame beside the reply buffer, whose content must stay for a repeated request. */
static void send_notice(uint8_t kind, uint16_t sequence, uint32_t code, int32_t payload_bytes)
{
    uint32_t words[(TQ_WIRE_OVERHEAD_BYTES + 4) / 4];
    uint8_t *bytes = (uint8_t *)words;
    tq_wire_put_header(bytes, kind, sequence);
    tq_wire_put_u32(bytes + TQ_WIRE_HEADER_BYTES, code);
    tq_wire_send(bytes, payload_bytes, tq_port_write);
}

static void send_error(uint16_t sequence, int32_t code)
{
    send_notice(TQ_WIRE_ERROR, sequence, (uint32_t)code, 4);
}

static void send_reply(void)
{
    uint8_t *bytes = (uint8_t *)reply_words;
    tq_wire_put_header(bytes, (uint8_t)(session.kind | TQ_WIRE_REPLY), session.sequence);
    tq_wire_send(bytes, session.reply_bytes, tq_port_write);
}

static void run_request(uint8_t kind, uint16_t sequence, int32_t payload_bytes)
{
    const uint8_t *payload = (const uint8_t *)request_words + TQ_WIRE_HEADER_BYTES;
    const request_handler handler = find_handler(kind);
    const int32_t reply_bytes =
        handler != 0 ? handler(payload, payload_bytes, reply_words + 1) : -TQ_WIRE_ERROR_KIND;
    if (reply_bytes < 0) {
        session.kind = 0; /* the buffer no longer holds the reply of the last request */
        send_error(sequence, -reply_bytes);
        return;
    }
    session.kind = kind;
    session.sequence = sequence;
    session.reply_bytes = reply_bytes;
    send_reply();
    if (kind == TQ_WIRE_RESET) {
        tq_port_reset();
    }
}

static void answer_frame(int32_t frame_bytes)
{
    const uint8_t *bytes = (const uint8_t *)request_words;
    const uint8_t kind = bytes[1];
    const uint16_t sequence = tq_wire_sequence(bytes);
    if (bytes[0] != TQ_WIRE_VERSION) {
        send_error(sequence, TQ_WIRE_ERROR_VERSION);
    } else if (kind == TQ_WIRE_HELLO) {
        run_request(kind, sequence, frame_bytes - TQ_WIRE_OVERHEAD_BYTES);
    } else if (!session.greeted) {
        send_error(sequence, TQ_WIRE_ERROR_UNGREETED);
    } else if (kind == session.kind && sequence == session.sequence) {
        send_reply();
    } else {
        run_request(kind, sequence, frame_bytes - TQ_WIRE_OVERHEAD_BYTES);
    }
}

/* Wait some 300 to 500 cycles before the next look at an idle line, on a core of 8 bits as of 32: less
 * than the time of a byte at 115200 baud and 8 MHz or at 921600 baud and 168 MHz. An emulator reads
 * the line meanwhile; without the pause, the polls keep it from doing so and the line is five times
 * slower.
 */
static void pause(void)
{
    for (volatile uint8_t i = 0; i < 60; i++) {
    }
}

int TQ_MAIN(void);

int TQ_MAIN(void)
{
    tq_wire_decoder decoder;
    tq_port_init();
    tq_port_stack_paint();
    tq_wire_decoder_start(&decoder, (uint8_t *)request_words, REQUEST_FRAME_BYTES);
    send_notice(TQ_WIRE_BOOT, 0, 0, 0);
    for (;;) {
        const int32_t byte = tq_port_read();
        if (byte < 0) {
            pause();
            continue;
        }
        switch (tq_wire_accept(&decoder, (uint8_t)byte)) {
        case TQ_WIRE_FRAME:
            answer_frame(decoder.length);
            break;
        case TQ_WIRE_DAMAGED:
            send_notice(TQ_WIRE_NAK, 0, 0, 0);
            break;
        default:
            break;
        }
    }
}
