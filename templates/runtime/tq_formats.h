/* Number formats: how codes lie in memory. Twin: tinyq/numerics/formats.py
 *
 *   b1   binary, 32 per word     bit 0 is +1, bit 1 is -1
 *   t2   ternary, 4 per byte     two's complement of -1, 0, +1
 *   s2   signed, 32 per 2 words  two's complement, bit j of each code in word j
 *   s3   signed, 32 per 3 words  the same
 *   s4   signed, 2 per byte      two's complement
 *   u2   unsigned, 32 per 2 words
 *   u4   unsigned, 2 per byte
 *   s8 s16 s32 u8 u16            C's own integers
 *
 * and of weights alone:
 *
 *   p4   2 per byte              bit 3 is the sign, 0 .. 7 below it mean 0, 1, 2, 4 .. 64
 *   a4   2 per byte              bit 3 is the sign, bit 2 adds 2 to the 0, 1, 4 or 8 below it
 *   c2   4 per byte              index into levels[4]
 *   c4   2 per byte              index into levels[16]
 *   n2   4 per byte              0, +p, -n: index into levels[3], which are these
 *   g2   4 per byte              0, 1, -1 times the scale of the group
 *   d2   32 per 2 words          two signs as in b1, times basis[2] of the output channel
 *   d3   32 per 3 words          three signs, times basis[3]
 *
 * A tensor is rows along its innermost axis. The first code of a row lies in the least significant
 * bits of its first word, and a row is padded with zero bits to a whole number of words.
 *
 *   tq_words_<format>(count)     elements of the array that holds a row of count codes
 *   tq_get_<format>(row, index)  the code at index; a table comes third
 *   tq_put_<format>(row, index, count, word, code)
 *
 * Put writes a row of count codes in the order index = 0 .. count - 1. Fields gather in word, which
 * is 0 at the start of a row and goes from each call to the next, and are stored when the word or
 * the row is full. So each word is written once, or one half of it after the other, with its
 * padding, after all codes that it held could be read: the row may overwrite an operand of the same
 * format.
 */
#ifndef TQ_FORMATS_H
#define TQ_FORMATS_H

#include <stdint.h>

/* Two's complement of the low bits of a word. */
static inline int32_t tq_sign_extend2(uint32_t word)
{
    return (int32_t)((word & 3u) ^ 2u) - 2;
}

static inline int32_t tq_sign_extend3(uint32_t word)
{
    return (int32_t)((word & 7u) ^ 4u) - 4;
}

static inline int32_t tq_sign_extend4(uint32_t word)
{
    return (int32_t)((word & 15u) ^ 8u) - 8;
}

/* Stored bits of a code, 4 or 2 to a byte. */
static inline uint32_t tq_field2(const uint8_t *row, int32_t index)
{
    const uint32_t place = (uint32_t)index;
    return ((uint32_t)row[place / 4] >> (place % 4 * 2)) & 3u;
}

static inline uint32_t tq_field4(const uint8_t *row, int32_t index)
{
    const uint32_t place = (uint32_t)index;
    return ((uint32_t)row[place / 2] >> (place % 2 * 4)) & 15u;
}

/* Stored bits of a code in planes, gathered from bit place of each of 2 or 3 words. */
static inline uint32_t tq_gather2(const uint32_t *planes, uint32_t place)
{
    return ((planes[0] >> place) & 1u) | ((planes[1] >> place) & 1u) << 1;
}

static inline uint32_t tq_gather3(const uint32_t *planes, uint32_t place)
{
    return tq_gather2(planes, place) | ((planes[2] >> place) & 1u) << 2;
}

/* b1 */
static inline int32_t tq_words_b1(int32_t count)
{
    return (count + 31) / 32;
}

static inline int32_t tq_get_b1(const uint32_t *row, int32_t index)
{
    const uint32_t place = (uint32_t)index;
    return 1 - 2 * (int32_t)((row[place / 32] >> (place % 32)) & 1u);
}

static inline uint32_t tq_put_b1(uint32_t *row, int32_t index, int32_t count, uint32_t word,
                                 int32_t code)
{
    const uint32_t place = (uint32_t)index;
    word |= (uint32_t)(code < 0) << (place % 32);
    if (place % 32 == 31 || index + 1 == count) {
        row[place / 32] = word;
        word = 0;
    }
    return word;
}

/* t2 */
static inline int32_t tq_words_t2(int32_t count)
{
    return (count + 3) / 4;
}

static inline int32_t tq_get_t2(const uint8_t *row, int32_t index)
{
    const uint32_t place = (uint32_t)index;
    return tq_sign_extend2((uint32_t)row[place / 4] >> (place % 4 * 2));
}

/* Store a field of 4 bits; see put above. */
static inline uint32_t tq_put_nibble(uint8_t *row, int32_t index, int32_t count, uint32_t word,
                                     int32_t code)
{
    const uint32_t place = (uint32_t)index;
    word |= ((uint32_t)code & 15u) << (place % 2 * 4);
    if (place % 2 == 1 || index + 1 == count) {
        row[place / 2] = (uint8_t)word;
        word = 0;
    }
    return word;
}

/* s4 */
static inline int32_t tq_words_s4(int32_t count)
{
    return (count + 1) / 2;
}

static inline int32_t tq_get_s4(const uint8_t *row, int32_t index)
{
    const uint32_t place = (uint32_t)index;
    return tq_sign_extend4((uint32_t)row[place / 2] >> (place % 2 * 4));
}

static inline uint32_t tq_put_s4(uint8_t *row, int32_t index, int32_t count, uint32_t word,
                                 int32_t code)
{
    return tq_put_nibble(row, index, count, word, code);
}

/* u4 */
static inline int32_t tq_words_u4(int32_t count)
{
    return (count + 1) / 2;
}

static inline int32_t tq_get_u4(const uint8_t *row, int32_t index)
{
    const uint32_t place = (uint32_t)index;
    return (int32_t)(((uint32_t)row[place / 2] >> (place % 2 * 4)) & 15u);
}

static inline uint32_t tq_put_u4(uint8_t *row, int32_t index, int32_t count, uint32_t word,
                                 int32_t code)
{
    return tq_put_nibble(row, index, count, word, code);
}

/* u2 */
static inline int32_t tq_words_u2(int32_t count)
{
    return (count + 31) / 32 * 2;
}

static inline int32_t tq_get_u2(const uint32_t *row, int32_t index)
{
    const uint32_t place = (uint32_t)index;
    return (int32_t)tq_gather2(row + place / 32 * 2, place % 32);
}

/* Sixteen codes gather in word, bit 0 of each in its low half and bit 1 in its high half. The first
 * sixteen leave the high halves of both words alone: they may be codes of an operand not yet read.
 */
static inline uint32_t tq_put_planes2(uint32_t *row, int32_t index, int32_t count, uint32_t word,
                                      int32_t code)
{
    const uint32_t place = (uint32_t)index;
    uint32_t *const planes = row + place / 32 * 2;
    word |= ((uint32_t)code & 1u) << (place % 16) | ((uint32_t)code >> 1 & 1u) << (place % 16 + 16);
    if (place % 16 != 15 && index + 1 != count) {
        return word;
    }
    if (place % 32 < 16) {
        const uint32_t kept = index + 1 == count ? 0 : 0xffff0000u;
        planes[0] = (planes[0] & kept) | (word & 0xffffu);
        planes[1] = (planes[1] & kept) | word >> 16;
    } else {
        planes[0] = (planes[0] & 0xffffu) | word << 16;
        planes[1] = (planes[1] & 0xffffu) | (word & 0xffff0000u);
    }
    return 0;
}

static inline uint32_t tq_put_u2(uint32_t *row, int32_t index, int32_t count, uint32_t word,
                                 int32_t code)
{
    return tq_put_planes2(row, index, count, word, code);
}

/* s2 */
static inline int32_t tq_words_s2(int32_t count)
{
    return (count + 31) / 32 * 2;
}

static inline int32_t tq_get_s2(const uint32_t *row, int32_t index)
{
    const uint32_t place = (uint32_t)index;
    return tq_sign_extend2(tq_gather2(row + place / 32 * 2, place % 32));
}

static inline uint32_t tq_put_s2(uint32_t *row, int32_t index, int32_t count, uint32_t word,
                                 int32_t code)
{
    return tq_put_planes2(row, index, count, word, code);
}

/* s3 */
static inline int32_t tq_words_s3(int32_t count)
{
    return (count + 31) / 32 * 3;
}

static inline int32_t tq_get_s3(const uint32_t *row, int32_t index)
{
    const uint32_t place = (uint32_t)index;
    return tq_sign_extend3(tq_gather3(row + place / 32 * 3, place % 32));
}

/* Eight codes gather in word, bit p of each in its byte p. The bytes behind them in the three words
 * stay as they are: they may be codes of an operand not yet read.
 */
static inline uint32_t tq_put_s3(uint32_t *row, int32_t index, int32_t count, uint32_t word,
                                 int32_t code)
{
    const uint32_t place = (uint32_t)index;
    const uint32_t bits = (uint32_t)code;
    const uint32_t at = place % 32 / 8 * 8;
    uint32_t *const planes = row + place / 32 * 3;
    word |= ((bits & 1u) | (bits >> 1 & 1u) << 8 | (bits >> 2 & 1u) << 16) << (place % 8);
    if (place % 8 != 7 && index + 1 != count) {
        return word;
    }
    {
        const uint32_t below = ((uint32_t)1 << at) - 1;
        const uint32_t kept = index + 1 == count ? below : ~((uint32_t)0xffu << at);
        planes[0] = (planes[0] & kept) | (word & 0xffu) << at;
        planes[1] = (planes[1] & kept) | (word >> 8 & 0xffu) << at;
        planes[2] = (planes[2] & kept) | (word >> 16 & 0xffu) << at;
    }
    return 0;
}

/* c2 */
static inline int32_t tq_words_c2(int32_t count)
{
    return (count + 3) / 4;
}

static inline int32_t tq_get_c2(const uint8_t *row, int32_t index, const int8_t *levels)
{
    return levels[tq_field2(row, index)];
}

/* c4 */
static inline int32_t tq_words_c4(int32_t count)
{
    return (count + 1) / 2;
}

static inline int32_t tq_get_c4(const uint8_t *row, int32_t index, const int8_t *levels)
{
    return levels[tq_field4(row, index)];
}

/* n2 */
static inline int32_t tq_words_n2(int32_t count)
{
    return (count + 3) / 4;
}

static inline int32_t tq_get_n2(const uint8_t *row, int32_t index, const int8_t *levels)
{
    return levels[tq_field2(row, index)];
}

/* g2, a code without its scale */
static inline int32_t tq_words_g2(int32_t count)
{
    return (count + 3) / 4;
}

static inline int32_t tq_get_g2(const uint8_t *row, int32_t index)
{
    const uint32_t field = tq_field2(row, index);
    return (int32_t)(field & 1u) - (int32_t)(field >> 1);
}

/* d2 */
static inline int32_t tq_words_d2(int32_t count)
{
    return (count + 31) / 32 * 2;
}

/* The number whose sign is the lowest bit. */
static inline int32_t tq_signed(uint32_t bits, int32_t number)
{
    return (bits & 1u) == 0 ? number : -number;
}

static inline int32_t tq_get_d2(const uint32_t *row, int32_t index, const int8_t *basis)
{
    const uint32_t place = (uint32_t)index;
    const uint32_t signs = tq_gather2(row + place / 32 * 2, place % 32);
    return tq_signed(signs, basis[0]) + tq_signed(signs >> 1, basis[1]);
}

/* d3 */
static inline int32_t tq_words_d3(int32_t count)
{
    return (count + 31) / 32 * 3;
}

static inline int32_t tq_get_d3(const uint32_t *row, int32_t index, const int8_t *basis)
{
    const uint32_t place = (uint32_t)index;
    const uint32_t signs = tq_gather3(row + place / 32 * 3, place % 32);
    return tq_signed(signs, basis[0]) + tq_signed(signs >> 1, basis[1]) +
           tq_signed(signs >> 2, basis[2]);
}

/* p4 */
static inline int32_t tq_words_p4(int32_t count)
{
    return (count + 1) / 2;
}

/* a4 */
static inline int32_t tq_words_a4(int32_t count)
{
    return (count + 1) / 2;
}

/* s8 */
static inline int32_t tq_words_s8(int32_t count)
{
    return count;
}

static inline int32_t tq_get_s8(const int8_t *row, int32_t index)
{
    return row[index];
}

static inline uint32_t tq_put_s8(int8_t *row, int32_t index, int32_t count, uint32_t word,
                                 int32_t code)
{
    (void)count;
    row[index] = (int8_t)code;
    return word;
}

/* s16 */
static inline int32_t tq_words_s16(int32_t count)
{
    return count;
}

static inline int32_t tq_get_s16(const int16_t *row, int32_t index)
{
    return row[index];
}

static inline uint32_t tq_put_s16(int16_t *row, int32_t index, int32_t count, uint32_t word,
                                  int32_t code)
{
    (void)count;
    row[index] = (int16_t)code;
    return word;
}

/* u8 */
static inline int32_t tq_words_u8(int32_t count)
{
    return count;
}

static inline int32_t tq_get_u8(const uint8_t *row, int32_t index)
{
    return row[index];
}

static inline uint32_t tq_put_u8(uint8_t *row, int32_t index, int32_t count, uint32_t word,
                                 int32_t code)
{
    (void)count;
    row[index] = (uint8_t)code;
    return word;
}

/* s32 */
static inline int32_t tq_words_s32(int32_t count)
{
    return count;
}

static inline int32_t tq_get_s32(const int32_t *row, int32_t index)
{
    return row[index];
}

static inline uint32_t tq_put_s32(int32_t *row, int32_t index, int32_t count, uint32_t word,
                                  int32_t code)
{
    (void)count;
    row[index] = code;
    return word;
}

#endif
