/* Scaling with an offset of 64 bits. Twin: tinyq/numerics/offsets.py, equal bit for bit. */
#ifndef TQ_OFFSETS_H
#define TQ_OFFSETS_H

#include <stdint.h>

/* Drop bits; where nothing is lost, even says which results become the ones below.
 *
 * shift   1 .. 62
 * even    0 for none, 1 for odd results, 2 for even ones
 *
 * Twin: tinyq.numerics.offsets.round_down
 */
static inline int64_t tq_round_down(int64_t total, int32_t shift, int32_t even)
{
    const int64_t nearest = total >> shift;
    const int64_t rest = total & (((int64_t)1 << shift) - 1);
    return nearest - (rest == 0 && even != 0 ? (nearest ^ (even >> 1)) & 1 : 0);
}

/* high * 2^32 + low, the lower word without a sign.
 *
 * Twin: tinyq.numerics.offsets.join_words
 */
static inline int64_t tq_join_words(int32_t high, int32_t low)
{
    return (int64_t)high * ((int64_t)1 << 32) + (int64_t)(uint32_t)low;
}

/* Scale an accumulator to an output code, zero point and bias included.
 *
 * multiplier   0 .. 2^31 - 1
 * high         -2^30 .. 2^30 - 1, so that no sum leaves int64
 *
 * Twin: tinyq.numerics.offsets.requantize_offset
 */
static inline int64_t tq_requantize_offset(int32_t acc, int32_t multiplier, int32_t high,
                                           int32_t low, int32_t shift, int32_t even)
{
    const int64_t offset = tq_join_words(high, low);
    return tq_round_down((int64_t)acc * multiplier + offset, shift, even);
}

#endif
