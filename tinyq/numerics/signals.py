"""Integer arithmetic of signal processing: headroom, roots, gains, logarithms.

Spectra, estimates and gains are unsigned numbers of 32 bits. Codes are int32, so a tensor of them
has the format s32 and holds their bits (`read_unsigned`, `store_unsigned`), and sums of 64 bits
are two such codes. That is exact for every number, where a bound below 2**31 would have to be
proven.

Twin: templates/runtime/tq_signal.h, equal bit for bit.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from tinyq.numerics.formats import Codes

Int64s = npt.NDArray[np.int64]
Unsigned = npt.NDArray[np.uint64]
GAIN_POINTS = 125
LOG_SEGMENTS = 128
_WORD = np.uint64(2**32 - 1)
_SNR_BITS, _GAIN_BITS = 12, 6
_LOG2 = 45426  # ln 2 in Q0.16


def read_unsigned(codes: Codes) -> Unsigned:
    """The unsigned numbers whose 32 bits the codes are."""
    return codes.astype(np.int64).astype(np.uint64) & _WORD


def store_unsigned(values: Unsigned) -> Codes:
    """Codes with the low 32 bits of unsigned numbers."""
    return (values & _WORD).astype(np.uint32).view(np.int32)


def join_words(codes: Codes) -> Unsigned:
    """Numbers of 64 bits from two codes each, the low word first; shape (..., 2) loses an axis."""
    words = read_unsigned(codes)
    return words[..., 0] | words[..., 1] << np.uint64(32)


def split_sums(values: Unsigned) -> Codes:
    """Two codes for each number of 64 bits, the low word first, along a new last axis."""
    return np.stack([store_unsigned(values), store_unsigned(values >> np.uint64(32))], axis=-1)


def count_bits(values: Unsigned) -> Int64s:
    """Place of the highest bit that is set, from 1; 0 for 0. Up to 32 bits."""
    return np.frexp(values.astype(np.float64))[1].astype(np.int64)


def find_headroom(samples: Int64s, negated: bool) -> Int64s:
    """By how many bits a row of int16 may be shifted up.

        15 - bits of the largest magnitude, at least 0

    The magnitude of -32768 is no int16. Either it counts as nothing, or, ``negated``, it becomes
    -32768, behind which any code is the largest so far.

    Args:
        samples: int16, shape (..., n).
        negated: As TensorFlow Lite Micro's FftAutoScale has it.

    Returns:
        int64, shape (..., 1), 0 .. 15.

    Twin: tq_find_headroom in templates/runtime/tq_signal.h.
    """
    found = np.where(samples == -(2**15), 0, np.abs(samples)).max(axis=-1, keepdims=True)
    if negated:
        rows, flat = samples.reshape(-1, samples.shape[-1]), found.reshape(-1)
        for place in np.flatnonzero((rows == -(2**15)).any(axis=1)):
            flat[place] = _follow_magnitude(rows[place].tolist())
    return np.where(found < 0, 0, 15 - count_bits(np.maximum(found, 0).astype(np.uint64)))


def _follow_magnitude(row: list[int]) -> int:
    most = 0
    for code in row:
        if code > most:
            most = code
        elif -code > most:
            most = -code if code > -(2**15) else code
    return most


def take_roots(values: Unsigned) -> Unsigned:
    """Square roots, rounded to the nearest; the largest of 16 and of 32 bits are not rounded up.

    Args:
        values: Numbers of 64 bits.

    Twin: tq_take_root in templates/runtime/tq_signal.h.
    """
    root = np.minimum(np.sqrt(values.astype(np.float64)), 2.0**32 - 1).astype(np.uint64)
    root -= root * root > values
    # One less than the root of a number may be found, for it was rounded to 53 bits.
    root += (root < _WORD) & ((root + np.uint64(1)) * (root + np.uint64(1)) <= values)
    most = np.where(values >> np.uint64(32) == 0, np.uint64(2**16 - 1), _WORD)
    return np.asarray(root + ((values - root * root > root) & (root != most)), np.uint64)


def control_gain(signal: Unsigned, estimate: Unsigned, gains: Int64s, shift: int) -> Unsigned:
    """Automatic gain control of one channel's energy by an estimate of its noise.

        gain = interpolate(gains, estimate)          a parabola between two powers of two
        snr = signal * gain / 2**shift               Q20.12
        y = snr**2 / 4 where snr < 2, else snr - 1   Q26.6

    Args:
        signal: Numbers of 32 bits.
        estimate: Numbers of 32 bits.
        gains: int16, shape (125,): two values, then a value and two coefficients for each power.
        shift: 0 .. 63.

    Twin: tq_control_gain in templates/runtime/tq_signal.h.
    Reference: Wang et al. 2017, Trainable frontend for robust and far-field keyword spotting.
    """
    gain = _interpolate(estimate.astype(np.int64), gains)
    # The gain is an int16 that may be negative, as 32 bits without a sign; the product has 64.
    product = signal * (gain.astype(np.uint64) & _WORD)
    snr = product >> np.uint64(shift) & _WORD
    small = (snr * snr & _WORD) >> np.uint64(2 + 2 * _SNR_BITS - _GAIN_BITS)
    large = (snr >> np.uint64(_SNR_BITS - _GAIN_BITS)) - np.uint64(1 << _GAIN_BITS) & _WORD
    return np.where(snr < 2 << _SNR_BITS, small, large)


def _interpolate(x: Int64s, gains: Int64s) -> Int64s:
    bits = count_bits(x.astype(np.uint64))
    place = np.maximum(4 * bits - 6, 0)
    fraction = np.where(bits < 11, x << np.maximum(11 - bits, 0), x >> np.maximum(bits - 11, 0))
    fraction &= 2**10 - 1
    curve = (gains[np.minimum(place + 2, GAIN_POINTS - 1)] * fraction >> 5) + gains[place + 1] * 32
    value = (curve * fraction + 2**14 >> 15) + gains[place]
    near = gains[np.minimum(x, 2)]
    return np.where(x <= 2, near, (value + 2**15 & 2**16 - 1) - 2**15)


def make_logarithms() -> npt.NDArray[np.int32]:
    """What a logarithm to base 2 lies above its chord, at 129 points of an octave, in Q0.16."""
    place = np.arange(LOG_SEGMENTS + 1)
    return np.asarray(np.round(2**16 * np.log2(1 + place / LOG_SEGMENTS)) - 2**9 * place, np.int32)


def take_logarithms(values: Unsigned, table: Int64s, scale: int) -> Unsigned:
    """Natural logarithms times a scale; 0 of 0 and 1.

        log2 = bits - 1 + f + table[i] + (table[i + 1] - table[i]) * rest,   f the fraction, Q16.16
        y = round(scale * round(ln 2 * log2))

    Args:
        values: Numbers of 32 bits.
        table: `make_logarithms`.
        scale: 1 .. 2**16 - 1. Its product with the logarithm has the low 32 bits alone.

    Twin: tq_take_logarithm in templates/runtime/tq_signal.h.
    """
    x = np.maximum(values.astype(np.int64), 2)
    whole = count_bits(x.astype(np.uint64)) - 1
    fraction = x - (np.int64(1) << whole)
    fraction = np.where(
        whole < 16, fraction << np.maximum(16 - whole, 0), fraction >> np.maximum(whole - 16, 0)
    )
    segment = fraction >> 9
    rise = (table[segment + 1] - table[segment]) * (fraction - (segment << 9)) >> 16
    log2 = (whole << 16) + fraction + table[segment] + rise
    natural = _LOG2 * log2 + 2**15 >> 16
    scaled = (scale * natural + 2**15 & 2**32 - 1) >> 16
    return np.where(values > 1, scaled, 0).astype(np.uint64)


def finish_products(sums: Int64s, shift: int) -> Codes:
    """Sums of products, rounded and saturated: (sum + 2**(shift - 1)) >> shift as an int16.

    Args:
        sums: Below 2**47 in magnitude.
        shift: 0 .. 47.

    Twin: tq_filter_s16 in templates/runtime/tq_signal.h.
    """
    half = (1 << shift) >> 1
    return np.asarray(np.clip(sums + half >> shift, -(2**15), 2**15 - 1), np.int32)
