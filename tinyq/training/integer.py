"""The integer arithmetic of the deployed path in Keras, bit for bit that of NumPy and C.

All integers are int64 and all real numbers float64. Functions take and return tensors.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from keras import ops

from tinyq.numerics.rounding import BIAS_LIMIT, INT32_MAX, INT32_MIN, MAX_SHIFT, ROUNDS_UP

_LEAST_EXPONENT, _MOST_EXPONENT = -31, 62
_POWERS = np.ldexp(1.0, np.arange(_LEAST_EXPONENT, _MOST_EXPONENT + 1))
_GAIN_BITS, _OFFSET_BITS = 30, 59


@dataclass(frozen=True, slots=True)
class Affine:
    """Integer form of ``gain * acc + offset``: see ``fold_affine``."""

    bias: Any
    multiplier: Any
    shift: Any


def requantize(acc: Any, folded: Affine) -> Any:
    """Scale accumulators to output codes with integers only.

        y = floor(((acc + bias) * multiplier + 2**(shift - 1)) / 2**shift)    (half rounds up)

    Args:
        acc: Accumulators, int64, shape (..., channels).
        folded: Bias and multiplier per channel, and the shift.

    Returns:
        Codes before zero point and saturation, int64.

    Twin: tinyq.numerics.rounding.requantize
    """
    half = ops.left_shift(ops.ones_like(folded.shift), folded.shift - 1)
    # The bias is multiplied once for each channel; the sum is the same integer.
    constant = folded.bias * folded.multiplier + half
    return ops.right_shift(acc * folded.multiplier + constant, folded.shift)


def requantize_even(acc: Any, folded: Affine, even: Any) -> Any:
    """Like ``requantize``, but a half goes to the even code where ``even`` is 1.

        y = s >> shift, less ``even`` where s is a multiple of 2**shift and that is odd
        s = (acc + bias) * multiplier + 2**(shift - 1)

    Twin: tinyq.numerics.rounding.requantize_even
    """
    half = ops.left_shift(ops.ones_like(folded.shift), folded.shift - 1)
    scaled = (acc + folded.bias) * folded.multiplier + half
    nearest = ops.right_shift(scaled, folded.shift)
    tie = ops.cast(ops.left_shift(nearest, folded.shift) == scaled, "int64")
    return nearest - ops.bitwise_and(ops.bitwise_and(nearest, tie), even)


def compare(acc: Any, threshold: Any, flip: Any) -> Any:
    """Turn accumulators into signs.

        y = -1 if (acc < threshold) xor flip else +1

    Twin: tinyq.numerics.rounding.compare
    """
    negative = ops.logical_xor(acc < threshold, flip)
    return ops.where(negative, -ops.ones_like(acc), ops.ones_like(acc))


def count_steps(acc: Any, threshold: Any, flip: Any) -> Any:
    """Count how many thresholds accumulators have reached.

        y = #{j : (acc >= threshold[j]) xor flip}

    Args:
        acc: Accumulators, int64, shape (..., channels).
        threshold: int64, shape (steps, channels).
        flip: bool, shape (channels,).

    Twin: tinyq.numerics.rounding.count_steps
    """
    reached = ops.logical_xor(ops.expand_dims(acc, -2) >= threshold, flip)
    return ops.sum(ops.cast(reached, "int64"), axis=-2)


def exponent(value: Any) -> Any:
    """Floor of the binary logarithm for ``2**-31 <= value``; 62 for all from ``2**62`` on.

    Counts powers of two that are not larger, because two libraries' logarithms need not agree.

    Twin: tinyq.numerics.rounding.exponent
    """
    powers = ops.convert_to_tensor(_POWERS, "float64")
    reached = ops.cast(ops.expand_dims(value, -1) >= powers, "int64")
    return ops.sum(reached, axis=-1) + (_LEAST_EXPONENT - 1)


def fold_affine(gain: Any, offset: Any) -> Affine:
    """Integers that stand for an affine map of the accumulators.

    Args:
        gain: Output codes per accumulator unit, float64, shape (channels,) or ().
        offset: Output codes at accumulator 0, float64, shape (channels,) or ().

    Twin: tinyq.numerics.rounding.fold_affine
    """
    largest = ops.maximum(ops.max(ops.abs(gain)), 2.0**-31)
    farthest = ops.maximum(ops.max(ops.abs(offset)), 2.0**-31)
    top = exponent(largest * ROUNDS_UP)
    shift = ops.minimum(_GAIN_BITS - top, _OFFSET_BITS - exponent(farthest))
    shift = ops.clip(shift, 1, MAX_SHIFT)
    scale = ops.cast(ops.left_shift(ops.ones_like(shift), shift), "float64")
    multiplier = ops.floor(gain * scale + 0.5)
    multiplier = ops.clip(multiplier, -float(INT32_MAX), float(INT32_MAX))
    least = ops.ceil(ops.abs(offset) * scale / BIAS_LIMIT)
    sign = ops.where(multiplier < 0, -ops.ones_like(multiplier), ops.ones_like(multiplier))
    multiplier = ops.where(ops.abs(multiplier) < least, sign * least, multiplier)
    divisor = ops.where(multiplier == 0, ops.ones_like(multiplier), multiplier)
    bias = ops.floor(offset * scale / divisor + 0.5)
    return Affine(ops.cast(bias, "int64"), ops.cast(multiplier, "int64"), shift)


def fold_even(gain: Any, offset: Any) -> tuple[Affine, Any]:
    """Integers that stand for an affine map whose halves go to the even code; ``even``, int64.

    Twin: tinyq.numerics.rounding.fold_even
    """
    folded = fold_affine(gain, offset)
    multiplier = folded.multiplier
    power = ops.logical_and(
        multiplier > 0, ops.bitwise_and(multiplier, multiplier - 1) == ops.zeros_like(multiplier)
    )
    scale = ops.cast(ops.left_shift(ops.ones_like(folded.shift), folded.shift), "float64")
    same = ops.logical_and(gain <= 0.5, ops.cast(multiplier, "float64") == gain * scale)
    exact = ops.logical_and(power, same)
    place = offset / ops.where(exact, gain, ops.ones_like(gain))
    bias = ops.where(exact, ops.cast(ops.floor(place), "int64"), folded.bias)
    whole = ops.cast(bias, "float64") == place
    even = ops.cast(ops.logical_or(ops.logical_not(exact), whole), "int64")
    return Affine(bias, multiplier, folded.shift), even


def fold_threshold(gain: Any, offset: Any) -> tuple[Any, Any]:
    """Threshold (int64) and direction (bool) of the sign of an affine map.

    Twin: tinyq.numerics.rounding.fold_threshold
    """
    still = gain == 0
    crossing = -offset / ops.where(still, ops.ones_like(gain), gain)
    crossing = ops.clip(crossing, float(INT32_MIN), float(INT32_MAX) - 1.0)
    threshold = ops.where(gain > 0, ops.ceil(crossing), ops.floor(crossing) + 1.0)
    threshold = ops.where(still, float(INT32_MIN) * ops.ones_like(threshold), threshold)
    flip = ops.where(still, offset < 0, gain < 0)
    return ops.cast(threshold, "int64"), flip


def fold_steps(gain: Any, offset: Any, borders: Any) -> tuple[Any, Any]:
    """Thresholds (int64, shape (steps, channels)) and direction (bool) of a map with several steps.

    Args:
        gain: Real value per accumulator unit, float64, shape (channels,).
        offset: Real value at accumulator 0, float64, shape (channels,).
        borders: float64, shape (steps,).

    Twin: tinyq.numerics.rounding.fold_steps
    """
    gain = gain * ops.ones_like(offset)
    threshold, flip = fold_threshold(gain, offset - ops.expand_dims(borders, -1))
    never = ops.logical_and(gain == 0, flip)
    most = INT32_MAX * ops.ones_like(threshold)
    return ops.where(never, most, threshold), gain < 0


def divide_half_up(total: Any, count: Any) -> Any:
    """Mean of integers, half rounded up.

        y = floor((2 * total + count) / (2 * count))

    Twin: tinyq.numerics.rounding.divide_half_up
    """
    return ops.floor_divide(2 * total + count, 2 * count)


def softmax_table(scale: Any) -> Any:
    """Exponentials of all differences that two 8-bit codes can have, int64, shape (256,).

    Twin: tinyq.numerics.rounding.softmax_table
    """
    difference = ops.convert_to_tensor(np.arange(256, dtype=np.float64))
    return ops.cast(ops.floor(ops.exp(-scale * difference) * 65535.0 + 0.5), "int64")


def softmax(codes: Any, table: Any) -> Any:
    """Integer softmax over the last axis.

    Args:
        codes: 8-bit codes, int64, shape (..., classes).
        table: See ``softmax_table``.

    Returns:
        Codes of scale 1/256 and zero point -128, int64.

    Twin: tinyq.numerics.rounding.softmax
    """
    difference = ops.max(codes, axis=-1, keepdims=True) - codes
    powers = ops.take(table, difference)
    total = ops.sum(powers, axis=-1, keepdims=True)
    shares = ops.floor_divide(256 * powers + ops.floor_divide(total, 2), total)
    return ops.minimum(shares - 128, 127)
