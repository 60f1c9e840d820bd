"""Arithmetic of binary32 on integers: a float32 is an integer of 24 bits times a power of two.

Sums and products in units of one power of two are exact in 64 bits; what floating point does to
them is to keep 24 significant bits. So integers follow it bit for bit, on cores without a
floating-point unit as well.
"""

from __future__ import annotations

import math

import numpy as np

from tinyq.numerics.rounding import Int32s, Int64s

SIGNIFICANT = 24


def round_single(value: Int64s) -> Int64s:
    """Keep 24 significant bits, a half to the even neighbour, as conversion to float32 does.

    Args:
        value: int64, below 2**62.

    Twin: tq_round_single in templates/runtime/tq_single.h, equal bit for bit.
    """
    return np.asarray(value.astype(np.float32).astype(np.int64))


def divide_even(value: Int64s, shift: Int32s | int) -> Int64s:
    """Nearest integer of ``value / 2**shift``, a half to even.

    Args:
        value: int64, below 2**62.
        shift: 0 .. 54.

    Twin: tq_divide_even in templates/runtime/tq_single.h, equal bit for bit.
    """
    bits = np.asarray(shift, np.int64)
    floor = value >> bits
    rest = value - (floor << bits)
    half = np.where(bits > 0, np.left_shift(np.int64(1), np.maximum(bits - 1, 0)), np.int64(1))
    up = (rest > half) | ((rest == half) & (floor & 1 == 1))
    return np.asarray(floor + np.where(bits > 0, up, 0), np.int64)


def requantize_single(
    acc: Int64s | Int32s, bias: Int32s, multiplier: Int32s, shift: Int32s, zero: int
) -> Int64s:
    """Scale accumulators as float32 does, and round to even.

        p = round_single(round_single(acc + bias) * multiplier)
        y = divide_even(round_single(p + zero * 2**shift), shift)

    Args:
        acc: Accumulators, int32 range, shape (..., channels).
        bias: int32, shape (channels,); acc + bias stays within int32.
        multiplier: Significant bits of a float32, 0 .. 2**24 - 1, shape (channels,).
        shift: The float32 is ``multiplier / 2**shift``; 0 .. 54, shape (channels,).
        zero: Added before rounding, -32768 .. 32767, with ``shift`` at most 46 if not 0.

    Returns:
        Codes before saturation, int64, shape (..., channels).

    Twin: tq_requantize_single in templates/runtime/tq_single.h, equal bit for bit.
    """
    whole = round_single(acc.astype(np.int64) + bias)
    product = round_single(whole * multiplier.astype(np.int64))
    moved = np.left_shift(np.int64(zero), shift.astype(np.int64))
    return divide_even(round_single(product + moved), shift)


def split_single(value: float | np.float32) -> tuple[int, int]:
    """A float32 as ``mantissa / 2**shift`` with up to 24 bits and sign; the smallest such shift.

    Args:
        value: Finite.
    """
    fraction, power = math.frexp(float(np.float32(value)))
    mantissa = int(math.ldexp(fraction, SIGNIFICANT))
    shift = SIGNIFICANT - power
    while mantissa and mantissa % 2 == 0:
        mantissa, shift = mantissa // 2, shift - 1
    return mantissa, (shift if mantissa else 0)
