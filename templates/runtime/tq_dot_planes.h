/* Dot products with weights that lie in bit planes: 32 codes to a group of words, of which word j
 * has bit j of each.
 *
 *   tq_dot_<input>_<weight> = sum_k w[k] * (x[k] - x_zero)      for k = 0 .. count - 1
 *
 * Arguments as in tq_dot.h.
 */
#ifndef TQ_DOT_PLANES_H
#define TQ_DOT_PLANES_H

#include "tq_dot.h"

/* Sum of the signs of x where plane has a bit: popcount(plane) - 2 * popcount(plane & x). */
static inline int32_t tq_sum_signs(uint32_t x, uint32_t plane)
{
    return tq_popcount32(plane) - 2 * tq_popcount32(plane & x);
}

/* The even bits of a word as 16 bits: the inverse of tq_spread16. */
static inline uint32_t tq_collect16(uint32_t bits)
{
    bits &= 0x55555555u;
    bits = (bits | (bits >> 1)) & 0x33333333u;
    bits = (bits | (bits >> 2)) & 0x0f0f0f0fu;
    bits = (bits | (bits >> 4)) & 0x00ff00ffu;
    return (bits | (bits >> 8)) & 0xffffu;
}

/* One bit of each of up to 32 fields of two bits, which are 8 bytes. */
static inline uint32_t tq_collect32(const uint8_t *fields, int32_t bytes, int32_t bit)
{
    const uint32_t low = tq_load_bytes(fields, bytes);
    const uint32_t high = bytes > 4 ? tq_load_bytes(fields + 4, bytes - 4) : 0;
    return tq_collect16(low >> bit) | tq_collect16(high >> bit) << 16;
}

static inline int32_t tq_dot_b1_s2(const uint32_t *x, const uint32_t *w, int32_t count)
{
    const int32_t words = tq_words_b1(count);
    int32_t acc = 0;
    for (int32_t i = 0; i < words; i++) {
        acc += tq_sum_signs(x[i], w[0]) - 2 * tq_sum_signs(x[i], w[1]);
        w += 2;
    }
    return acc;
}

static inline int32_t tq_dot_u4_s2(const uint8_t *x, const uint32_t *w, int32_t count,
                                   int32_t x_zero)
{
    int32_t acc = 0;
    for (int32_t k = 0; k < count; k++) {
        acc += tq_get_s2(w, k) * (tq_get_u4(x, k) - x_zero);
    }
    return acc;
}

static inline int32_t tq_dot_s8_s2(const int8_t *x, const uint32_t *w, int32_t count,
                                   int32_t x_zero)
{
    int32_t acc = 0;
    for (int32_t k = 0; k < count; k++) {
        acc += tq_get_s2(w, k) * (x[k] - x_zero);
    }
    return acc;
}

static inline int32_t tq_dot_b1_s3(const uint32_t *x, const uint32_t *w, int32_t count)
{
    const int32_t words = tq_words_b1(count);
    int32_t acc = 0;
    for (int32_t i = 0; i < words; i++) {
        acc +=
            tq_sum_signs(x[i], w[0]) + 2 * tq_sum_signs(x[i], w[1]) - 4 * tq_sum_signs(x[i], w[2]);
        w += 3;
    }
    return acc;
}

static inline int32_t tq_dot_u4_s3(const uint8_t *x, const uint32_t *w, int32_t count,
                                   int32_t x_zero)
{
    int32_t acc = 0;
    for (int32_t k = 0; k < count; k++) {
        acc += tq_get_s3(w, k) * (tq_get_u4(x, k) - x_zero);
    }
    return acc;
}

static inline int32_t tq_dot_s8_s3(const int8_t *x, const uint32_t *w, int32_t count,
                                   int32_t x_zero)
{
    int32_t acc = 0;
    for (int32_t k = 0; k < count; k++) {
        acc += tq_get_s3(w, k) * (x[k] - x_zero);
    }
    return acc;
}

/* Signs times the basis of the output channel: one multiplication for each plane. With binary
 * inputs a plane is count - 2 * popcount(x ^ w), as in tq_dot_b1_b1.
 */
static inline int32_t tq_dot_b1_d2(const uint32_t *x, const uint32_t *w, int32_t count,
                                   const int8_t *basis)
{
    const int32_t words = tq_words_b1(count);
    int32_t differ0 = 0;
    int32_t differ1 = 0;
    for (int32_t i = 0; i < words; i++) {
        differ0 += tq_popcount32(x[i] ^ w[0]);
        differ1 += tq_popcount32(x[i] ^ w[1]);
        w += 2;
    }
    return basis[0] * (count - 2 * differ0) + basis[1] * (count - 2 * differ1);
}

static inline int32_t tq_dot_u4_d2(const uint8_t *x, const uint32_t *w, int32_t count,
                                   int32_t x_zero, const int8_t *basis)
{
    int32_t sum0 = 0;
    int32_t sum1 = 0;
    for (int32_t k = 0; k < count; k++) {
        const uint32_t signs = tq_gather2(w + k / 32 * 2, (uint32_t)k % 32);
        const int32_t value = tq_get_u4(x, k) - x_zero;
        sum0 += tq_signed(signs, value);
        sum1 += tq_signed(signs >> 1, value);
    }
    return basis[0] * sum0 + basis[1] * sum1;
}

static inline int32_t tq_dot_s8_d2(const int8_t *x, const uint32_t *w, int32_t count,
                                   int32_t x_zero, const int8_t *basis)
{
    int32_t sum0 = 0;
    int32_t sum1 = 0;
    for (int32_t k = 0; k < count; k++) {
        const uint32_t signs = tq_gather2(w + k / 32 * 2, (uint32_t)k % 32);
        const int32_t value = x[k] - x_zero;
        sum0 += tq_signed(signs, value);
        sum1 += tq_signed(signs >> 1, value);
    }
    return basis[0] * sum0 + basis[1] * sum1;
}

static inline int32_t tq_dot_b1_d3(const uint32_t *x, const uint32_t *w, int32_t count,
                                   const int8_t *basis)
{
    const int32_t words = tq_words_b1(count);
    int32_t differ0 = 0;
    int32_t differ1 = 0;
    int32_t differ2 = 0;
    for (int32_t i = 0; i < words; i++) {
        differ0 += tq_popcount32(x[i] ^ w[0]);
        differ1 += tq_popcount32(x[i] ^ w[1]);
        differ2 += tq_popcount32(x[i] ^ w[2]);
        w += 3;
    }
    return basis[0] * (count - 2 * differ0) + basis[1] * (count - 2 * differ1) +
           basis[2] * (count - 2 * differ2);
}

static inline int32_t tq_dot_u4_d3(const uint8_t *x, const uint32_t *w, int32_t count,
                                   int32_t x_zero, const int8_t *basis)
{
    int32_t sum0 = 0;
    int32_t sum1 = 0;
    int32_t sum2 = 0;
    for (int32_t k = 0; k < count; k++) {
        const uint32_t signs = tq_gather3(w + k / 32 * 3, (uint32_t)k % 32);
        const int32_t value = tq_get_u4(x, k) - x_zero;
        sum0 += tq_signed(signs, value);
        sum1 += tq_signed(signs >> 1, value);
        sum2 += tq_signed(signs >> 2, value);
    }
    return basis[0] * sum0 + basis[1] * sum1 + basis[2] * sum2;
}

static inline int32_t tq_dot_s8_d3(const int8_t *x, const uint32_t *w, int32_t count,
                                   int32_t x_zero, const int8_t *basis)
{
    int32_t sum0 = 0;
    int32_t sum1 = 0;
    int32_t sum2 = 0;
    for (int32_t k = 0; k < count; k++) {
        const uint32_t signs = tq_gather3(w + k / 32 * 3, (uint32_t)k % 32);
        const int32_t value = x[k] - x_zero;
        sum0 += tq_signed(signs, value);
        sum1 += tq_signed(signs >> 1, value);
        sum2 += tq_signed(signs >> 2, value);
    }
    return basis[0] * sum0 + basis[1] * sum1 + basis[2] * sum2;
}

/* value times the code of an output channel, whose basis is at that place of the table. */
static inline int32_t tq_times_d2(int32_t value, const uint32_t *row, int32_t channel,
                                  const int8_t *basis)
{
    return tq_get_d2(row, channel, basis + 2 * channel) * value;
}

static inline int32_t tq_times_d3(int32_t value, const uint32_t *row, int32_t channel,
                                  const int8_t *basis)
{
    return tq_get_d3(row, channel, basis + 3 * channel) * value;
}

#endif
