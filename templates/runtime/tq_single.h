/* Arithmetic of binary32 on integers. Twin: tinyq/numerics/single.py, equal bit for bit. */
#ifndef TQ_SINGLE_H
#define TQ_SINGLE_H

#include <stdint.h>

/* Keep 24 significant bits, a half to the even neighbour.
 *
 * value   |value| < 2^62
 *
 * Twin: tinyq.numerics.single.round_single
 */
static inline int64_t tq_round_single(int64_t value)
{
    const uint64_t magnitude = value < 0 ? (uint64_t)-value : (uint64_t)value;
    uint32_t excess = magnitude >> 32 != 0 ? (uint32_t)(magnitude >> 24) : 0;
    int32_t bits = 0;

    if (magnitude >> 56 != 0) {
        excess = (uint32_t)(magnitude >> 32);
        bits = 8;
    } else if (magnitude >> 32 == 0) {
        excess = (uint32_t)magnitude >> 24;
    }
    for (int32_t step = 16; step > 0; step >>= 1) {
        if (excess >> step != 0) {
            excess >>= step;
            bits += step;
        }
    }
    bits += excess != 0;
    if (bits == 0) {
        return value;
    }
    const uint64_t odd = (magnitude >> bits) & 1;
    const uint64_t rounded = (magnitude + (((uint64_t)1 << (bits - 1)) - 1) + odd) >> bits;
    const int64_t kept = (int64_t)(rounded << bits);
    return value < 0 ? -kept : kept;
}

/* Nearest integer of value / 2^shift, a half to even.
 *
 * shift   0 .. 54
 *
 * Twin: tinyq.numerics.single.divide_even
 */
static inline int64_t tq_divide_even(int64_t value, int32_t shift)
{
    if (shift == 0) {
        return value;
    }
    const int64_t half = (int64_t)1 << (shift - 1);
    const int64_t nearest = (value + half) >> shift;
    const int64_t rest = (value + half) & (half + (half - 1));
    return nearest - (rest == 0 ? nearest & 1 : 0);
}

/* Scale an accumulator as float32 does, and round to even.
 *
 *   p = round_single(round_single(acc + bias) * multiplier)
 *   y = divide_even(round_single(p + zero * 2^shift), shift)
 *
 * acc, bias    their sum stays within int32
 * multiplier   0 .. 2^24 - 1
 * shift        0 .. 54
 *
 * Twin: tinyq.numerics.single.requantize_single
 */
static inline int64_t tq_requantize_single(int32_t acc, int32_t bias, int32_t multiplier,
                                           int32_t shift, int32_t zero)
{
    const int64_t whole = tq_round_single(acc + bias);
    const int64_t product = tq_round_single(whole * multiplier);
    return tq_divide_even(tq_round_single(product + zero * ((int64_t)1 << shift)), shift);
}

#endif
