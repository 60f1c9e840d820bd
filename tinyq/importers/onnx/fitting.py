"""Integers that round as floating point does, proven step by step on import.

onnxruntime scales accumulators in float32 and rounds to even. Codes are few and rise with the
accumulator, so integers that step from each code to the next at the same accumulator are equal to
it for every input. The steps are found by bisection of the float32 function itself.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tinyq.graph.offset_epilogue import SINGLE_SHIFTS
from tinyq.numerics.offsets import join_words, round_down, split_words
from tinyq.numerics.rounding import INT32_MAX, MAX_SHIFT, fold_affine, requantize
from tinyq.numerics.single import SIGNIFICANT, split_single

Int64s = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Rounded = Callable[[Int64s], Int64s]
"""Codes, zero point included and not yet clipped, of accumulators (channels, n)."""
_LEAST_GAIN = 2.0**-60


@dataclass(frozen=True, slots=True, eq=False)
class Steps:
    """Where codes change, for each channel.

    Attributes:
        codes: Codes above the smallest, shape (codes,).
        first: Smallest accumulator with at least that code, shape (channels, codes); one above the
            largest accumulator where there is none.
        low: Smallest accumulator of each channel, shape (channels, 1).
        high: Largest accumulator.
    """

    codes: Int64s
    first: Int64s
    low: Int64s
    high: Int64s

    def agree(self, rounded: Rounded) -> npt.NDArray[np.bool_]:
        """Whether a rising function has these steps, for each channel."""
        reached = self.first <= self.high
        above = np.maximum(self.first, self.low)
        good = ~reached | (rounded(np.minimum(above, self.high)) >= self.codes)
        before = self.first > self.low
        good &= ~before | (rounded(np.maximum(self.first - 1, self.low)) < self.codes)
        return np.asarray(good.all(axis=1))


def find_steps(rounded: Rounded, span: tuple[int, int], low: Int64s, high: Int64s) -> Steps:
    """Steps of a rising function of accumulators.

    Args:
        rounded: The function.
        span: Smallest and largest code after clipping.
        low: Smallest accumulator of each channel, shape (channels,).
        high: Largest one.
    """
    codes = np.arange(span[0] + 1, span[1] + 1, dtype=np.int64)
    least, most = low[:, None].astype(np.int64), high[:, None].astype(np.int64)
    shape = (len(low), len(codes))
    below, above = np.broadcast_to(least - 1, shape), np.broadcast_to(most + 1, shape)
    while (above - below > 1).any():
        middle = (below + above) >> 1
        inside = np.clip(middle, least, most)
        reached = (rounded(inside) >= codes) & (middle >= least)
        reached |= middle > most
        below, above = np.where(reached, below, middle), np.where(reached, middle, above)
    return Steps(codes, np.asarray(above), least, most)


def fit_plain(
    steps: Steps, gains: Floats, biases: Int64s, zero: int
) -> tuple[npt.NDArray[np.int32], ...] | None:
    """Bias, multiplier and shift of ``Requantize`` with the same steps; None where there is none.

    Args:
        steps: Those of floating point.
        gains: Output codes per accumulator unit, at least 0.
        biases: In accumulator units.
        zero: Zero point, which is added after rounding.
    """
    if not gains.max() < 2.0**29 or not np.abs(biases).max() < 2**30:
        return None
    folded = fold_affine(gains, biases * gains)
    for wanted in (folded.bias.astype(np.int64), biases):
        reach = [wanted[:, None] + end for end in (steps.low, steps.high)]
        if max(np.abs(end).max() for end in reach) > INT32_MAX:
            continue
        bias = wanted[:, None].astype(np.int32)
        multiplier, shift = folded.multiplier[:, None], folded.shift[:, None]

        def rounded(acc: Int64s) -> Int64s:
            return requantize(acc, bias, multiplier, shift) + zero  # noqa: B023

        if steps.agree(rounded).all():
            return wanted.astype(np.int32), folded.multiplier, folded.shift
    return None


def nearest_line(
    gains: Floats, offsets: Floats, biases: Int64s, zero: int, even: int
) -> tuple[npt.NDArray[np.int32], ...]:
    """Constants of ``RequantizeOffset`` that are nearest to an affine map of accumulators.

    Args:
        gains: Output codes per accumulator unit, at least 0.
        offsets: Output codes at accumulator 0, without the zero point; beside ``biases``.
        biases: In accumulator units, exact.
        zero: Zero point.
        even: 1 where a half goes to the even code.
    """
    farthest = np.abs(offsets) + np.abs(biases * gains) + abs(zero) + 1.0
    power = np.frexp(np.maximum(gains, _LEAST_GAIN))[1]
    shift = np.clip(np.minimum(31 - power, 59 - np.frexp(farthest)[1]), 1, MAX_SHIFT)
    shift = shift.astype(np.int64)
    multiplier = np.minimum(np.floor(np.ldexp(gains, shift) + 0.5), INT32_MAX).astype(np.int64)
    fine = np.floor(np.ldexp(offsets, shift) + 0.5).astype(np.int64)
    half = np.left_shift(np.int64(1), shift - 1)
    high, low = split_words(fine + biases * multiplier + 2 * half * zero + half)
    flags = np.full(len(shift), even, np.int32)
    return multiplier.astype(np.int32), high, low, shift.astype(np.int32), flags


def single_factors(
    factors: npt.NDArray[np.float32],
) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int32]] | None:
    """Multiplier and shift of ``RequantizeSingle`` for factors of each channel.

    Returns:
        None where a factor is too large or too small for its integers.
    """
    pairs = [split_single(factor) for factor in factors]
    multiplier = np.asarray([pair[0] for pair in pairs], np.int64)
    shift = np.asarray([pair[1] for pair in pairs], np.int64)
    up = np.maximum(-shift, 0)
    multiplier, shift = multiplier << up, shift + up
    most = SINGLE_SHIFTS[1]
    if multiplier.max() >= 2**SIGNIFICANT or shift.max() > most:
        return None
    return multiplier.astype(np.int32), shift.astype(np.int32)


def fit_sum(
    wanted: npt.NDArray[np.int64],
    gains: tuple[float, float],
    offset: float,
    span: tuple[int, int],
    even: int,
) -> npt.NDArray[np.int32] | None:
    """Constants of ``OffsetAdd`` for one channel that give wanted codes for all pairs of int8.

    Args:
        wanted: Codes, shape (256, 256): of x -128 .. 127, then of y.
        gains: Output codes per code of x and of y.
        offset: Output code of (0, 0).
        span: Smallest and largest code after clipping.
        even: Where a half goes, as of ``OffsetAdd``.

    Returns:
        Shape (6,); None where the integers nearest to the gains differ somewhere.
    """
    row = sum_row(gains[0], gains[1], offset + 0.5, even)
    if _sum_agrees(row, wanted, span):
        return row.astype(np.int32)
    return None


def sum_row(first: float, second: float, offset: float, even: int) -> Int64s:
    """Constants of ``OffsetAdd`` for one channel, the nearest to two gains and an offset."""
    largest = max(abs(first), abs(second), _LEAST_GAIN)
    shift = min(31 - int(np.frexp(largest)[1]), 59 - int(np.frexp(abs(offset) + 1.0)[1]), MAX_SHIFT)
    shift = max(shift, 1)
    factors = [int(np.floor(np.ldexp(value, shift) + 0.5)) for value in (first, second)]
    factors = [min(max(factor, -INT32_MAX), INT32_MAX) for factor in factors]
    high, low = split_words(int(np.floor(np.ldexp(offset, shift) + 0.5)))
    return np.asarray([*factors, int(high), int(low), shift, even], np.int64)


def _sum_agrees(row: Int64s, wanted: Int64s, span: tuple[int, int]) -> bool:
    codes = np.arange(-128, 128, dtype=np.int64)
    total = codes[:, None] * row[0] + codes[None, :] * row[1]
    high, low, shift, even = (row[at : at + 1].astype(np.int32) for at in range(2, 6))
    rounded = round_down(total + join_words(high, low), shift, even)
    return bool((np.clip(rounded, *span) == wanted).all())
