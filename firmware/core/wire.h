/* Frames on the serial line.
 *
 *   frame  = version u8, kind u8, sequence u16, payload, crc u32        (little endian)
 *   crc    = CRC-32 (ISO-HDLC, the one of zlib) over version .. payload
 *   line   = 0x00, COBS(frame), 0x00
 *
 * The first delimiter ends whatever stands on the line before, such as a text that a board prints.
 * The header has four bytes, so a payload is 4-byte aligned when the frame buffer is.
 * The twin in Python is tinyq/targets/wire.py, equal byte for byte.
 * Reference: Cheshire and Baker 1999, "Consistent Overhead Byte Stuffing", IEEE/ACM ToN 7(2).
 */
#ifndef TQ_WIRE_H
#define TQ_WIRE_H

#include <stdint.h>

#define TQ_WIRE_VERSION 2

#define TQ_WIRE_HEADER_BYTES 4
#define TQ_WIRE_CRC_BYTES 4
#define TQ_WIRE_OVERHEAD_BYTES (TQ_WIRE_HEADER_BYTES + TQ_WIRE_CRC_BYTES)

/* Requests. The reply to kind k is kind k | TQ_WIRE_REPLY with the same sequence number. */
enum {
    TQ_WIRE_HELLO = 0x01,
    TQ_WIRE_ECHO = 0x02,
    TQ_WIRE_INFER = 0x03,
    TQ_WIRE_PROFILE = 0x04,
    TQ_WIRE_PAINT = 0x05,
    TQ_WIRE_STACK = 0x06,
    TQ_WIRE_RESET = 0x07,
    TQ_WIRE_START = 0x08, /* the next inference is the first step of a sequence */
    TQ_WIRE_REPLY = 0x80
};

/* Frames that a device sends unasked or instead of a reply. */
enum {
    TQ_WIRE_BOOT = 0xF0, /* the firmware has started, empty payload */
    TQ_WIRE_NAK = 0xF1,  /* a frame came damaged: send it again */
    TQ_WIRE_ERROR = 0xF2 /* the request is refused, payload: code u32 */
};

/* Codes of TQ_WIRE_ERROR. */
enum {
    TQ_WIRE_ERROR_VERSION = 1,  /* other protocol version; the header says the device's */
    TQ_WIRE_ERROR_KIND = 2,     /* unknown request */
    TQ_WIRE_ERROR_LENGTH = 3,   /* payload has the wrong size */
    TQ_WIRE_ERROR_CAPACITY = 4, /* the reply does not fit the device's buffer */
    TQ_WIRE_ERROR_UNGREETED = 5 /* no hello since the firmware started */
};

/* What tq_wire_accept made of a byte. */
enum { TQ_WIRE_NOTHING = 0, TQ_WIRE_FRAME = 1, TQ_WIRE_DAMAGED = 2 };

typedef struct {
    uint8_t *bytes;   /* [capacity] decoded frame: header, payload, crc */
    int32_t capacity; /* bytes, at least TQ_WIRE_OVERHEAD_BYTES */
    int32_t length;   /* bytes decoded, 0 .. capacity */
    uint8_t code;     /* length code of the current COBS block, 0 before the first block */
    uint8_t left;     /* data bytes that the current block still misses, 0 .. 254 */
    uint8_t overflow; /* 1 when the frame is longer than capacity */
    uint8_t complete; /* 1 when bytes holds a frame; the next byte starts another */
} tq_wire_decoder;

typedef void (*tq_wire_sink)(const uint8_t *bytes, int32_t count);

/* CRC-32 with the reflected polynomial 0xEDB88320, start and final value 0xFFFFFFFF.
 *
 * bytes  [count]
 */
uint32_t tq_wire_crc32(const uint8_t *bytes, int32_t count);

uint32_t tq_wire_get_u32(const uint8_t *bytes);
void tq_wire_put_u32(uint8_t *bytes, uint32_t value);

/* Sequence number of the frame whose header starts at bytes. */
uint16_t tq_wire_sequence(const uint8_t *bytes);

void tq_wire_put_header(uint8_t *bytes, uint8_t kind, uint16_t sequence);

/* Prepare a decoder that writes frames into bytes[capacity]. */
void tq_wire_decoder_start(tq_wire_decoder *decoder, uint8_t *bytes, int32_t capacity);

/* Take one byte of the line.
 *
 * Returns TQ_WIRE_FRAME when the byte ends a sound frame: bytes[0 .. length-1] is then valid until
 * the next call. Returns TQ_WIRE_DAMAGED when it ends anything else that is not empty. Writes never
 * go past capacity.
 */
int32_t tq_wire_accept(tq_wire_decoder *decoder, uint8_t byte);

/* Append the CRC to a frame and send it.
 *
 * bytes          [header + payload_bytes + crc]  header and payload are filled in
 * payload_bytes  0 .. capacity - TQ_WIRE_OVERHEAD_BYTES
 * sink           called with 1 .. 255 bytes at a time
 */
void tq_wire_send(uint8_t *bytes, int32_t payload_bytes, tq_wire_sink sink);

#endif
