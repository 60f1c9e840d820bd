"""Integers that step from code to code at the same sums as a function in floating point."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from tinyq.errors import ModelError
from tinyq.graph.offset_epilogue import RequantizeOffset
from tinyq.importers.tflite.layer import Layer
from tinyq.numerics.offsets import split_words

_MOST_SHIFT = 53
_MANTISSA_BITS = 31
Sums = npt.NDArray[np.int64]


def step_epilogue(
    layer: Layer, sums: Sums, codes: Sums, gains: npt.NDArray[np.float64]
) -> tuple[RequantizeOffset, tuple[Sums, ...]]:
    """Epilogue with the same codes as a table, and its constants.

    Args:
        layer: The operator; its first output says what the codes mean.
        sums: Accumulators that occur, shape (channels, sums), ascending, |sum| < 2**24.
        codes: What they become, of the same shape, ascending too.
        gains: Estimate of the codes per unit, per channel.

    Raises:
        ModelError: A channel steps at sums that no multiplier steps at, and rounding is tflite.
    """
    meaning = layer.type_of(layer.result())
    lo, hi = meaning.format.lo, meaning.format.hi
    found = [
        fit_steps(row, wanted, float(gain), (lo, hi))
        for row, wanted, gain in zip(sums, codes, gains, strict=True)
    ]
    exact = all(gap >= 0 for *_, gap in found)
    if layer.twice and not exact:
        raise ModelError(
            "float32 steps at sums that no multiplier steps at",
            remedy="import with rounding half_up",
        )
    multipliers, offsets, shifts, _ = zip(*found, strict=True)
    high, low = split_words(offsets)
    constants = (multipliers, high, low, shifts, (0,) * len(found))
    output = RequantizeOffset(
        meaning.format.name, float(meaning.scale or 1.0), meaning.zero_point, lo, hi
    )
    return output, tuple(np.asarray(values, np.int64) for values in constants)


def fit_steps(
    sums: Sums, codes: Sums, gain: float, limits: tuple[int, int]
) -> tuple[int, int, int, int]:
    """Multiplier, offset and shift that give a row of codes, and how much room they leave.

        clip(floor((sum * multiplier + offset) / 2**shift), lo, hi) = code

    With a negative room no integers near the gain do that; those returned are nearest.
    """
    if codes[0] == codes[-1]:
        return 0, int(codes[0]) << 1, 1, 0
    shift = int(np.clip(_MANTISSA_BITS - math.frexp(gain)[1], 1, _MOST_SHIFT))
    middle = min(max(round(math.ldexp(gain, shift)), 1), (1 << _MANTISSA_BITS) - 1)
    reach = max(middle >> 8, 2)
    first, last = max(middle - reach, 1), min(middle + reach, (1 << _MANTISSA_BITS) - 1)

    def room(multiplier: int) -> int:
        least, most = _bound_offset(sums, codes, multiplier, shift, limits)
        return most - least

    best = middle
    while room(best) < 0 and last - first > 2:  # concave: it has one peak
        third = (last - first) // 3
        left, right = first + third, last - third
        if room(left) < room(right):
            first = left
        else:
            last = right
        best = (first + last) // 2
    best = max((first, best, last, middle), key=room) if room(best) < 0 else best
    least, most = _bound_offset(sums, codes, best, shift, limits)
    return best, (least + most) >> 1, shift, most - least


def _bound_offset(
    sums: Sums, codes: Sums, multiplier: int, shift: int, limits: tuple[int, int]
) -> tuple[int, int]:
    """Smallest and largest offset under which each sum reaches its code, and not the next one."""
    products = sums.astype(np.int64) * multiplier
    reached, ended = codes > limits[0], codes < limits[1]
    floors = (codes << shift) - products
    least = floors[reached].max() if reached.any() else floors.min() - (1 << shift)
    ceilings = ((codes + 1) << shift) - 1 - products
    most = ceilings[ended].min() if ended.any() else ceilings.max() + (1 << shift)
    return int(least), int(most)
