"""Fixed-point arithmetic of TFLite's reference kernels, bit for bit.

A graph whose rule is ``tflite`` rounds twice where tinyq's own rule rounds once; see
docs/decisions/0008-imported-models.md. Raw values are integers; ``Q5.26`` has 5 integer bits and
26 fractional bits. All functions take and give int64 arrays that hold int32 values.

Reference: Jacob et al. 2018, arXiv:1712.05877, appendix B.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TypeVar

import numpy as np
import numpy.typing as npt

Int32s = npt.NDArray[np.int32]
Int64s = npt.NDArray[np.int64]

ONE_Q31 = 2**31 - 1
_QUARTER_Q26 = 1 << 24


def quantize_multiplier(real: float) -> tuple[int, int]:
    """Mantissa and exponent of a positive real number.

        real ~ mantissa / 2**31 * 2**exponent,   mantissa in 2**30 .. 2**31 - 1

    Below 2**-32 both are 0.

    Args:
        real: At least 0, finite.
    """
    if real == 0.0:
        return 0, 0
    fraction, exponent = math.frexp(real)
    mantissa = math.floor(fraction * 2.0**31 + 0.5)
    if mantissa == 2**31:
        mantissa, exponent = 2**30, exponent + 1
    return (0, 0) if exponent < -31 else (mantissa, exponent)


def multiply_high(a: Int64s, b: Int64s | int) -> Int64s:
    """Product of two Q0.31 values, half rounded up, saturated.

        y = min(floor((a * b + 2**30) / 2**31), 2**31 - 1)

    Twin: tq_multiply_high in templates/runtime/tq_twice.h.
    """
    high: Int64s = np.minimum((a * b + (1 << 30)) >> 31, ONE_Q31)
    return high


def divide_by_power(x: Int64s, bits: Int64s | int) -> Int64s:
    """Division by a power of two, half rounded away from zero.

        y = sign(x) * floor((|x| + 2**(bits - 1)) / 2**bits)

    Args:
        x: int32 range.
        bits: 0 .. 31.

    Twin: tq_divide_by_power in templates/runtime/tq_twice.h.
    """
    exponent = np.asarray(bits, np.int64)
    half = (np.int64(1) << exponent) >> 1
    correction = np.where(exponent > 0, x >> 63, 0)
    return (x + half + correction) >> exponent


def scale_twice(
    x: Int64s, multiplier: Int64s | Int32s | int, exponent: Int64s | Int32s | int
) -> Int64s:
    """Multiply by a real number given as mantissa and exponent, rounding twice.

        y = divide_by_power(multiply_high(x * 2**max(exponent, 0), multiplier), max(-exponent, 0))

    Args:
        x: int32 range; the shifted value is taken modulo 2**32, as a core does.
        multiplier: Mantissa, 0 .. 2**31 - 1.
        exponent: -31 .. 30.

    Twin: tq_scale_twice in templates/runtime/tq_twice.h.
    """
    power = np.asarray(exponent, np.int64)
    shifted = (x.astype(np.int64) << np.maximum(power, 0)).astype(np.int32).astype(np.int64)
    high = multiply_high(shifted, np.asarray(multiplier, np.int64))
    return divide_by_power(high, np.maximum(-power, 0))


def divide_away(total: Int64s, count: Int64s | int) -> Int64s:
    """Mean of integers, half rounded away from zero.

        y = sign(total) * floor((|total| + floor(count / 2)) / count)

    Twin: tq_divide_away in templates/runtime/tq_twice.h.
    """
    divisor = np.asarray(count, np.int64)
    mean: Int64s = np.sign(total) * ((np.abs(total) + divisor // 2) // divisor)
    return mean


def shift_left(x: Int64s, bits: int) -> Int64s:
    """Left shift that saturates to int32."""
    shifted: Int64s = np.clip(x << bits, -(2**31), 2**31 - 1)
    return shifted


def exponential(raw: Int64s) -> Int64s:
    """Exponential of negative numbers.

        y = exp(raw / 2**26) * 2**31, a Taylor series on [-1/4, 0) times a product of constants

    Args:
        raw: Q5.26, -2**31 .. 0.

    Returns:
        Q0.31.
    """
    modulo = (raw & (_QUARTER_Q26 - 1)) - _QUARTER_Q26
    x = (modulo << 5) + (1 << 28)
    square = multiply_high(x, x)
    cube = multiply_high(square, x)
    fourth = multiply_high(square, square)
    series = multiply_high(divide_by_power(fourth, 2) + cube, 715827883) + square
    result = 1895147668 + multiply_high(x + divide_by_power(series, 1), 1895147668)
    remainder = modulo - raw
    powers = (1672461947, 1302514674, 790015084, 290630308, 39332535, 720401, 242)
    for bit, factor in enumerate(powers, start=24):
        result = np.where((remainder >> bit) & 1, multiply_high(result, factor), result)
    return np.where(raw == 0, ONE_Q31, result)


def reciprocal_of_one_plus(raw: Int64s) -> Int64s:
    """Reciprocal by three Newton-Raphson steps.

        y = 1 / (1 + x)

    Args:
        raw: x in 0 .. 1, Q0.31.

    Returns:
        Q0.31.

    Twin: tq_reciprocal_of_one_plus in templates/runtime/tq_twice.h.
    """
    half_denominator = (raw + ONE_Q31 + 1) >> 1
    x = 1515870810 + multiply_high(half_denominator, -1010580540)
    for _ in range(3):
        rest = (1 << 29) - multiply_high(half_denominator, x)
        x = x + shift_left(multiply_high(x, rest), 2)
    return shift_left(x, 1)


def inverse_square_root(value: int) -> tuple[int, int]:
    """Reciprocal square root by five Newton-Raphson steps in Q3.28.

        1 / sqrt(value) ~ mantissa / 2**31 * 2**exponent,   1 for values below 2

    Args:
        value: 0 .. 2**31 - 1.

    Returns:
        Mantissa below 2**31 and an exponent of at most 0.

    Twin: tq_inverse_square_root in templates/runtime/tq_twice.h.
    """
    if value <= 1:
        return ONE_Q31, 0
    shift = 11
    while value >= 1 << 29:
        value, shift = value // 4, shift + 1
    pairs = (31 - value.bit_length()) // 2 - 1
    shift -= pairs
    raw = np.asarray(value << (2 * pairs) >> 1, np.int64)
    half = divide_by_power(raw, 1)
    x = np.asarray(1 << 28, np.int64)
    for _ in range(5):
        cube = shift_left(multiply_high(multiply_high(x, x), x), 6)
        step = multiply_high(np.asarray(3 << 27, np.int64), x) - multiply_high(half, cube)
        x = shift_left(step, 3)
    mantissa = int(multiply_high(x, np.asarray(1518500250, np.int64)))
    if shift < 0:
        return mantissa << -shift, 0
    return mantissa, -shift


def leading_zeros(x: Int64s) -> Int64s:
    """Leading zero bits of positive int32 values."""
    return 32 - np.frexp(x.astype(np.float64))[1].astype(np.int64)


def reciprocal(raw: Int64s, integer_bits: int) -> tuple[Int64s, Int64s]:
    """Reciprocal of a positive fixed-point number.

    Args:
        raw: Greater than 0, with ``integer_bits`` integer bits.
        integer_bits: 0 .. 31.

    Returns:
        A Q0.31 mantissa and by how many bits it must still be shifted right.

    Twin: tq_reciprocal in templates/runtime/tq_twice.h.
    """
    headroom = leading_zeros(raw)
    fraction = (raw << headroom) - (1 << 31)
    return reciprocal_of_one_plus(fraction), integer_bits - headroom


def logarithm(raw: Int64s) -> Int64s:
    """Natural logarithm of numbers of at least 1.

    Args:
        raw: Q12.19, at least 2**19.

    Returns:
        Q5.26.

    Twin: tq_logarithm in templates/runtime/tq_twice.h.
    """
    root_half = 1518500250
    headroom = leading_zeros(raw)
    first = shift_left(multiply_high(shift_left_by(raw, headroom - 1), root_half), 1)
    first_power = shift_left((12 - headroom), 25) + (1 << 23)
    second_headroom = leading_zeros(multiply_high(raw, root_half)) - 1
    second = shift_left_by(raw, second_headroom)
    second_power = shift_left((12 - second_headroom), 25) - (1 << 23)
    r = np.minimum(first, second)
    power = np.maximum(first_power, second_power)
    root_root_half = 1805811301
    total = r + root_root_half
    p = (total + np.where(total >= 0, 1, 0)) >> 1
    q = 2 * (r - root_root_half)
    square = multiply_high(q, q)
    numerator = multiply_high(q, r) + multiply_high(multiply_high(q, square), 117049297)
    inner = 1057819769 + q + multiply_high(square, 127690142)
    denominator = multiply_high(p, inner) + multiply_high(q, 638450708)
    quotient = multiply_high(divide_by_power(numerator, 6), reciprocal_of_one_plus(denominator))
    return shift_left(multiply_high(power, 1488522236) + quotient, 1)


def shift_left_by(x: Int64s, bits: Int64s) -> Int64s:
    """Left shift by a number of bits per element, saturated to int32."""
    shifted: Int64s = np.clip(x << bits, -(2**31), 2**31 - 1)
    return shifted


def softmax_exponentials(scale: float, beta: float) -> tuple[Int32s, int, int, int]:
    """Exponentials of all differences of two 8-bit codes, as TFLite's softmax computes them.

        table[d] = exponential(scale_twice(-d, multiplier, exponent)),  0 beyond the input radius

    Args:
        scale: Real value of one code, greater than 0.
        beta: Factor of the logits, greater than 0.

    Returns:
        The table, Q0.31, int32, shape (256,); multiplier; exponent; the smallest difference
        (-radius) that counts.
    """
    real = min(beta * scale * 2.0**26, 2.0**31 - 1.0)
    multiplier, exponent = quantize_multiplier(real)
    radius = math.floor(31.0 * 2.0**26 / 2.0**exponent)
    difference = np.arange(256, dtype=np.int64)
    scaled = scale_twice(np.where(difference <= radius, -difference, 0), multiplier, exponent)
    powers = exponential(scaled)
    table = np.where(difference <= radius, powers, 0).astype(np.int32)
    return table, multiplier, exponent, -radius


def interpolation_table(
    function: Callable[[npt.NDArray[np.float64]], npt.NDArray[np.float64]],
    least: float,
    most: float,
) -> Int32s:
    """A function on [least, most] for ``interpolate16``, in Q0.15.

    Each entry is lowered by half the error that the line to the next one makes in the middle,
    all in float64: float32 gives other entries where a rounding below meets a tie.

    Args:
        function: Values within -1 .. 1.
        least: Left end.
        most: Right end, at 511 / 512 of a step behind the last part.

    Returns:
        int32 codes of s16, shape (513,).
    """
    step = (most - least) / 512.0
    left = least + np.arange(512, dtype=np.float64) * step
    unit = 32768.0
    value, middle = function(left) * unit, function(left + step / 2.0) * unit
    after = least + np.arange(1, 513, dtype=np.float64) * step
    chord = round_away((function(after) * unit + round_away(value)) / 2.0)
    excess = round_away((chord - round_away(middle)) / 2.0)
    last = round_away(function(np.asarray([most])) * unit)
    table = np.concatenate([round_away(value) - excess, last])
    return np.asarray(np.clip(table, -(2**15), 2**15 - 1), np.int32)


Real = TypeVar("Real", np.float32, np.float64)


def round_away(x: npt.NDArray[Real]) -> npt.NDArray[Real]:
    """Nearest whole number, a half away from zero."""
    away: npt.NDArray[Real] = np.copysign(np.floor(np.abs(x) + x.dtype.type(0.5)), x)
    return away


def interpolate16(table: Int32s, x: Int64s) -> Int64s:
    """Linear interpolation in a table of 512 equal parts, half rounded up.

        y = table[i] + floor(((table[i + 1] - table[i]) * f + 64) / 128),  128 * i + f = x + 2**15

    Args:
        table: Shape (513,).
        x: -2**15 .. 2**15 - 1, the whole range of the table.

    Twin: tq_interpolate16 in templates/runtime/tq_twice.h.
    """
    place = x + 2**15
    base = table[place >> 7].astype(np.int64)
    slope = table[(place >> 7) + 1] - base
    interpolated: Int64s = base + ((slope * (place & 127) + 64) >> 7)
    return interpolated


def sigmoid_table() -> Int32s:
    """The logistic function at i / 24 in Q0.16; the last entry is the largest code.

    Each entry is raised by half the error that the line to the next one makes in the middle.

    Returns:
        int32 codes of u16, shape (256,).
    """
    place = np.arange(256, dtype=np.float64)
    value, middle, after = (
        65536.0 / (1.0 + np.exp(-(place + step) / 24.0)) for step in (0.0, 0.5, 1.0)
    )
    table = np.floor(value + (middle - (value + after) / 2.0) / 2.0 + 0.5)
    table[-1] = 65535.0
    return table.astype(np.int32)


def interpolated_sigmoid(v: Int64s, table: Int32s, hyperbolic: int) -> Int64s:
    """Logistic function, or hyperbolic tangent through logistic(2 * x) * 2 - 1.

        1 / (1 + exp(-v / 12288))  or  tanh(v / 12288),  in Q0.15

    Args:
        v: |v| < 2**31.
        table: See ``sigmoid_table``.
        hyperbolic: 1 for the hyperbolic tangent, else 0.

    Twin: tq_interpolated_sigmoid in templates/runtime/tq_twice.h.
    """
    bits = 8 if hyperbolic else 9
    distance = np.abs(v)
    index = np.minimum(distance >> bits, 254)
    base = table[index].astype(np.int64)
    curve = (base << bits) + (distance & ((1 << bits) - 1)) * (table[index + 1] - base)
    curve = np.where(distance >> bits >= 255, 65535 << 8 if hyperbolic else 32767 << 10, curve)
    middle, top, shift = (1 << 23, 1 << 23, 8) if hyperbolic else (0, 1 << 25, 10)
    height = np.where(v < 0, top - 1 - curve, curve - middle)
    rounded: Int64s = (height + (1 << (shift - 1))) >> shift
    return rounded
