/* Dot products with ternary weights that have one scale for each group of codes.
 *
 *   tq_dot_<input>_g2 = sum_g scales[g] * sum_{k in group g} w[k] * (x[k] - x_zero)
 *
 * group    codes of a group, at least 1; the last group of a row may be shorter
 * scales   scale of each group of this row
 *
 * Other arguments as in tq_dot.h. One multiplication for each group.
 */
#ifndef TQ_DOT_GROUPS_H
#define TQ_DOT_GROUPS_H

#include "tq_dot.h"

static inline int32_t tq_dot_b1_g2(const uint32_t *x, const uint8_t *w, int32_t count,
                                   const int8_t *scales, int32_t group)
{
    int32_t acc = 0;
    int32_t k = 0;
    for (int32_t g = 0; k < count; g++) {
        const int32_t end = count - k < group ? count : k + group;
        int32_t sum = 0;
        for (; k < end; k++) {
            sum += tq_get_g2(w, k) * tq_get_b1(x, k);
        }
        acc += scales[g] * sum;
    }
    return acc;
}

static inline int32_t tq_dot_u4_g2(const uint8_t *x, const uint8_t *w, int32_t count,
                                   int32_t x_zero, const int8_t *scales, int32_t group)
{
    int32_t acc = 0;
    int32_t k = 0;
    for (int32_t g = 0; k < count; g++) {
        const int32_t end = count - k < group ? count : k + group;
        int32_t sum = 0;
        for (; k < end; k++) {
            sum += tq_get_g2(w, k) * (tq_get_u4(x, k) - x_zero);
        }
        acc += scales[g] * sum;
    }
    return acc;
}

static inline int32_t tq_dot_s8_g2(const int8_t *x, const uint8_t *w, int32_t count, int32_t x_zero,
                                   const int8_t *scales, int32_t group)
{
    int32_t acc = 0;
    int32_t k = 0;
    for (int32_t g = 0; k < count; g++) {
        const int32_t end = count - k < group ? count : k + group;
        int32_t sum = 0;
        for (; k < end; k++) {
            sum += tq_get_g2(w, k) * (x[k] - x_zero);
        }
        acc += scales[g] * sum;
    }
    return acc;
}

#endif
