/* Dot products of signed codes, two to a byte.
 *
 *   tq_dot_s4_<weight> = sum_k w[k] * (x[k] - x_zero)      for k = 0 .. count - 1
 *
 * Arguments as in tq_dot.h.
 */
#ifndef TQ_DOT_S4_H
#define TQ_DOT_S4_H

#include "tq_dot_groups.h"
#include "tq_dot_levels.h"
#include "tq_dot_planes.h"

static inline int32_t tq_dot_s4_b1(const uint8_t *x, const uint32_t *w, int32_t count,
                                   int32_t x_zero)
{
    int32_t acc = 0;
    const int32_t whole = count & ~3;
    for (int32_t k = 0; k < whole; k += 4) {
        const uint32_t signs = w[k / 32] >> (k % 32);
        const uint32_t low = x[k / 2];
        const uint32_t high = x[k / 2 + 1];
        acc += tq_sign(signs) * (tq_sign_extend4(low) - x_zero);
        acc += tq_sign(signs >> 1) * (tq_sign_extend4(low >> 4) - x_zero);
        acc += tq_sign(signs >> 2) * (tq_sign_extend4(high) - x_zero);
        acc += tq_sign(signs >> 3) * (tq_sign_extend4(high >> 4) - x_zero);
    }
    for (int32_t k = whole; k < count; k++) {
        acc += tq_get_b1(w, k) * (tq_get_s4(x, k) - x_zero);
    }
    return acc;
}

/* A byte of w holds 4 codes, for which x has 2 bytes. */
static inline int32_t tq_dot_s4_t2(const uint8_t *x, const uint8_t *w, int32_t count,
                                   int32_t x_zero)
{
    int32_t acc = 0;
    const int32_t whole = count & ~3;
    for (int32_t k = 0; k < whole; k += 4) {
        const uint32_t fields = w[k / 4];
        const uint32_t low = x[k / 2];
        const uint32_t high = x[k / 2 + 1];
        acc += tq_sign_extend2(fields) * (tq_sign_extend4(low) - x_zero);
        acc += tq_sign_extend2(fields >> 2) * (tq_sign_extend4(low >> 4) - x_zero);
        acc += tq_sign_extend2(fields >> 4) * (tq_sign_extend4(high) - x_zero);
        acc += tq_sign_extend2(fields >> 6) * (tq_sign_extend4(high >> 4) - x_zero);
    }
    for (int32_t k = whole; k < count; k++) {
        acc += tq_get_t2(w, k) * (tq_get_s4(x, k) - x_zero);
    }
    return acc;
}

/* A padding weight is 0, so the last byte needs no care. */
static inline int32_t tq_dot_s4_s4(const uint8_t *x, const uint8_t *w, int32_t count,
                                   int32_t x_zero)
{
    const int32_t bytes = tq_words_s4(count);
    int32_t acc = 0;
    for (int32_t i = 0; i < bytes; i++) {
        const uint32_t codes = x[i];
        const uint32_t fields = w[i];
        acc += tq_sign_extend4(fields) * (tq_sign_extend4(codes) - x_zero);
        acc += tq_sign_extend4(fields >> 4) * (tq_sign_extend4(codes >> 4) - x_zero);
    }
    return acc;
}

static inline int32_t tq_dot_s4_s8(const uint8_t *x, const int8_t *w, int32_t count, int32_t x_zero)
{
    const int32_t whole = count & ~3;
    int32_t acc = 0;
    for (int32_t k = 0; k < whole; k += 4) {
        const uint32_t low = x[k / 2];
        const uint32_t high = x[k / 2 + 1];
        acc += w[k] * (tq_sign_extend4(low) - x_zero);
        acc += w[k + 1] * (tq_sign_extend4(low >> 4) - x_zero);
        acc += w[k + 2] * (tq_sign_extend4(high) - x_zero);
        acc += w[k + 3] * (tq_sign_extend4(high >> 4) - x_zero);
    }
    for (int32_t k = whole; k < count; k++) {
        acc += w[k] * (tq_get_s4(x, k) - x_zero);
    }
    return acc;
}

static inline int32_t tq_dot_s4_s2(const uint8_t *x, const uint32_t *w, int32_t count,
                                   int32_t x_zero)
{
    int32_t acc = 0;
    for (int32_t k = 0; k < count; k++) {
        acc += tq_get_s2(w, k) * (tq_get_s4(x, k) - x_zero);
    }
    return acc;
}

static inline int32_t tq_dot_s4_s3(const uint8_t *x, const uint32_t *w, int32_t count,
                                   int32_t x_zero)
{
    int32_t acc = 0;
    for (int32_t k = 0; k < count; k++) {
        acc += tq_get_s3(w, k) * (tq_get_s4(x, k) - x_zero);
    }
    return acc;
}

static inline int32_t tq_dot_s4_d2(const uint8_t *x, const uint32_t *w, int32_t count,
                                   int32_t x_zero, const int8_t *basis)
{
    int32_t sum0 = 0;
    int32_t sum1 = 0;
    for (int32_t k = 0; k < count; k++) {
        const uint32_t signs = tq_gather2(w + k / 32 * 2, (uint32_t)k % 32);
        const int32_t value = tq_get_s4(x, k) - x_zero;
        sum0 += tq_signed(signs, value);
        sum1 += tq_signed(signs >> 1, value);
    }
    return basis[0] * sum0 + basis[1] * sum1;
}

static inline int32_t tq_dot_s4_d3(const uint8_t *x, const uint32_t *w, int32_t count,
                                   int32_t x_zero, const int8_t *basis)
{
    int32_t sum0 = 0;
    int32_t sum1 = 0;
    int32_t sum2 = 0;
    for (int32_t k = 0; k < count; k++) {
        const uint32_t signs = tq_gather3(w + k / 32 * 3, (uint32_t)k % 32);
        const int32_t value = tq_get_s4(x, k) - x_zero;
        sum0 += tq_signed(signs, value);
        sum1 += tq_signed(signs >> 1, value);
        sum2 += tq_signed(signs >> 2, value);
    }
    return basis[0] * sum0 + basis[1] * sum1 + basis[2] * sum2;
}

static inline int32_t tq_dot_s4_p4(const uint8_t *x, const uint8_t *w, int32_t count,
                                   int32_t x_zero)
{
    const int32_t bytes = tq_words_p4(count);
    int32_t acc = 0;
    for (int32_t i = 0; i < bytes; i++) {
        const uint32_t codes = x[i];
        const uint32_t fields = w[i];
        acc += tq_shift_p4(tq_sign_extend4(codes) - x_zero, fields);
        acc += tq_shift_p4(tq_sign_extend4(codes >> 4) - x_zero, fields >> 4);
    }
    return acc;
}

static inline int32_t tq_dot_s4_a4(const uint8_t *x, const uint8_t *w, int32_t count,
                                   int32_t x_zero)
{
    const int32_t bytes = tq_words_a4(count);
    int32_t acc = 0;
    for (int32_t i = 0; i < bytes; i++) {
        const uint32_t codes = x[i];
        const uint32_t fields = w[i];
        acc += tq_shift_a4(tq_sign_extend4(codes) - x_zero, fields);
        acc += tq_shift_a4(tq_sign_extend4(codes >> 4) - x_zero, fields >> 4);
    }
    return acc;
}

static inline int32_t tq_dot_s4_c2(const uint8_t *x, const uint8_t *w, int32_t count,
                                   int32_t x_zero, const int8_t *levels)
{
    int32_t acc = 0;
    for (int32_t k = 0; k < count; k++) {
        acc += tq_get_c2(w, k, levels) * (tq_get_s4(x, k) - x_zero);
    }
    return acc;
}

static inline int32_t tq_dot_s4_c4(const uint8_t *x, const uint8_t *w, int32_t count,
                                   int32_t x_zero, const int8_t *levels)
{
    int32_t acc = 0;
    for (int32_t k = 0; k < count; k++) {
        acc += tq_get_c4(w, k, levels) * (tq_get_s4(x, k) - x_zero);
    }
    return acc;
}

static inline int32_t tq_dot_s4_n2(const uint8_t *x, const uint8_t *w, int32_t count,
                                   int32_t x_zero, const int8_t *levels)
{
    int32_t plus = 0;
    int32_t minus = 0;
    for (int32_t k = 0; k < count; k++) {
        const uint32_t field = tq_field2(w, k);
        const int32_t value = tq_get_s4(x, k) - x_zero;
        plus += tq_choose(field, value);
        minus += tq_choose(field >> 1, value);
    }
    return levels[1] * plus + levels[2] * minus;
}

static inline int32_t tq_dot_s4_g2(const uint8_t *x, const uint8_t *w, int32_t count,
                                   int32_t x_zero, const int8_t *scales, int32_t group)
{
    int32_t acc = 0;
    int32_t k = 0;
    for (int32_t g = 0; k < count; g++) {
        const int32_t end = count - k < group ? count : k + group;
        int32_t sum = 0;
        for (; k < end; k++) {
            sum += tq_get_g2(w, k) * (tq_get_s4(x, k) - x_zero);
        }
        acc += scales[g] * sum;
    }
    return acc;
}

#endif
