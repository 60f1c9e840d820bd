/* Dot products of signed codes in three bit planes: AND and popcount where the weights are bits.
 *
 *   tq_dot_s3_<weight> = sum_k w[k] * (x[k] - x_zero)      for k = 0 .. count - 1
 *
 * Arguments as in tq_dot.h.
 */
#ifndef TQ_DOT_S3_H
#define TQ_DOT_S3_H

#include "tq_dot_groups.h"
#include "tq_dot_levels.h"
#include "tq_dot_planes.h"

/* Sum of x - x_zero over the codes of a group that a plane of weights has a bit for, which is
 * popcount(x_0 & plane) + 2 * popcount(x_1 & plane) - 4 * popcount(x_2 & plane)
 * - x_zero * popcount(plane).
 */
static inline int32_t tq_sum_s3(const uint32_t *x, uint32_t plane, int32_t x_zero)
{
    return tq_popcount32(x[0] & plane) + 2 * tq_popcount32(x[1] & plane) -
           4 * tq_popcount32(x[2] & plane) - x_zero * tq_popcount32(plane);
}

/* Sum of x - x_zero over a row; padding bits are 0. */
static inline int32_t tq_sum_row_s3(const uint32_t *x, int32_t count, int32_t x_zero)
{
    const int32_t words = tq_words_s3(count);
    int32_t acc = -x_zero * count;
    for (int32_t i = 0; i < words; i += 3) {
        acc += tq_popcount32(x[i]) + 2 * tq_popcount32(x[i + 1]) - 4 * tq_popcount32(x[i + 2]);
    }
    return acc;
}

/* Signs: the sum of all, less twice that of the codes whose weight is -1. */
static inline int32_t tq_dot_s3_b1(const uint32_t *x, const uint32_t *w, int32_t count,
                                   int32_t x_zero)
{
    const int32_t words = tq_words_b1(count);
    int32_t acc = tq_sum_row_s3(x, count, x_zero);
    for (int32_t i = 0; i < words; i++) {
        acc -= 2 * tq_sum_s3(x + 3 * i, w[i], x_zero);
    }
    return acc;
}

static inline int32_t tq_dot_s3_t2(const uint32_t *x, const uint8_t *w, int32_t count,
                                   int32_t x_zero)
{
    const int32_t bytes = tq_words_t2(count);
    int32_t acc = 0;
    for (int32_t i = 0; i < bytes; i += 8) {
        const uint32_t nonzero = tq_collect32(w + i, bytes - i, 0);
        const uint32_t minus = tq_collect32(w + i, bytes - i, 1);
        acc += tq_sum_s3(x, nonzero, x_zero) - 2 * tq_sum_s3(x, minus, x_zero);
        x += 3;
    }
    return acc;
}

static inline int32_t tq_dot_s3_n2(const uint32_t *x, const uint8_t *w, int32_t count,
                                   int32_t x_zero, const int8_t *levels)
{
    const int32_t bytes = tq_words_n2(count);
    int32_t plus = 0;
    int32_t minus = 0;
    for (int32_t i = 0; i < bytes; i += 8) {
        plus += tq_sum_s3(x, tq_collect32(w + i, bytes - i, 0), x_zero);
        minus += tq_sum_s3(x, tq_collect32(w + i, bytes - i, 1), x_zero);
        x += 3;
    }
    return levels[1] * plus + levels[2] * minus;
}

static inline int32_t tq_dot_s3_s2(const uint32_t *x, const uint32_t *w, int32_t count,
                                   int32_t x_zero)
{
    int32_t acc = 0;
    for (int32_t k = 0; k < count; k += 32) {
        acc += tq_sum_s3(x, w[0], x_zero) - 2 * tq_sum_s3(x, w[1], x_zero);
        x += 3;
        w += 2;
    }
    return acc;
}

static inline int32_t tq_dot_s3_s3(const uint32_t *x, const uint32_t *w, int32_t count,
                                   int32_t x_zero)
{
    int32_t acc = 0;
    for (int32_t k = 0; k < count; k += 32) {
        acc += tq_sum_s3(x, w[0], x_zero) + 2 * tq_sum_s3(x, w[1], x_zero) -
               4 * tq_sum_s3(x, w[2], x_zero);
        x += 3;
        w += 3;
    }
    return acc;
}

static inline int32_t tq_dot_s3_d2(const uint32_t *x, const uint32_t *w, int32_t count,
                                   int32_t x_zero, const int8_t *basis)
{
    const int32_t words = tq_words_b1(count);
    const int32_t all = tq_sum_row_s3(x, count, x_zero);
    int32_t minus0 = 0;
    int32_t minus1 = 0;
    for (int32_t i = 0; i < words; i++) {
        minus0 += tq_sum_s3(x + 3 * i, w[0], x_zero);
        minus1 += tq_sum_s3(x + 3 * i, w[1], x_zero);
        w += 2;
    }
    return basis[0] * (all - 2 * minus0) + basis[1] * (all - 2 * minus1);
}

static inline int32_t tq_dot_s3_d3(const uint32_t *x, const uint32_t *w, int32_t count,
                                   int32_t x_zero, const int8_t *basis)
{
    const int32_t words = tq_words_b1(count);
    const int32_t all = tq_sum_row_s3(x, count, x_zero);
    int32_t minus0 = 0;
    int32_t minus1 = 0;
    int32_t minus2 = 0;
    for (int32_t i = 0; i < words; i++) {
        minus0 += tq_sum_s3(x + 3 * i, w[0], x_zero);
        minus1 += tq_sum_s3(x + 3 * i, w[1], x_zero);
        minus2 += tq_sum_s3(x + 3 * i, w[2], x_zero);
        w += 3;
    }
    return basis[0] * (all - 2 * minus0) + basis[1] * (all - 2 * minus1) +
           basis[2] * (all - 2 * minus2);
}

static inline int32_t tq_dot_s3_s4(const uint32_t *x, const uint8_t *w, int32_t count,
                                   int32_t x_zero)
{
    int32_t acc = 0;
    for (int32_t k = 0; k < count; k++) {
        acc += tq_get_s4(w, k) * (tq_get_s3(x, k) - x_zero);
    }
    return acc;
}

static inline int32_t tq_dot_s3_s8(const uint32_t *x, const int8_t *w, int32_t count,
                                   int32_t x_zero)
{
    int32_t acc = 0;
    for (int32_t k = 0; k < count; k++) {
        acc += w[k] * (tq_get_s3(x, k) - x_zero);
    }
    return acc;
}

static inline int32_t tq_dot_s3_c2(const uint32_t *x, const uint8_t *w, int32_t count,
                                   int32_t x_zero, const int8_t *levels)
{
    int32_t acc = 0;
    for (int32_t k = 0; k < count; k++) {
        acc += tq_get_c2(w, k, levels) * (tq_get_s3(x, k) - x_zero);
    }
    return acc;
}

static inline int32_t tq_dot_s3_c4(const uint32_t *x, const uint8_t *w, int32_t count,
                                   int32_t x_zero, const int8_t *levels)
{
    int32_t acc = 0;
    for (int32_t k = 0; k < count; k++) {
        acc += tq_get_c4(w, k, levels) * (tq_get_s3(x, k) - x_zero);
    }
    return acc;
}

static inline int32_t tq_dot_s3_p4(const uint32_t *x, const uint8_t *w, int32_t count,
                                   int32_t x_zero)
{
    int32_t acc = 0;
    for (int32_t k = 0; k < count; k++) {
        acc += tq_times_p4(tq_get_s3(x, k) - x_zero, w, k);
    }
    return acc;
}

static inline int32_t tq_dot_s3_a4(const uint32_t *x, const uint8_t *w, int32_t count,
                                   int32_t x_zero)
{
    int32_t acc = 0;
    for (int32_t k = 0; k < count; k++) {
        acc += tq_times_a4(tq_get_s3(x, k) - x_zero, w, k);
    }
    return acc;
}

static inline int32_t tq_dot_s3_g2(const uint32_t *x, const uint8_t *w, int32_t count,
                                   int32_t x_zero, const int8_t *scales, int32_t group)
{
    int32_t acc = 0;
    int32_t k = 0;
    for (int32_t g = 0; k < count; g++) {
        const int32_t end = count - k < group ? count : k + group;
        int32_t sum = 0;
        for (; k < end; k++) {
            sum += tq_get_g2(w, k) * (tq_get_s3(x, k) - x_zero);
        }
        acc += scales[g] * sum;
    }
    return acc;
}

#endif
