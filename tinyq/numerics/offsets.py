"""Scaling with an offset of 64 bits, and a choice for each channel of where a half goes.

It is what a scale in floating point, a zero point and a bias with a scale of its own come to:
the offset holds zero point, bias and half, in steps as fine as the multiplier's.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from tinyq.numerics.rounding import Int32s, Int64s


def round_down(total: Int64s, shift: Int32s, even: Int32s) -> Int64s:
    """Drop bits; where nothing is lost, ``even`` says which results become the ones below.

        y = floor(s / 2**shift) - (1 if s is a multiple of 2**shift and y is one of them else 0)

    With a half inside of ``total`` this rounds to the nearest integer, and a half up, to the even
    one, or to the odd one.

    Args:
        total: s, int64, shape (..., channels).
        shift: 1 .. 62, shape (channels,).
        even: 0 for none, 1 for odd results, 2 for even ones, shape (channels,).

    Twin: tq_round_down in templates/runtime/tq_offsets.h, equal bit for bit.
    """
    bits = shift.astype(np.int64)
    nearest = total >> bits
    tie = ((nearest << bits) == total) & (even != 0)
    return np.asarray(nearest - (tie & (nearest ^ (even >> 1)) & 1), np.int64)


def requantize_offset(
    acc: Int64s | Int32s, multiplier: Int32s, high: Int32s, low: Int32s, shift: Int32s, even: Int32s
) -> Int64s:
    """Scale accumulators to output codes, zero point and bias included.

        y = round_down(acc * multiplier + offset, shift, even),   offset = high * 2**32 + low

    Args:
        acc: Accumulators, int32 range, shape (..., channels).
        multiplier: Mantissa per channel, 0 .. 2**31 - 1, shape (channels,).
        high: Upper half of the offset, -2**30 .. 2**30 - 1, shape (channels,).
        low: Lower half, the bits of 0 .. 2**32 - 1 as int32 has them, shape (channels,).
        shift: Right shift per channel in bits, 1 .. 62, shape (channels,).
        even: Where a half goes: 0 up, 1 to the even code, 2 to the odd one, shape (channels,).

    Returns:
        Codes before saturation, int64, shape (..., channels).

    Twin: tq_requantize_offset in templates/runtime/tq_offsets.h, equal bit for bit.
    """
    total = acc.astype(np.int64) * multiplier + join_words(high, low)
    return round_down(total, shift, even)


def join_words(high: Int32s, low: Int32s) -> Int64s:
    """``high * 2**32 + low``, the lower word without a sign."""
    lower = low.astype(np.int64) & 0xFFFFFFFF
    return np.asarray((high.astype(np.int64) << 32) + lower, np.int64)


def split_words(value: npt.ArrayLike) -> tuple[Int32s, Int32s]:
    """Upper and lower half of int64 numbers, see ``join_words``."""
    wide = np.asarray(value, np.int64)
    low = ((wide + 2**31) & 0xFFFFFFFF) - 2**31
    return (wide >> 32).astype(np.int32), low.astype(np.int32)
