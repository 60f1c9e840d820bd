/* TFLite's fixed-point arithmetic, for models imported with its rounding.
 * Twin: tinyq/numerics/fixed_point.py, equal bit for bit.
 */
#ifndef TQ_TWICE_H
#define TQ_TWICE_H

#include <stdint.h>

#include "tq_arith.h"

/* Product of two Q0.31 values, half rounded up, saturated:
 * min(floor((a * b + 2^30) / 2^31), 2^31 - 1).
 *
 * Twin: tinyq.numerics.fixed_point.multiply_high
 */
static inline int32_t tq_multiply_high(int32_t a, int32_t b)
{
    const int64_t high = ((int64_t)a * b + ((int32_t)1 << 30)) >> 31;
    return high > INT32_MAX ? INT32_MAX : (int32_t)high;
}

/* Division by 2^bits, half rounded away from zero.
 *
 * bits   0 .. 31
 *
 * Twin: tinyq.numerics.fixed_point.divide_by_power
 */
static inline int32_t tq_divide_by_power(int32_t x, int32_t bits)
{
    const int64_t half = ((int64_t)1 << bits) >> 1;
    const int32_t downward = bits > 0 && x < 0;
    return (int32_t)((x + half - downward) >> bits);
}

/* x * multiplier / 2^31 * 2^exponent, rounded twice.
 *
 * x            its product with 2^exponent is taken modulo 2^32
 * multiplier   0 .. 2^31 - 1
 * exponent     -31 .. 30
 *
 * Twin: tinyq.numerics.fixed_point.scale_twice
 */
static inline int32_t tq_scale_twice(int32_t x, int32_t multiplier, int32_t exponent)
{
    const uint32_t shifted = (uint32_t)x << (exponent > 0 ? exponent : 0);
    const int32_t high = tq_multiply_high((int32_t)shifted, multiplier);
    return tq_divide_by_power(high, exponent < 0 ? -exponent : 0);
}

/* Scale an accumulator plus its bias; the sum is taken modulo 2^32.
 *
 * Twin: tinyq.graph.epilogues.RequantizeTwice
 */
static inline int32_t tq_requantize_twice(int32_t acc, int32_t bias, int32_t multiplier,
                                          int32_t exponent)
{
    return tq_scale_twice((int32_t)((uint32_t)acc + (uint32_t)bias), multiplier, exponent);
}

/* Mean of integers, half rounded away from zero.
 *
 * total   |total| + count < 2^31
 * count   at least 1
 *
 * Twin: tinyq.numerics.fixed_point.divide_away
 */
static inline int32_t tq_divide_away(int32_t total, int32_t count)
{
    return (total > 0 ? total + count / 2 : total - count / 2) / count;
}

/* Such a mean, within lo .. hi. Twin: tinyq.graph.ops.tflite_average_pool2d.TfliteAveragePool2D */
static inline int32_t tq_mean_away(int32_t total, int32_t count, int32_t lo, int32_t hi)
{
    return tq_clip(tq_divide_away(total, count), lo, hi);
}

/* x * 2^bits, saturated. Twin: tinyq.numerics.fixed_point.shift_left */
static inline int32_t tq_shift_left(int32_t x, int32_t bits)
{
    const int64_t shifted = (int64_t)x * ((int64_t)1 << bits);
    if (shifted > INT32_MAX) {
        return INT32_MAX;
    }
    return shifted < INT32_MIN ? INT32_MIN : (int32_t)shifted;
}

/* Zero bits above the highest one of a positive number.
 * Twin: tinyq.numerics.fixed_point.leading_zeros */
static inline int32_t tq_leading_zeros(int32_t x)
{
    int32_t count = 0;
    for (uint32_t word = (uint32_t)x; (word & 0x80000000u) == 0; word <<= 1) {
        count++;
    }
    return count;
}

/* 1 / (1 + x) by three Newton-Raphson steps.
 *
 * raw   x in 0 .. 1, Q0.31; so is the result
 *
 * Twin: tinyq.numerics.fixed_point.reciprocal_of_one_plus
 */
static inline int32_t tq_reciprocal_of_one_plus(int32_t raw)
{
    const int32_t half_denominator = (raw >> 1) + ((int32_t)1 << 30);
    int32_t x = 1515870810 + tq_multiply_high(half_denominator, -1010580540);
    for (int32_t step = 0; step < 3; step++) {
        const int32_t rest = ((int32_t)1 << 29) - tq_multiply_high(half_denominator, x);
        x += tq_shift_left(tq_multiply_high(x, rest), 2);
    }
    return tq_shift_left(x, 1);
}

/* Mantissa of 1 / x, Q0.31; bits becomes how far it must still be shifted right.
 *
 * raw            greater than 0, with integer_bits integer bits
 *
 * Twin: tinyq.numerics.fixed_point.reciprocal
 */
static inline int32_t tq_reciprocal(int32_t raw, int32_t integer_bits, int32_t *bits)
{
    const int32_t headroom = tq_leading_zeros(raw);
    const uint32_t fraction = ((uint32_t)raw << headroom) - 0x80000000u;
    *bits = integer_bits - headroom;
    return tq_reciprocal_of_one_plus((int32_t)fraction);
}

/* Reciprocal square root of an integer: mantissa / 2^31 * 2^exponent, 1 for values below 2.
 *
 * value   at least 0
 *
 * Twin: tinyq.numerics.fixed_point.inverse_square_root
 */
static inline int32_t tq_inverse_square_root(int32_t value, int32_t *exponent)
{
    if (value <= 1) {
        *exponent = 0;
        return INT32_MAX;
    }
    int32_t shift = 11;
    while (value >= ((int32_t)1 << 29)) {
        value /= 4;
        shift++;
    }
    const int32_t pairs = (tq_leading_zeros(value) - 1) / 2 - 1;
    const int32_t raw = (value * ((int32_t)1 << (2 * pairs))) >> 1;
    const int32_t half = tq_divide_by_power(raw, 1);
    int32_t x = (int32_t)1 << 28;
    for (int32_t step = 0; step < 5; step++) {
        const int32_t cube = tq_shift_left(tq_multiply_high(tq_multiply_high(x, x), x), 6);
        const int32_t next = tq_multiply_high((int32_t)3 << 27, x) - tq_multiply_high(half, cube);
        x = tq_shift_left(next, 3);
    }
    shift -= pairs;
    x = tq_multiply_high(x, 1518500250);
    *exponent = shift < 0 ? 0 : -shift;
    return shift < 0 ? x * ((int32_t)1 << -shift) : x;
}

/* Natural logarithm, Q5.26.
 *
 * raw   Q12.19, at least 1
 *
 * Two ways to split the number in a power of two and a rest, half a power apart; the better one
 * goes through a rational function.
 *
 * Twin: tinyq.numerics.fixed_point.logarithm
 */
static inline int32_t tq_logarithm(int32_t raw)
{
    const int32_t root_half = 1518500250;
    const int32_t root_root_half = 1805811301;
    const int32_t headroom = tq_leading_zeros(raw);
    const int32_t lifted = tq_shift_left(raw, headroom - 1);
    const int32_t first = tq_shift_left(tq_multiply_high(lifted, root_half), 1);
    const int32_t first_power = (12 - headroom) * ((int32_t)1 << 25) + ((int32_t)1 << 23);
    const int32_t second_headroom = tq_leading_zeros(tq_multiply_high(raw, root_half)) - 1;
    const int32_t second = tq_shift_left(raw, second_headroom);
    const int32_t second_power = (12 - second_headroom) * ((int32_t)1 << 25) - ((int32_t)1 << 23);
    const int32_t r = first < second ? first : second;
    const int32_t power = first_power > second_power ? first_power : second_power;
    const int32_t p = (int32_t)(((int64_t)r + root_root_half + 1) >> 1);
    const int32_t q = 2 * (r - root_root_half);
    const int32_t square = tq_multiply_high(q, q);
    const int32_t numerator =
        tq_multiply_high(q, r) + tq_multiply_high(tq_multiply_high(q, square), 117049297);
    const int32_t inner = 1057819769 + q + tq_multiply_high(square, 127690142);
    const int32_t denominator = tq_multiply_high(p, inner) + tq_multiply_high(q, 638450708);
    const int32_t quotient =
        tq_multiply_high(tq_divide_by_power(numerator, 6), tq_reciprocal_of_one_plus(denominator));
    return tq_shift_left(tq_multiply_high(power, 1488522236) + quotient, 1);
}

/* Linear interpolation in a table of 512 equal parts, half rounded up.
 *
 * table   [513]
 * x       -2^15 .. 2^15 - 1, the whole range of the table
 *
 * Twin: tinyq.numerics.interpolation.interpolate16
 */
static inline int32_t tq_interpolate16(const int16_t *table, int32_t x)
{
    const int32_t place = x + 32768;
    const int32_t base = table[place / 128];
    const int32_t slope = table[place / 128 + 1] - base;
    return base + ((slope * (place % 128) + 64) >> 7);
}

/* Exponential of a difference of two codes, Q0.15. Twin: tinyq.graph.ops.tflite_wide_softmax */
static inline int32_t tq_wide_exponential(const int16_t *table, int32_t difference,
                                          int32_t multiplier, int32_t exponent)
{
    const int32_t scaled = tq_scale_twice(difference, multiplier, exponent);
    return tq_interpolate16(table, tq_clip((int64_t)scaled + 32767, -32768, 32767));
}

/* Logistic function 1 / (1 + exp(-v / 12288)), or tanh(v / 12288), in Q0.15.
 *
 * v            |v| < 2^31
 * table        [256] the logistic function at i / 24, Q0.16
 * hyperbolic   1 for the hyperbolic tangent, else 0
 *
 * Twin: tinyq.numerics.interpolation.interpolated_sigmoid
 */
static inline int32_t tq_interpolated_sigmoid(int32_t v, const uint16_t *table, int32_t hyperbolic)
{
    const int32_t bits = hyperbolic ? 8 : 9;
    const int32_t distance = v < 0 ? -v : v;
    const int32_t index = distance >> bits;
    int32_t curve = hyperbolic ? (int32_t)65535 << 8 : (int32_t)32767 << 10;
    if (index < 255) {
        const int32_t fraction = distance & (((int32_t)1 << bits) - 1);
        const int32_t first = table[index];
        const int32_t slope = (int32_t)table[index + 1] - first;
        curve = first * ((int32_t)1 << bits) + fraction * slope;
    }
    if (hyperbolic) {
        const int32_t half = (int32_t)1 << 23;
        const int32_t height = v < 0 ? half - 1 - curve : curve - half;
        return (height + ((int32_t)1 << 7)) >> 8;
    }
    const int32_t height = v < 0 ? ((int32_t)1 << 25) - 1 - curve : curve;
    return (height + ((int32_t)1 << 9)) >> 10;
}

#endif
