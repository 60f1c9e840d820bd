#include "wire.h"

/* One COBS block carries at most this many bytes; its code is then 0xFF and implies no zero. */
#define BLOCK_BYTES 254

uint32_t tq_wire_crc32(const uint8_t *bytes, int32_t count)
{
    /* table[i] = remainder of the four bits i: 64 bytes of flash instead of 1,024 */
    static const uint32_t table[16] = {
        0x00000000u, 0x1DB71064u, 0x3B6E20C8u, 0x26D930ACu, 0x76DC4190u, 0x6B6B51F4u,
        0x4DB26158u, 0x5005713Cu, 0xEDB88320u, 0xF00F9344u, 0xD6D6A3E8u, 0xCB61B38Cu,
        0x9B64C2B0u, 0x86D3D2D4u, 0xA00AE278u, 0xBDBDF21Cu,
    };
    uint32_t crc = 0xFFFFFFFFu;
    for (int32_t i = 0; i < count; i++) {
        crc ^= bytes[i];
        crc = table[crc & 15u] ^ (crc >> 4);
        crc = table[crc & 15u] ^ (crc >> 4);
    }
    return crc ^ 0xFFFFFFFFu;
}

uint32_t tq_wire_get_u32(const uint8_t *bytes)
{
    return (uint32_t)bytes[0] | (uint32_t)bytes[1] << 8 | (uint32_t)bytes[2] << 16 |
           (uint32_t)bytes[3] << 24;
}

void tq_wire_put_u32(uint8_t *bytes, uint32_t value)
{
    bytes[0] = (uint8_t)(value & 0xFFu);
    bytes[1] = (uint8_t)(value >> 8 & 0xFFu);
    bytes[2] = (uint8_t)(value >> 16 & 0xFFu);
    bytes[3] = (uint8_t)(value >> 24);
}

uint16_t tq_wire_sequence(const uint8_t *bytes)
{
    return (uint16_t)(bytes[2] | bytes[3] << 8);
}

void tq_wire_put_header(uint8_t *bytes, uint8_t kind, uint16_t sequence)
{
    bytes[0] = TQ_WIRE_VERSION;
    bytes[1] = kind;
    bytes[2] = (uint8_t)(sequence & 0xFFu);
    bytes[3] = (uint8_t)(sequence >> 8);
}

static void begin_frame(tq_wire_decoder *decoder)
{
    decoder->length = 0;
    decoder->code = 0;
    decoder->left = 0;
    decoder->overflow = 0;
    decoder->complete = 0;
}

void tq_wire_decoder_start(tq_wire_decoder *decoder, uint8_t *bytes, int32_t capacity)
{
    decoder->bytes = bytes;
    decoder->capacity = capacity;
    begin_frame(decoder);
}

static void append(tq_wire_decoder *decoder, uint8_t byte)
{
    if (decoder->length < decoder->capacity) {
        decoder->bytes[decoder->length] = byte;
        decoder->length++;
    } else {
        decoder->overflow = 1;
    }
}

static int32_t end_frame(tq_wire_decoder *decoder)
{
    const int32_t covered = decoder->length - TQ_WIRE_CRC_BYTES;
    decoder->complete = 1;
    if (decoder->code == 0) {
        return TQ_WIRE_NOTHING; /* two delimiters in a row */
    }
    if (decoder->overflow || decoder->left != 0 || covered < TQ_WIRE_HEADER_BYTES) {
        return TQ_WIRE_DAMAGED;
    }
    if (tq_wire_crc32(decoder->bytes, covered) != tq_wire_get_u32(decoder->bytes + covered)) {
        return TQ_WIRE_DAMAGED;
    }
    return TQ_WIRE_FRAME;
}

int32_t tq_wire_accept(tq_wire_decoder *decoder, uint8_t byte)
{
    if (decoder->complete) {
        begin_frame(decoder);
    }
    if (byte == 0) {
        return end_frame(decoder);
    }
    if (decoder->left != 0) {
        append(decoder, byte);
        decoder->left--;
        return TQ_WIRE_NOTHING;
    }
    /* A block starts. The block before stood for a zero unless it was full. */
    if (decoder->code != 0 && decoder->code != BLOCK_BYTES + 1) {
        append(decoder, 0);
    }
    decoder->code = byte;
    decoder->left = (uint8_t)(byte - 1);
    return TQ_WIRE_NOTHING;
}

/* Send one block: its code and the bytes up to the next zero. Returns their number, 0 .. 254. */
static int32_t send_block(const uint8_t *bytes, int32_t count, tq_wire_sink sink)
{
    uint8_t block[BLOCK_BYTES + 1];
    int32_t run = 0;
    while (run < count && run < BLOCK_BYTES && bytes[run] != 0) {
        block[run + 1] = bytes[run];
        run++;
    }
    block[0] = (uint8_t)(run + 1);
    sink(block, run + 1);
    return run;
}

void tq_wire_send(uint8_t *bytes, int32_t payload_bytes, tq_wire_sink sink)
{
    static const uint8_t delimiter[1] = {0};
    const int32_t covered = TQ_WIRE_HEADER_BYTES + payload_bytes;
    const int32_t count = covered + TQ_WIRE_CRC_BYTES;
    tq_wire_put_u32(bytes + covered, tq_wire_crc32(bytes, covered));

    sink(delimiter, 1);
    int32_t at = 0;
    int32_t zero = 1; /* the block before stood for a zero, so another block must follow */
    while (at < count || zero) {
        const int32_t run = send_block(bytes + at, count - at, sink);
        at += run;
        zero = run < BLOCK_BYTES && at < count;
        at += zero;
    }
    sink(delimiter, 1);
}
