/* Integer arithmetic of signal processing: headroom, roots, gains, logarithms, statistics.
 * Twin: tinyq/numerics/signals.py, equal bit for bit.
 *
 * An int32 that holds the bits of an unsigned number is cast where it is read and written.
 */
#ifndef TQ_SIGNAL_H
#define TQ_SIGNAL_H

#include <stdint.h>

/* Place of the highest bit that is set, from 1; 0 for 0. */
static inline int32_t tq_count_bits(uint32_t x)
{
#if defined(__GNUC__) && defined(__INT_WIDTH__) && __INT_WIDTH__ == 32
    return x ? 32 - (int32_t)__builtin_clz(x) : 0;
#else
    int32_t bits = 0;
    for (; x; x >>= 1) {
        bits++;
    }
    return bits;
#endif
}

/* By how many bits a row may be shifted up: 15 - bits of the largest magnitude, at least 0.
 *
 * The magnitude of -32768 is no int16: it counts as nothing; if negated it becomes -32768, behind
 * which any code is the largest so far.
 *
 * Twin: tinyq.numerics.signals.find_headroom
 */
static inline int32_t tq_find_headroom(const int16_t *x, int32_t length, int32_t negated)
{
    int32_t most = 0;
    for (int32_t i = 0; i < length; i++) {
        const int32_t code = x[i];
        if (code > most) {
            most = code;
        } else if (-code > most && (code != INT16_MIN || negated)) {
            most = code == INT16_MIN ? code : -code;
        }
    }
    return most < 0 ? 0 : 15 - tq_count_bits((uint32_t)most);
}

/* Square root of 32 bits, rounded to the nearest, 65535 at most. */
static inline uint32_t tq_take_short_root(uint32_t x)
{
    uint32_t root = 0;
    uint32_t bit = x ? (uint32_t)1 << ((tq_count_bits(x) - 1) & 30) : 0;
    for (; bit; bit >>= 2) {
        const uint32_t trial = root + bit;
        root >>= 1;
        if (x >= trial) {
            x -= trial;
            root += bit;
        }
    }
    return root + (x > root && root != UINT16_MAX);
}

/* Square root of 64 bits, rounded to the nearest; 65535 at most where 32 bits hold x, else
 * 4294967295.
 *
 * Twin: tinyq.numerics.signals.take_roots
 */
static inline uint32_t tq_take_root(uint64_t x)
{
    const uint32_t high = (uint32_t)(x >> 32);
    if (high == 0) {
        return tq_take_short_root((uint32_t)x);
    }
    uint64_t root = 0;
    uint64_t bit = (uint64_t)1 << (32 + ((tq_count_bits(high) - 1) & 30));
    for (; bit; bit >>= 2) {
        const uint64_t trial = root + bit;
        root >>= 1;
        if (x >= trial) {
            x -= trial;
            root += bit;
        }
    }
    return (uint32_t)(root + (x > root && root != UINT32_MAX));
}

/* Sums of a filter bank of triangles: between two corners the flank of one channel falls and that
 * of the next one rises.
 *
 * x          [bins] unsigned
 * falling    weights, those of a segment side by side
 * rising     the same for the flank that rises there
 * segments   [channels + 1][3]: first bin, first weight, number of both
 * y          [channels][2] 64 bits, the low word first
 *
 * Twin: tinyq.graph.ops.filter_bank.FilterBank
 */
static inline void tq_sum_filters(const int32_t *x, const int16_t *falling, const int16_t *rising,
                                  const int16_t *segments, int32_t channels, int32_t *y)
{
    uint64_t sum = 0;
    for (int32_t c = 0; c <= channels; c++) {
        const int32_t bin = segments[0];
        const int32_t place = segments[1];
        uint64_t next = 0;
        for (int32_t i = 0; i < segments[2]; i++) {
            const uint32_t power = (uint32_t)x[bin + i];
            sum += (uint64_t)power * (uint16_t)falling[place + i];
            next += (uint64_t)power * (uint16_t)rising[place + i];
        }
        if (c > 0) {
            y[0] = (int32_t)(uint32_t)sum;
            y[1] = (int32_t)(uint32_t)(sum >> 32);
            y += 2;
        }
        sum = next;
        segments += 3;
    }
}

/* An estimate of noise after one more step: (x * smoothing + estimate * (one - smoothing)) / one,
 * one being 2^bits; not above x if clamped. x has its fraction bits already.
 *
 * Twin: tinyq.graph.ops.noise.NoiseEstimate
 */
static inline uint32_t tq_smooth(uint32_t x, uint32_t estimate, uint32_t smoothing, int32_t bits,
                                 int32_t clamped)
{
    const uint32_t rest = ((uint32_t)1 << bits) - smoothing;
    const uint64_t sum = (uint64_t)x * smoothing + (uint64_t)estimate * rest;
    const uint32_t next = (uint32_t)(sum >> bits);
    return clamped && next > x ? x : next;
}

/* A channel's energy without its noise: max((x' - min(estimate, x')) >> smoothing_bits,
 * x * least >> bits) with x' = x << smoothing_bits.
 *
 * Twin: tinyq.graph.ops.noise.SpectralSubtraction
 */
static inline uint32_t tq_subtract_noise(uint32_t x, uint32_t estimate, int32_t smoothing_bits,
                                         uint32_t least, int32_t bits)
{
    const uint32_t fine = x << smoothing_bits;
    const uint32_t kept = (uint32_t)(((uint64_t)x * least) >> bits);
    const uint32_t rest = (fine - (estimate > fine ? fine : estimate)) >> smoothing_bits;
    return rest > kept ? rest : kept;
}

/* The gain of an estimate: a parabola between two powers of two.
 *
 * gains   [125]: two values, then a value and two coefficients for each power, four apart
 */
static inline int32_t tq_interpolate_gain(uint32_t x, const int16_t *gains)
{
    if (x <= 2) {
        return gains[x];
    }
    const int32_t bits = tq_count_bits(x);
    const int16_t *parts = gains + 4 * bits - 6;
    const uint32_t place = bits < 11 ? x << (11 - bits) : x >> (bits - 11);
    const int32_t fraction = (int32_t)(place & 1023);
    const int32_t curve = ((parts[2] * fraction) >> 5) + parts[1] * (int32_t)32;
    return (int16_t)(((curve * fraction + 16384) >> 15) + parts[0]);
}

/* Automatic gain control of one channel's energy by an estimate of its noise.
 *
 *   snr = x * gain >> shift              Q20.12
 *   y = snr^2 / 4 where snr < 2, else snr - 1      Q26.6
 *
 * shift   0 .. 63
 *
 * Twin: tinyq.numerics.signals.control_gain
 */
static inline uint32_t tq_control_gain(uint32_t x, uint32_t estimate, const int16_t *gains,
                                       int32_t shift)
{
    const uint32_t gain = (uint32_t)tq_interpolate_gain(estimate, gains);
    const uint32_t snr = (uint32_t)(((uint64_t)x * gain) >> shift);
    return snr < 8192 ? (snr * snr) >> 20 : (snr >> 6) - 64;
}

/* Natural logarithm times a scale; 0 of 0 and 1.
 *
 * table   [129], Q0.16: what a logarithm lies above its chord
 * scale   1 .. 65535
 *
 * Twin: tinyq.numerics.signals.take_logarithms
 */
static inline uint32_t tq_take_logarithm(uint32_t x, const int16_t *table, int32_t scale)
{
    if (x < 2) {
        return 0;
    }
    const int32_t whole = tq_count_bits(x) - 1;
    const uint32_t above = x - ((uint32_t)1 << whole);
    const int32_t fraction = (int32_t)(whole < 16 ? above << (16 - whole) : above >> (whole - 16));
    const int16_t *chord = table + (fraction >> 9);
    const int32_t rise = (((int32_t)chord[1] - chord[0]) * (fraction & 511)) >> 16;
    const uint32_t log2 = ((uint32_t)whole << 16) + (uint32_t)(fraction + chord[0] + rise);
    const uint32_t natural = (uint32_t)(((uint64_t)45426 * log2 + 32768) >> 16);
    return ((uint32_t)scale * natural + 32768) >> 16;
}

/* Statistics of a frame: mean and root of the mean square, both rounded down, least and largest
 * code, changes of sign, local maxima.
 *
 * x   [length], 1 .. 32767 codes
 * y   [6]
 *
 * Twin: tinyq.graph.ops.frames.FrameStatistics
 */
static inline void tq_describe_frame(const int16_t *x, int32_t length, int16_t *y)
{
    int64_t squares = 0;
    int32_t total = 0;
    int32_t low = x[0];
    int32_t high = x[0];
    int32_t crossings = 0;
    int32_t peaks = 0;
    int32_t rising = 0;
    for (int32_t i = 0; i < length; i++) {
        const int32_t code = x[i];
        total += code;
        squares += (int64_t)code * code;
        low = code < low ? code : low;
        high = code > high ? code : high;
        if (i > 0) {
            const int32_t before = x[i - 1];
            crossings += (code < 0) != (before < 0);
            peaks += rising && code < before;
            rising = code > before || (rising && code == before);
        }
    }
    const int32_t below = total % length < 0;
    const uint32_t mean_square = (uint32_t)((uint64_t)squares / (uint32_t)length);
    const uint32_t nearest = tq_take_short_root(mean_square);
    const uint32_t root = nearest - (nearest * nearest > mean_square);
    y[0] = (int16_t)(total / length - below);
    y[1] = (int16_t)(root > INT16_MAX ? INT16_MAX : root);
    y[2] = (int16_t)low;
    y[3] = (int16_t)high;
    y[4] = (int16_t)crossings;
    y[5] = (int16_t)peaks;
}

/* Sum of products of int16, rounded, as an int16 that saturates: (sum + 2^(shift - 1)) >> shift.
 *
 * step    between the codes of x
 * shift   0 .. 47
 *
 * Twin: tinyq.numerics.signals.finish_products
 */
static inline int16_t tq_filter_s16(const int16_t *x, const int16_t *w, int32_t length,
                                    int32_t shift)
{
    int64_t sum = ((int64_t)1 << shift) >> 1;
    for (int32_t i = 0; i < length; i++) {
        sum += (int32_t)x[i] * w[i];
    }
    const int64_t code = sum >> shift;
    return (int16_t)(code > INT16_MAX ? INT16_MAX : code < INT16_MIN ? INT16_MIN : code);
}

#endif
