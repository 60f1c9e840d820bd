/* Integer arithmetic of all kernels. Twin: tinyq/numerics/rounding.py, equal bit for bit. */
#ifndef TQ_ARITH_H
#define TQ_ARITH_H

#include <stdint.h>

/* Scale an accumulator to an output code; rounds once, half up.
 *
 *   y = floor(((acc + bias) * multiplier + 2^(shift - 1)) / 2^shift)
 *
 * acc, bias    their sum stays within int32
 * multiplier   signed mantissa
 * shift        1 .. 62
 *
 * |product| <= 2^62 and the half is at most 2^61, so int64 never overflows. The shift of a negative
 * number is arithmetic in every compiler that targets a microcontroller.
 *
 * Twin: tinyq.numerics.rounding.requantize
 */
static inline int64_t tq_requantize(int32_t acc, int32_t bias, int32_t multiplier, int32_t shift)
{
    const int64_t half = (int64_t)1 << (shift - 1);
    return ((int64_t)(acc + bias) * multiplier + half) >> shift;
}

/* Scale an accumulator to an output code; rounds once, a half to the even code where even is 1.
 *
 *   s = (acc + bias) * multiplier + 2^(shift - 1)
 *   y = floor(s / 2^shift) - (even if s is a multiple of 2^shift and the floor is odd else 0)
 *
 * even   1, or 0 where a half rounds up; the other arguments are those of tq_requantize
 *
 * Twin: tinyq.numerics.rounding.requantize_even
 */
static inline int64_t tq_requantize_even(int32_t acc, int32_t bias, int32_t multiplier,
                                         int32_t shift, int32_t even)
{
    const int64_t half = (int64_t)1 << (shift - 1);
    const int64_t sum = (int64_t)(acc + bias) * multiplier + half;
    const int64_t nearest = sum >> shift;
    const int64_t rest = sum & (half + (half - 1));
    return nearest - (rest == 0 ? nearest & even : 0);
}

/* Scale an accumulator of 47 bits, its bias included, by a 63-bit mantissa; half rounds up.
 *
 *   y = floor((acc * (multiplier * 2^32 + low) + 2^(shift + 31)) / 2^(shift + 32))
 *
 * acc          |acc| < 2^46
 * multiplier   0 .. 2^31 - 1
 * low          0 .. 2^32 - 1, the bits of a signed number
 * shift        17 .. 62
 *
 * The product has up to 109 bits. Its parts are added from the lowest on, and what leaves at the
 * bottom is floored, which the last floor would do as well: no term behind it has such bits.
 *
 * Twin: tinyq.numerics.rounding.requantize_wide
 */
static inline int64_t tq_requantize_wide(int64_t acc, int32_t multiplier, int32_t low,
                                         int32_t shift)
{
    const int64_t lowest = (acc * (low & 0xffff)) >> 16;
    const int64_t below = (acc * ((low >> 16) & 0xffff) + lowest) >> 16;
    const int64_t middle = (acc * (multiplier & 0xffff) + below) >> 16;
    const int64_t above = acc * (multiplier >> 16) + middle;
    return (above + ((int64_t)1 << (shift - 17))) >> (shift - 16);
}

/* Turn an accumulator into a sign: -1 if (acc < threshold) xor flip, else +1.
 *
 * flip   0, or 1 where a larger accumulator means -1
 *
 * Twin: tinyq.numerics.rounding.compare
 */
static inline int32_t tq_threshold(int32_t acc, int32_t threshold, int32_t flip)
{
    const int32_t below = acc < threshold;
    return below != flip ? -1 : 1;
}

/* How many thresholds an accumulator has reached: #{j : (acc >= threshold[j * stride]) xor flip}.
 *
 * steps   number of thresholds
 * flip    0, or 1 where a smaller accumulator means more
 *
 * Twin: tinyq.numerics.rounding.count_steps
 */
static inline int32_t tq_count_steps(int32_t acc, const int32_t *threshold, int32_t stride,
                                     int32_t steps, int32_t flip)
{
    int32_t reached = 0;
    for (int32_t j = 0; j < steps; j++) {
        reached += acc >= threshold[j * stride];
    }
    return flip ? steps - reached : reached;
}

/* Nearest value in lo .. hi. */
static inline int32_t tq_clip(int64_t value, int32_t lo, int32_t hi)
{
    if (value < lo) {
        return lo;
    }
    if (value > hi) {
        return hi;
    }
    return (int32_t)value;
}

/* Mean of integers, half rounded up: floor((2 * total + count) / (2 * count)).
 *
 * total   sum of the values, |total| < 2^29
 * count   how many, 1 .. 2^29
 *
 * Twin: tinyq.numerics.rounding.divide_half_up
 */
static inline int32_t tq_divide_half_up(int32_t total, int32_t count)
{
    const int32_t dividend = 2 * total + count;
    const int32_t divisor = 2 * count;
    const int32_t quotient = dividend / divisor;
    return dividend % divisor < 0 ? quotient - 1 : quotient; /* C rounds to zero */
}

/* How many bits are set. Adds neighbours in fields of 2, 4, then all four bytes at once. */
static inline int32_t tq_popcount32(uint32_t word)
{
    word = word - ((word >> 1) & 0x55555555u);
    word = (word & 0x33333333u) + ((word >> 2) & 0x33333333u);
    word = (word + (word >> 4)) & 0x0f0f0f0fu;
    return (int32_t)((word * 0x01010101u) >> 24);
}

#endif
