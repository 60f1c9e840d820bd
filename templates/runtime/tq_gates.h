/* Logistic function and hyperbolic tangent of 16-bit codes, for the gates of imported LSTMs.
 * Twin: tinyq/numerics/gates.py, equal bit for bit.
 */
#ifndef TQ_GATES_H
#define TQ_GATES_H

#include <stdint.h>

#include "tq_twice.h"

/* Product of two Q0.15 values, half rounded up, saturated.
 * Twin: tinyq.numerics.gates.multiply_high16 */
static inline int32_t tq_multiply_high16(int32_t a, int32_t b)
{
    const int32_t high = (a * b + ((int32_t)1 << 14)) >> 15;
    return high > INT16_MAX ? INT16_MAX : high;
}

/* Nearest int16. Twin: tinyq.numerics.gates.saturate16 */
static inline int32_t tq_saturate16(int64_t x)
{
    return tq_clip(x, INT16_MIN, INT16_MAX);
}

/* exp(x) in Q0.15: a Taylor series on [-1/4, 0) times a product of constants.
 *
 * raw            x, -2^15 .. 0, with integer_bits integer bits
 * integer_bits   1 .. 7
 *
 * Twin: tinyq.numerics.gates.exponential16
 */
static inline int32_t tq_exponential16(int32_t raw, int32_t integer_bits)
{
    static const int16_t powers[] = {25520, 19875, 12055, 4435, 600, 11, 0};
    if (raw == 0) {
        return INT16_MAX;
    }
    if (integer_bits > 5 && raw < -((int32_t)1 << (20 - integer_bits))) {
        return 0;
    }
    const int32_t quarter = (int32_t)1 << (13 - integer_bits);
    const int32_t modulo = (raw & (quarter - 1)) - quarter;
    const int32_t x = modulo * ((int32_t)1 << integer_bits) + ((int32_t)1 << 12);
    const int32_t square = tq_multiply_high16(x, x);
    const int32_t cube = tq_multiply_high16(square, x);
    const int32_t fourth = tq_multiply_high16(square, square);
    const int32_t series = tq_multiply_high16(tq_divide_by_power(fourth, 2) + cube, 10923) + square;
    const int32_t slope = tq_multiply_high16(x + tq_divide_by_power(series, 1), 28918);
    int32_t result = tq_saturate16(28918 + slope);
    const int32_t remainder = (modulo - raw) >> (13 - integer_bits);
    for (int32_t place = 0; place < integer_bits + 2 && place < 7; place++) {
        if ((remainder >> place) & 1) {
            result = tq_multiply_high16(result, powers[place]);
        }
    }
    return result;
}

/* 2 / (1 + x) in Q2.13 by three Newton-Raphson steps; raw is x in Q0.15. */
static inline int32_t tq_reciprocal16(int32_t raw)
{
    const int32_t half_denominator = (raw + INT16_MAX + 1) >> 1;
    int32_t x = 23130 + tq_multiply_high16(half_denominator, -15420);
    for (int32_t step = 0; step < 3; step++) {
        const int32_t rest = ((int32_t)1 << 13) - tq_multiply_high16(half_denominator, x);
        x += tq_saturate16(tq_multiply_high16(x, rest) * 4);
    }
    return x;
}

/* 1 / (1 + exp(-x)) in Q0.15.
 *
 * raw            x, with integer_bits integer bits
 * integer_bits   1 .. 7
 *
 * Twin: tinyq.numerics.gates.logistic16
 */
static inline int32_t tq_logistic16(int32_t raw, int32_t integer_bits)
{
    if (raw == 0) {
        return (int32_t)1 << 14;
    }
    const int32_t power = tq_exponential16(raw > 0 ? -raw : raw, integer_bits);
    const int32_t share = tq_saturate16(tq_reciprocal16(power) * 2);
    return raw > 0 ? share : INT16_MAX - share;
}

/* Hyperbolic tangent in Q0.15.
 *
 * raw            x, with integer_bits integer bits
 * integer_bits   0 .. 6
 *
 * Twin: tinyq.numerics.gates.tanh16
 */
static inline int32_t tq_tanh16(int32_t raw, int32_t integer_bits)
{
    if (raw == 0) {
        return 0;
    }
    const int32_t power = tq_exponential16(raw > 0 ? -raw : raw, integer_bits + 1);
    const int32_t magnitude = tq_saturate16((tq_reciprocal16(power) - ((int32_t)1 << 13)) * 4);
    return raw > 0 ? magnitude : -magnitude;
}

#endif
