"""Arithmetic of formulas: plain Python integers, step by step as TFLite's C++ has it."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from fractions import Fraction

Nested = list
HALF = Fraction(1, 2)
INT32 = 2**32


def wrap(value):
    """Two's complement of the low 32 bits."""
    return (value + 2**31) % INT32 - 2**31


def saturate(value):
    return min(max(value, -(2**31)), 2**31 - 1)


def truncate(value, divisor):
    """C's division, to zero."""
    return value // divisor if value >= 0 else -(-value // divisor)


def high(a, b):
    """SaturatingRoundingDoublingHighMul."""
    if a == b == -(2**31):
        return 2**31 - 1
    product = a * b
    nudge = 2**30 if product >= 0 else 1 - 2**30
    return truncate(product + nudge, 2**31)


def power(x, exponent):
    """RoundingDivideByPOT."""
    mask = (1 << exponent) - 1
    remainder = x & mask
    threshold = (mask >> 1) + (1 if x < 0 else 0)
    return (x >> exponent) + (1 if remainder > threshold else 0)


def twice(x, multiplier, exponent):
    """MultiplyByQuantizedMultiplier."""
    left, right = max(exponent, 0), max(-exponent, 0)
    return power(high(wrap(x << left), multiplier), right)


def inverse(raw):
    """one_over_one_plus_x_for_x_in_0_1."""
    half_denominator = truncate(raw + 2**31 - 1 + 1, 2)
    x = 1515870810 + high(half_denominator, -1010580540)
    for _ in range(3):
        x += saturate(high(x, 2**29 - high(half_denominator, x)) << 2)
    return saturate(x << 1)


def zeros(value):
    return 32 - value.bit_length()


def log(raw):
    """log_x_for_x_greater_than_or_equal_to_1 from Q12 to Q5, accumulated in Q6."""
    headroom = zeros(raw)
    r_a = saturate(high(saturate(raw << (headroom - 1)), 1518500250) << 1)
    a_power = saturate(saturate((12 - headroom) << 25) + power(536870912, 6))
    z_b = high(raw, 1518500250)
    b_headroom = zeros(z_b) - 1
    r_b = saturate(raw << b_headroom)
    b_power = saturate(saturate((12 - b_headroom) << 25) - power(536870912, 6))
    r, z = min(r_a, r_b), max(a_power, b_power)
    total = r + 1805811301
    p = truncate(total + (1 if total >= 0 else -1), 2)
    q = (r - 1805811301) * 2
    square = high(q, q)
    numerator = high(q, r) + high(high(q, square), 117049297)
    denominator = high(p, 1057819769 + q + high(127690142, square)) + high(638450708, q)
    quotient = high(power(numerator, 6), inverse(denominator))
    return saturate((high(z, 1488522236) + quotient) << 1)


def rows(function, x):
    """Apply to every innermost list."""
    if isinstance(x[0], list):
        return [rows(function, part) for part in x]
    return function(x)


def pairs(function, x, y):
    if isinstance(x, list):
        return [pairs(function, *parts) for parts in zip(x, y, strict=True)]
    return function(x, y)


def flatten(x):
    return [value for part in x for value in flatten(part)] if isinstance(x, list) else [x]


def clip(value, lo=-128, hi=127):
    return min(max(value, lo), hi)


def mean_away(total, count):
    return truncate(total + count // 2, count) if total > 0 else truncate(total - count // 2, count)


def lookup16(value, table):
    """generic_int16_table_lookup."""
    index, offset = 256 + (value >> 7), value & 0x7F
    return table[index] + ((table[index + 1] - table[index]) * offset + 64 >> 7)


def map_channels(function: Callable[[int, int], int], values: Nested) -> Nested:
    """Apply to every innermost element with its index on the last axis."""
    if isinstance(values[0], list):
        return [map_channels(function, part) for part in values]
    return [function(value, channel) for channel, value in enumerate(values)]


def map_rows(function: Callable[..., Nested], *tensors: Nested) -> Nested:
    """Apply to every innermost list."""
    if isinstance(tensors[0][0], list):
        return [map_rows(function, *parts) for parts in zip(*tensors, strict=True)]
    return function(*tensors)


def windows(window, x: Nested) -> list[list[list[tuple[int, int, int, int]]]]:
    """For each output pixel the taps inside the image: (tap row, tap column, row, column)."""
    height, width = len(x), len(x[0])
    top, bottom, left, right = window.padding
    reach = [(n - 1) * d + 1 for n, d in zip(window.size, window.dilation, strict=True)]
    starts = (
        range(-top, height + bottom - reach[0] + 1, window.stride[0]),
        range(-left, width + right - reach[1] + 1, window.stride[1]),
    )
    return [
        [
            [
                (i, j, first + i * window.dilation[0], second + j * window.dilation[1])
                for i, j in itertools.product(range(window.size[0]), range(window.size[1]))
                if 0 <= first + i * window.dilation[0] < height
                and 0 <= second + j * window.dilation[1] < width
            ]
            for second in starts[1]
        ]
        for first in starts[0]
    ]


def map_windows(function: Callable[[list], Nested], window, x: Nested) -> Nested:
    return [[function(taps) for taps in row] for row in windows(window, x)]
