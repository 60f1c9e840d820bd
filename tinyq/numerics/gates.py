"""Logistic function and hyperbolic tangent of 16-bit codes, as TFLite's LSTM computes them.

Raw values are int16; ``Q3.12`` has 3 integer bits and 12 fractional bits. All functions take and
give int64 arrays.

Reference: Jacob et al. 2018, arXiv:1712.05877, appendix B.
"""

from __future__ import annotations

import numpy as np

from tinyq.numerics.fixed_point import Int64s, divide_by_power

ONE_Q15 = 2**15 - 1
# exp(-1/4), exp(-1/2), exp(-1), exp(-2), exp(-4), exp(-8), exp(-16) in Q0.15
_POWERS = (25520, 19875, 12055, 4435, 600, 11, 0)


def multiply_high16(a: Int64s, b: Int64s | int) -> Int64s:
    """Product of two Q0.15 values, half rounded up, saturated.

        y = min(floor((a * b + 2**14) / 2**15), 2**15 - 1)

    Twin: tq_multiply_high16 in templates/runtime/tq_gates.h.
    """
    high: Int64s = np.minimum((a * b + (1 << 14)) >> 15, ONE_Q15)
    return high


def saturate16(x: Int64s) -> Int64s:
    """Nearest int16."""
    saturated: Int64s = np.clip(x, -(2**15), 2**15 - 1)
    return saturated


def exponential16(raw: Int64s, integer_bits: int) -> Int64s:
    """Exponential of negative numbers: a Taylor series on [-1/4, 0) times a product of constants.

        y = exp(raw / 2**(15 - integer_bits)) * 2**15

    Args:
        raw: -2**15 .. 0.
        integer_bits: 1 .. 7.

    Returns:
        Q0.15.

    Twin: tq_exponential16 in templates/runtime/tq_gates.h.
    """
    quarter = 1 << (13 - integer_bits)
    modulo = (raw & (quarter - 1)) - quarter
    x = (modulo << integer_bits) + (1 << 12)
    square = multiply_high16(x, x)
    cube = multiply_high16(square, x)
    fourth = multiply_high16(square, square)
    series = multiply_high16(divide_by_power(fourth, 2) + cube, 10923) + square
    result = saturate16(28918 + multiply_high16(x + divide_by_power(series, 1), 28918))
    remainder = modulo - raw
    for place, factor in enumerate(_POWERS[: integer_bits + 2]):
        bit = (remainder >> (13 - integer_bits + place)) & 1
        result = np.where(bit, multiply_high16(result, factor), result)
    if integer_bits > 5:
        result = np.where(raw < -(1 << (20 - integer_bits)), 0, result)
    return np.where(raw == 0, ONE_Q15, result)


def _reciprocal16(raw: Int64s) -> Int64s:
    """2 / (1 + x) in Q2.13 by three Newton-Raphson steps, x in Q0.15."""
    half_denominator = (raw + ONE_Q15 + 1) >> 1
    x = 23130 + multiply_high16(half_denominator, -15420)
    for _ in range(3):
        rest = (1 << 13) - multiply_high16(half_denominator, x)
        x = x + saturate16(multiply_high16(x, rest) << 2)
    return x


def logistic16(raw: Int64s, integer_bits: int) -> Int64s:
    """Logistic function.

        y = 1 / (1 + exp(-x)),   x = raw / 2**(15 - integer_bits)

    Args:
        raw: int16 range.
        integer_bits: 1 .. 7.

    Returns:
        Q0.15.

    Twin: tq_logistic16 in templates/runtime/tq_gates.h.
    """
    share = saturate16(_reciprocal16(exponential16(-np.abs(raw), integer_bits)) << 1)
    signed = np.where(raw > 0, share, ONE_Q15 - share)
    return np.where(raw == 0, 1 << 14, signed)


def tanh16(raw: Int64s, integer_bits: int) -> Int64s:
    """Hyperbolic tangent.

        y = (1 - exp(-2 * x)) / (1 + exp(-2 * x)),   x = raw / 2**(15 - integer_bits)

    Args:
        raw: int16 range.
        integer_bits: 0 .. 6.

    Returns:
        Q0.15.

    Twin: tq_tanh16 in templates/runtime/tq_gates.h.
    """
    twice = exponential16(-np.abs(raw), integer_bits + 1)
    magnitude = saturate16((_reciprocal16(twice) - (1 << 13)) << 2)
    return np.sign(raw) * magnitude
