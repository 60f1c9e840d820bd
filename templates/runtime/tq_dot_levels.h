/* Dot products with weights that are powers of two, sums of them, or levels of a table.
 *
 *   tq_dot_<input>_<weight> = sum_k w[k] * (x[k] - x_zero)      for k = 0 .. count - 1
 *
 * Arguments as in tq_dot.h; levels are the codes that a field of the weights means.
 */
#ifndef TQ_DOT_LEVELS_H
#define TQ_DOT_LEVELS_H

#include "tq_dot.h"

/* value * 2^exponent; the shift of a negative number is one of its bits. */
static inline int32_t tq_times_power(int32_t value, uint32_t exponent)
{
    return (int32_t)((uint32_t)value << exponent);
}

/* value times a p4 code: one shift, and a change of sign. */
static inline int32_t tq_shift_p4(int32_t value, uint32_t field)
{
    const uint32_t exponent = field & 7u;
    const int32_t product = exponent == 0 ? 0 : tq_times_power(value, exponent - 1);
    return (field & 8u) == 0 ? product : -product;
}

/* value times an a4 code: the sum of two shifts, and a change of sign. Fields 1, 2, 3 of the first
 * term shift by 0, 2, 3.
 */
static inline int32_t tq_shift_a4(int32_t value, uint32_t field)
{
    const uint32_t first = field & 3u;
    int32_t product = first == 0 ? 0 : tq_times_power(value, first - (first == 1));
    product += (field & 4u) == 0 ? 0 : tq_times_power(value, 1);
    return (field & 8u) == 0 ? product : -product;
}

/* value times the code at index of a row of weights. */
static inline int32_t tq_times_p4(int32_t value, const uint8_t *row, int32_t index)
{
    return tq_shift_p4(value, tq_field4(row, index));
}

static inline int32_t tq_times_a4(int32_t value, const uint8_t *row, int32_t index)
{
    return tq_shift_a4(value, tq_field4(row, index));
}

static inline int32_t tq_times_c2(int32_t value, const uint8_t *row, int32_t index,
                                  const int8_t *levels)
{
    return tq_get_c2(row, index, levels) * value;
}

static inline int32_t tq_times_c4(int32_t value, const uint8_t *row, int32_t index,
                                  const int8_t *levels)
{
    return tq_get_c4(row, index, levels) * value;
}

static inline int32_t tq_times_n2(int32_t value, const uint8_t *row, int32_t index,
                                  const int8_t *levels)
{
    return tq_get_n2(row, index, levels) * value;
}

static inline int32_t tq_dot_b1_p4(const uint32_t *x, const uint8_t *w, int32_t count)
{
    int32_t acc = 0;
    for (int32_t k = 0; k < count; k++) {
        acc += tq_shift_p4(tq_get_b1(x, k), tq_field4(w, k));
    }
    return acc;
}

static inline int32_t tq_dot_u4_p4(const uint8_t *x, const uint8_t *w, int32_t count,
                                   int32_t x_zero)
{
    const int32_t bytes = tq_words_p4(count);
    int32_t acc = 0;
    for (int32_t i = 0; i < bytes; i++) {
        const int32_t codes = x[i];
        const uint32_t fields = w[i];
        acc += tq_shift_p4((codes & 15) - x_zero, fields);
        acc += tq_shift_p4((codes >> 4) - x_zero, fields >> 4);
    }
    return acc;
}

static inline int32_t tq_dot_s8_p4(const int8_t *x, const uint8_t *w, int32_t count, int32_t x_zero)
{
    int32_t acc = 0;
    for (int32_t k = 0; k < count; k++) {
        acc += tq_shift_p4(x[k] - x_zero, tq_field4(w, k));
    }
    return acc;
}

static inline int32_t tq_dot_b1_a4(const uint32_t *x, const uint8_t *w, int32_t count)
{
    int32_t acc = 0;
    for (int32_t k = 0; k < count; k++) {
        acc += tq_shift_a4(tq_get_b1(x, k), tq_field4(w, k));
    }
    return acc;
}

static inline int32_t tq_dot_u4_a4(const uint8_t *x, const uint8_t *w, int32_t count,
                                   int32_t x_zero)
{
    const int32_t bytes = tq_words_a4(count);
    int32_t acc = 0;
    for (int32_t i = 0; i < bytes; i++) {
        const int32_t codes = x[i];
        const uint32_t fields = w[i];
        acc += tq_shift_a4((codes & 15) - x_zero, fields);
        acc += tq_shift_a4((codes >> 4) - x_zero, fields >> 4);
    }
    return acc;
}

static inline int32_t tq_dot_s8_a4(const int8_t *x, const uint8_t *w, int32_t count, int32_t x_zero)
{
    int32_t acc = 0;
    for (int32_t k = 0; k < count; k++) {
        acc += tq_shift_a4(x[k] - x_zero, tq_field4(w, k));
    }
    return acc;
}

static inline int32_t tq_dot_b1_c2(const uint32_t *x, const uint8_t *w, int32_t count,
                                   const int8_t *levels)
{
    int32_t acc = 0;
    for (int32_t k = 0; k < count; k++) {
        acc += tq_get_c2(w, k, levels) * tq_get_b1(x, k);
    }
    return acc;
}

static inline int32_t tq_dot_u4_c2(const uint8_t *x, const uint8_t *w, int32_t count,
                                   int32_t x_zero, const int8_t *levels)
{
    int32_t acc = 0;
    for (int32_t k = 0; k < count; k++) {
        acc += tq_get_c2(w, k, levels) * (tq_get_u4(x, k) - x_zero);
    }
    return acc;
}

static inline int32_t tq_dot_s8_c2(const int8_t *x, const uint8_t *w, int32_t count, int32_t x_zero,
                                   const int8_t *levels)
{
    int32_t acc = 0;
    for (int32_t k = 0; k < count; k++) {
        acc += tq_get_c2(w, k, levels) * (x[k] - x_zero);
    }
    return acc;
}

static inline int32_t tq_dot_b1_c4(const uint32_t *x, const uint8_t *w, int32_t count,
                                   const int8_t *levels)
{
    int32_t acc = 0;
    for (int32_t k = 0; k < count; k++) {
        acc += tq_get_c4(w, k, levels) * tq_get_b1(x, k);
    }
    return acc;
}

static inline int32_t tq_dot_u4_c4(const uint8_t *x, const uint8_t *w, int32_t count,
                                   int32_t x_zero, const int8_t *levels)
{
    int32_t acc = 0;
    for (int32_t k = 0; k < count; k++) {
        acc += tq_get_c4(w, k, levels) * (tq_get_u4(x, k) - x_zero);
    }
    return acc;
}

static inline int32_t tq_dot_s8_c4(const int8_t *x, const uint8_t *w, int32_t count, int32_t x_zero,
                                   const int8_t *levels)
{
    int32_t acc = 0;
    for (int32_t k = 0; k < count; k++) {
        acc += tq_get_c4(w, k, levels) * (x[k] - x_zero);
    }
    return acc;
}

/* 16 weights of two magnitudes as in tq_dot_b1_t2: signs of x are counted for both kinds apart. */
static inline int32_t tq_dot_b1_n2(const uint32_t *x, const uint8_t *w, int32_t count,
                                   const int8_t *levels)
{
    const int32_t bytes = tq_words_n2(count);
    int32_t plus = 0;
    int32_t minus = 0;
    for (int32_t i = 0; i < bytes; i += 4) {
        const uint32_t fields = tq_load_bytes(w + i, bytes - i);
        const uint32_t signs = tq_spread16(x[i / 8] >> (i % 8 * 4));
        const uint32_t positive = fields & 0x55555555u;
        const uint32_t negative = (fields >> 1) & 0x55555555u;
        plus += tq_popcount32(positive) - 2 * tq_popcount32(positive & signs);
        minus += tq_popcount32(negative) - 2 * tq_popcount32(negative & signs);
    }
    return levels[1] * plus + levels[2] * minus;
}

/* value where the lowest bit is set, else 0. */
static inline int32_t tq_choose(uint32_t bits, int32_t value)
{
    return (bits & 1u) == 0 ? 0 : value;
}

static inline int32_t tq_dot_u4_n2(const uint8_t *x, const uint8_t *w, int32_t count,
                                   int32_t x_zero, const int8_t *levels)
{
    int32_t plus = 0;
    int32_t minus = 0;
    for (int32_t k = 0; k < count; k++) {
        const uint32_t field = tq_field2(w, k);
        const int32_t value = tq_get_u4(x, k) - x_zero;
        plus += tq_choose(field, value);
        minus += tq_choose(field >> 1, value);
    }
    return levels[1] * plus + levels[2] * minus;
}

static inline int32_t tq_dot_s8_n2(const int8_t *x, const uint8_t *w, int32_t count, int32_t x_zero,
                                   const int8_t *levels)
{
    int32_t plus = 0;
    int32_t minus = 0;
    for (int32_t k = 0; k < count; k++) {
        const uint32_t field = tq_field2(w, k);
        const int32_t value = x[k] - x_zero;
        plus += tq_choose(field, value);
        minus += tq_choose(field >> 1, value);
    }
    return levels[1] * plus + levels[2] * minus;
}

#endif
