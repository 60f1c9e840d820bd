/* Dot products of two packed rows: the inside of convolution and dense layers.
 *
 *   tq_dot_<input>_<weight> = sum_k w[k] * (x[k] - x_zero)      for k = 0 .. count - 1
 *
 * x        row of the input, count codes
 * w        row of the weights, count codes
 * count    at least 0
 * x_zero   zero point of the input; binary inputs have none
 *
 * The sum stays within the result. Codes past count are zero bits in both rows. Packed codes are
 * taken four at a time up to whole, what is left one by one.
 */
#ifndef TQ_DOT_H
#define TQ_DOT_H

#include "tq_arith.h"
#include "tq_formats.h"

/* 16 bits to the even places of a word: bit i to bit 2 * i. */
static inline uint32_t tq_spread16(uint32_t bits)
{
    bits &= 0xffffu;
    bits = (bits | (bits << 8)) & 0x00ff00ffu;
    bits = (bits | (bits << 4)) & 0x0f0f0f0fu;
    bits = (bits | (bits << 2)) & 0x33333333u;
    return (bits | (bits << 1)) & 0x55555555u;
}

/* Up to 4 bytes as a word, least significant first; bytes past count are 0. */
static inline uint32_t tq_load_bytes(const uint8_t *bytes, int32_t count)
{
    uint32_t word = 0;
    for (int32_t i = 0; i < 4 && i < count; i++) {
        word |= (uint32_t)bytes[i] << (8 * i);
    }
    return word;
}

/* The sign that the lowest bit stands for. */
static inline int32_t tq_sign(uint32_t bits)
{
    return 1 - 2 * (int32_t)(bits & 1u);
}

/* Two signs differ where the bits differ, padding never does: count - 2 * popcount(x ^ w). */
static inline int32_t tq_dot_b1_b1(const uint32_t *x, const uint32_t *w, int32_t count)
{
    const int32_t words = tq_words_b1(count);
    int32_t differ = 0;
    for (int32_t i = 0; i < words; i++) {
        differ += tq_popcount32(x[i] ^ w[i]);
    }
    return count - 2 * differ;
}

/* 16 ternary weights are a word of 2-bit fields: bit 0 says not zero, bit 1 says negative. Spread
 * to fields, the signs of x tell which of the weights that are not zero count as -1.
 */
static inline int32_t tq_dot_b1_t2(const uint32_t *x, const uint8_t *w, int32_t count)
{
    const int32_t bytes = tq_words_t2(count);
    int32_t acc = 0;
    for (int32_t i = 0; i < bytes; i += 4) {
        const uint32_t fields = tq_load_bytes(w + i, bytes - i);
        const uint32_t signs = tq_spread16(x[i / 8] >> (i % 8 * 4));
        const uint32_t nonzero = fields & 0x55555555u;
        const uint32_t minus = nonzero & ((fields >> 1) ^ signs);
        acc += tq_popcount32(nonzero) - 2 * tq_popcount32(minus);
    }
    return acc;
}

static inline int32_t tq_dot_b1_s4(const uint32_t *x, const uint8_t *w, int32_t count)
{
    const int32_t whole = count & ~3;
    int32_t acc = 0;
    for (int32_t k = 0; k < whole; k += 4) {
        const uint32_t signs = x[k / 32] >> (k % 32);
        const uint32_t low = w[k / 2];
        const uint32_t high = w[k / 2 + 1];
        acc += tq_sign(signs) * tq_sign_extend4(low);
        acc += tq_sign(signs >> 1) * tq_sign_extend4(low >> 4);
        acc += tq_sign(signs >> 2) * tq_sign_extend4(high);
        acc += tq_sign(signs >> 3) * tq_sign_extend4(high >> 4);
    }
    for (int32_t k = whole; k < count; k++) {
        acc += tq_get_b1(x, k) * tq_get_s4(w, k);
    }
    return acc;
}

static inline int32_t tq_dot_b1_s8(const uint32_t *x, const int8_t *w, int32_t count)
{
    int32_t acc = 0;
    const int32_t whole = count & ~3;
    for (int32_t k = 0; k < whole; k += 4) {
        const uint32_t signs = x[k / 32] >> (k % 32);
        acc += tq_sign(signs) * w[k];
        acc += tq_sign(signs >> 1) * w[k + 1];
        acc += tq_sign(signs >> 2) * w[k + 2];
        acc += tq_sign(signs >> 3) * w[k + 3];
    }
    for (int32_t k = whole; k < count; k++) {
        acc += tq_get_b1(x, k) * w[k];
    }
    return acc;
}

static inline int32_t tq_dot_u4_b1(const uint8_t *x, const uint32_t *w, int32_t count,
                                   int32_t x_zero)
{
    int32_t acc = 0;
    const int32_t whole = count & ~3;
    for (int32_t k = 0; k < whole; k += 4) {
        const uint32_t signs = w[k / 32] >> (k % 32);
        const int32_t low = x[k / 2];
        const int32_t high = x[k / 2 + 1];
        acc += tq_sign(signs) * ((low & 15) - x_zero);
        acc += tq_sign(signs >> 1) * ((low >> 4) - x_zero);
        acc += tq_sign(signs >> 2) * ((high & 15) - x_zero);
        acc += tq_sign(signs >> 3) * ((high >> 4) - x_zero);
    }
    for (int32_t k = whole; k < count; k++) {
        acc += tq_get_b1(w, k) * (tq_get_u4(x, k) - x_zero);
    }
    return acc;
}

/* A byte of w holds 4 codes, for which x has 2 bytes. */
static inline int32_t tq_dot_u4_t2(const uint8_t *x, const uint8_t *w, int32_t count,
                                   int32_t x_zero)
{
    int32_t acc = 0;
    const int32_t whole = count & ~3;
    for (int32_t k = 0; k < whole; k += 4) {
        const uint32_t fields = w[k / 4];
        const int32_t low = x[k / 2];
        const int32_t high = x[k / 2 + 1];
        acc += tq_sign_extend2(fields) * ((low & 15) - x_zero);
        acc += tq_sign_extend2(fields >> 2) * ((low >> 4) - x_zero);
        acc += tq_sign_extend2(fields >> 4) * ((high & 15) - x_zero);
        acc += tq_sign_extend2(fields >> 6) * ((high >> 4) - x_zero);
    }
    for (int32_t k = whole; k < count; k++) {
        acc += tq_get_t2(w, k) * (tq_get_u4(x, k) - x_zero);
    }
    return acc;
}

/* A padding weight is 0, so the last byte needs no care. */
static inline int32_t tq_dot_u4_s4(const uint8_t *x, const uint8_t *w, int32_t count,
                                   int32_t x_zero)
{
    const int32_t bytes = tq_words_s4(count);
    int32_t acc = 0;
    for (int32_t i = 0; i < bytes; i++) {
        const int32_t codes = x[i];
        const uint32_t fields = w[i];
        acc += tq_sign_extend4(fields) * ((codes & 15) - x_zero);
        acc += tq_sign_extend4(fields >> 4) * ((codes >> 4) - x_zero);
    }
    return acc;
}

static inline int32_t tq_dot_u4_s8(const uint8_t *x, const int8_t *w, int32_t count, int32_t x_zero)
{
    const int32_t whole = count & ~3;
    int32_t acc = 0;
    for (int32_t k = 0; k < whole; k += 4) {
        const int32_t low = x[k / 2];
        const int32_t high = x[k / 2 + 1];
        acc += w[k] * ((low & 15) - x_zero);
        acc += w[k + 1] * ((low >> 4) - x_zero);
        acc += w[k + 2] * ((high & 15) - x_zero);
        acc += w[k + 3] * ((high >> 4) - x_zero);
    }
    for (int32_t k = whole; k < count; k++) {
        acc += w[k] * (tq_get_u4(x, k) - x_zero);
    }
    return acc;
}

static inline int32_t tq_dot_s8_b1(const int8_t *x, const uint32_t *w, int32_t count,
                                   int32_t x_zero)
{
    int32_t acc = 0;
    const int32_t whole = count & ~3;
    for (int32_t k = 0; k < whole; k += 4) {
        const uint32_t signs = w[k / 32] >> (k % 32);
        acc += tq_sign(signs) * (x[k] - x_zero);
        acc += tq_sign(signs >> 1) * (x[k + 1] - x_zero);
        acc += tq_sign(signs >> 2) * (x[k + 2] - x_zero);
        acc += tq_sign(signs >> 3) * (x[k + 3] - x_zero);
    }
    for (int32_t k = whole; k < count; k++) {
        acc += tq_get_b1(w, k) * (x[k] - x_zero);
    }
    return acc;
}

static inline int32_t tq_dot_s8_t2(const int8_t *x, const uint8_t *w, int32_t count, int32_t x_zero)
{
    int32_t acc = 0;
    const int32_t whole = count & ~3;
    for (int32_t k = 0; k < whole; k += 4) {
        const uint32_t fields = w[k / 4];
        acc += tq_sign_extend2(fields) * (x[k] - x_zero);
        acc += tq_sign_extend2(fields >> 2) * (x[k + 1] - x_zero);
        acc += tq_sign_extend2(fields >> 4) * (x[k + 2] - x_zero);
        acc += tq_sign_extend2(fields >> 6) * (x[k + 3] - x_zero);
    }
    for (int32_t k = whole; k < count; k++) {
        acc += tq_get_t2(w, k) * (x[k] - x_zero);
    }
    return acc;
}

static inline int32_t tq_dot_s8_s4(const int8_t *x, const uint8_t *w, int32_t count, int32_t x_zero)
{
    const int32_t whole = count & ~3;
    int32_t acc = 0;
    for (int32_t k = 0; k < whole; k += 4) {
        const uint32_t low = w[k / 2];
        const uint32_t high = w[k / 2 + 1];
        acc += tq_sign_extend4(low) * (x[k] - x_zero);
        acc += tq_sign_extend4(low >> 4) * (x[k + 1] - x_zero);
        acc += tq_sign_extend4(high) * (x[k + 2] - x_zero);
        acc += tq_sign_extend4(high >> 4) * (x[k + 3] - x_zero);
    }
    for (int32_t k = whole; k < count; k++) {
        acc += tq_get_s4(w, k) * (x[k] - x_zero);
    }
    return acc;
}

static inline int32_t tq_dot_s8_s8(const int8_t *x, const int8_t *w, int32_t count, int32_t x_zero)
{
    int32_t acc = 0;
    const int32_t whole = count & ~3;
    for (int32_t k = 0; k < whole; k += 4) {
        acc += w[k] * (x[k] - x_zero);
        acc += w[k + 1] * (x[k + 1] - x_zero);
        acc += w[k + 2] * (x[k + 2] - x_zero);
        acc += w[k + 3] * (x[k + 3] - x_zero);
    }
    for (int32_t k = whole; k < count; k++) {
        acc += w[k] * (x[k] - x_zero);
    }
    return acc;
}

/* 64 bits: 512 products of the largest codes leave int32. */
static inline int64_t tq_dot_s16_s8(const int16_t *x, const int8_t *w, int32_t count,
                                    int32_t x_zero)
{
    int64_t acc = 0;
    for (int32_t k = 0; k < count; k++) {
        acc += w[k] * (x[k] - x_zero);
    }
    return acc;
}

#endif
