/* Dot products with weights that lie in bit planes: 32 codes to a group of words, word j with bit j
 * of each.
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

static inline int32_t tq_dot_b1_s2(const uint32_t *x, const uint32_t *w, int32_t count)
{
    const int32_t words = tq_units_b1(count);
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
    const int32_t words = tq_units_b1(count);
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

#endif
