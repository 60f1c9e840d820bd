/* The Fourier transform of real int16 samples, in integers with the roundings of kissfft.
 * Twin: tinyq/numerics/fourier.py, equal bit for bit.
 *
 * A complex number is two int16, real part first. Every stored number wraps to int16.
 */
#ifndef TQ_FOURIER_H
#define TQ_FOURIER_H

#include <stdint.h>

/* A complex number on its way: int16 each, in registers. */
typedef struct {
    int32_t re;
    int32_t im;
} tq_complex;

/* Product in Q0.15, half rounded up. */
static inline int32_t tq_scale_q15(int32_t x, int32_t factor)
{
    return (int16_t)((x * factor + 16384) >> 15);
}

/* Number i of a row, divided by the radix: factor is the whole part of 32767 / radix. */
static inline tq_complex tq_divide_complex(const int16_t *z, int32_t i, int32_t factor)
{
    const tq_complex quotient = {tq_scale_q15(z[2 * i], factor),
                                 tq_scale_q15(z[2 * i + 1], factor)};
    return quotient;
}

/* Product with root k of unity in Q0.15, half rounded up. A root is -32767 .. 32767. */
static inline tq_complex tq_turn_complex(tq_complex z, const int16_t *roots, int32_t k)
{
    const int32_t re = roots[2 * k];
    const int32_t im = roots[2 * k + 1];
    const tq_complex turned = {(int16_t)((z.re * re - z.im * im + 16384) >> 15),
                               (int16_t)((z.re * im + z.im * re + 16384) >> 15)};
    return turned;
}

static inline void tq_put_complex(int16_t *z, int32_t i, int32_t re, int32_t im)
{
    z[2 * i] = (int16_t)re;
    z[2 * i + 1] = (int16_t)im;
}

/* Pairs of samples in the order in which butterflies take them; behind the samples are zeros.
 *
 * x       [length]
 * half    complex numbers, a power of two
 * radix   of the innermost butterflies, 2 or 4
 * z       [half] complex
 */
static inline void tq_order_pairs(const int16_t *x, int32_t length, int32_t half, int32_t radix,
                                  int16_t *z)
{
    for (int32_t place = 0; place < half; place++) {
        int32_t source = place & (radix - 1);
        int32_t rest = place / radix;
        for (int32_t left = half / radix; left > 1; left /= 4) {
            source = source * 4 + (rest & 3);
            rest /= 4;
        }
        source *= 2;
        tq_put_complex(z, place, source < length ? x[source] : 0,
                       source + 1 < length ? x[source + 1] : 0);
    }
}

/* Butterflies of two over neighbours; the innermost ones, whose root is 1.
 *
 * z   [half] complex
 */
static inline void tq_join_pairs(int16_t *z, int32_t half, const int16_t *roots)
{
    for (int32_t i = 0; i < half; i += 2) {
        const tq_complex a = tq_divide_complex(z, i, 16383);
        const tq_complex b = tq_turn_complex(tq_divide_complex(z, i + 1, 16383), roots, 0);
        tq_put_complex(z, i + 1, a.re - b.re, a.im - b.im);
        tq_put_complex(z, i, a.re + b.re, a.im + b.im);
    }
}

/* Butterflies of four at a distance.
 *
 * z          [half] complex
 * distance   of the inputs of a butterfly
 * step       between the roots of neighbouring butterflies
 */
static inline void tq_join_fours(int16_t *z, int32_t half, int32_t distance, int32_t step,
                                 const int16_t *roots)
{
    for (int32_t start = 0; start < half; start += 4 * distance) {
        int16_t *block = z + 2 * start;
        for (int32_t k = 0; k < distance; k++) {
            const int32_t root = k * step;
            const tq_complex a = tq_divide_complex(block, k, 8191);
            const tq_complex b =
                tq_turn_complex(tq_divide_complex(block, k + distance, 8191), roots, root);
            const tq_complex c =
                tq_turn_complex(tq_divide_complex(block, k + 2 * distance, 8191), roots, 2 * root);
            const tq_complex d =
                tq_turn_complex(tq_divide_complex(block, k + 3 * distance, 8191), roots, 3 * root);
            const tq_complex even = {a.re + c.re, a.im + c.im};
            const tq_complex odd = {a.re - c.re, a.im - c.im};
            const tq_complex sum = {b.re + d.re, b.im + d.im};
            const tq_complex difference = {b.re - d.re, b.im - d.im};
            tq_put_complex(block, k, even.re + sum.re, even.im + sum.im);
            tq_put_complex(block, k + distance, odd.re + difference.im, odd.im - difference.re);
            tq_put_complex(block, k + 2 * distance, even.re - sum.re, even.im - sum.im);
            tq_put_complex(block, k + 3 * distance, odd.re - difference.im, odd.im + difference.re);
        }
    }
}

/* The spectrum of real samples from that of their pairs, in place.
 *
 * z   [half + 1] complex, the last of which is written alone
 */
static inline void tq_split_spectrum(int16_t *z, int32_t half, const int16_t *roots)
{
    const tq_complex first = tq_divide_complex(z, 0, 16383);
    tq_put_complex(z, 0, first.re + first.im, 0);
    tq_put_complex(z, half, first.re - first.im, 0);
    for (int32_t k = 1; k <= half / 2; k++) {
        const int32_t mirror = half - k;
        const tq_complex a = tq_divide_complex(z, k, 16383);
        const tq_complex b = {tq_scale_q15(z[2 * mirror], 16383),
                              tq_scale_q15((int16_t) - (int32_t)z[2 * mirror + 1], 16383)};
        const tq_complex difference = {a.re - b.re, a.im - b.im};
        const tq_complex turned = tq_turn_complex(difference, roots, k + half / 2);
        const tq_complex sum = {a.re + b.re, a.im + b.im};
        tq_put_complex(z, k, (sum.re + turned.re) >> 1, (sum.im + turned.im) >> 1);
        tq_put_complex(z, mirror, (sum.re - turned.re) >> 1, (turned.im - sum.im) >> 1);
    }
}

/* First half of the spectrum of real samples, divided by the number of points.
 *
 * x        [length], at most points; behind them are zeros
 * roots    [3 * points / 4] complex, exp(-2 pi i k / points) in Q0.15
 * points   a power of two, 4 or more
 * y        [points / 2 + 1] complex
 *
 * Twin: tinyq.numerics.fourier.transform_real
 */
static inline void tq_transform_real(const int16_t *x, const int16_t *roots, int32_t length,
                                     int32_t points, int16_t *y)
{
    const int32_t half = points / 2;
    int32_t distance = 4;
    while (distance < half) {
        distance *= 4;
    }
    const int32_t radix = distance == half ? 4 : 2;
    tq_order_pairs(x, length, half, radix, y);
    distance = 1;
    if (radix == 2) {
        tq_join_pairs(y, half, roots);
        distance = 2;
    }
    for (; distance < half; distance *= 4) {
        tq_join_fours(y, half, distance, half / (2 * distance), roots);
    }
    tq_split_spectrum(y, half, roots);
}

#endif
