"""Proofs that the C code of a graph never leaves its integers, whatever the input is.

Each operation and each epilogue says in ``prove`` which constants it takes and how far its sums can
go; ``Graph.verify`` asks all of them. Sums are bounded channel by channel from the actual weights:

    low  = sum of min(w * lo, w * hi, 0),   high = sum of max(w * lo, w * hi, 0)

with the smallest and largest code of the input, so that every partial sum in any order lies within
the bounds as well.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tinyq.errors import ModelError
from tinyq.graph.tensors import Operand
from tinyq.numerics.packing import MOST
from tinyq.numerics.rounding import INT32_MAX, INT32_MIN, MAX_SHIFT

Int64s = npt.NDArray[np.int64]
SHIFTS = (1, MAX_SHIFT)
MANTISSAS = (0, INT32_MAX)
EXPONENTS = (-31, 30)
INT32 = (INT32_MIN, INT32_MAX)
_REMEDY = "convert or train the model again; a file like this one computes other codes in C"


@dataclass(frozen=True, slots=True, eq=False)
class Bounds:
    """Smallest and largest sum per output channel, int64; every partial sum lies within them."""

    low: Int64s
    high: Int64s

    def __add__(self, other: Bounds) -> Bounds:
        return Bounds(self.low + other.low, self.high + other.high)

    def scaled(self, factor: int) -> Bounds:
        """The bounds of a multiple."""
        ends = self.low * factor, self.high * factor
        return Bounds(np.minimum(*ends), np.maximum(*ends))


def centered(operand: Operand, zero_point: int) -> tuple[int, int]:
    """Smallest and largest code minus the zero point, with 0 in between: padding adds nothing."""
    return min(operand.lo - zero_point, 0), max(operand.hi - zero_point, 0)


def elements(operand: Operand, zero_point: int = 0) -> Bounds:
    """Bounds of single elements, the zero point taken off, for all channels together."""
    low, high = centered(operand, zero_point)
    return Bounds(np.asarray([low], np.int64), np.asarray([high], np.int64))


def multiplied(one: Bounds, other: Bounds) -> Bounds:
    """Bounds of a product of two single elements."""
    corners = [a * b for a in (one.low, one.high) for b in (other.low, other.high)]
    return Bounds(np.minimum.reduce(corners), np.maximum.reduce(corners))


def products(operand: Operand, zero_point: int, weights: Operand, channel_axis: int) -> Bounds:
    """Bounds of sums of products with weights.

    Args:
        operand: The data.
        zero_point: Its zero point.
        weights: The weights; computed ones may be any codes of their format.
        channel_axis: Axis of the output channels: 0, or -1 for a depthwise convolution.
    """
    low, high = centered(operand, zero_point)
    positive, negative = _parts(weights, channel_axis)
    if weights.type.format.table == "basis":  # its numbers are added one by one, some in vain
        taps = int(np.prod(weights.type.shape, dtype=np.int64)) // len(positive)
        reach = np.asarray([taps * MOST * max(-low, high)], np.int64)
        require_sums(Bounds(-reach, reach), "the sum over the basis")
    return Bounds(positive * low + negative * high, positive * high + negative * low)


def _parts(weights: Operand, channel_axis: int) -> tuple[Int64s, Int64s]:
    """Sum of the positive and of the negative weights of each output channel."""
    shape = weights.type.shape
    channels = shape[channel_axis]
    taps = int(np.prod(shape, dtype=np.int64)) // channels
    if weights.codes is None:
        ends = (max(weights.hi, 0) * taps, min(weights.lo, 0) * taps)
        return np.full(channels, ends[0], np.int64), np.full(channels, ends[1], np.int64)
    rows = np.moveaxis(weights.codes, channel_axis, 0).reshape(channels, -1)
    if weights.type.format.bits > 16:
        rows = rows.astype(np.int64)  # the magnitude of -2**31 is no int32
    total, size = rows.sum(axis=1, dtype=np.int64), np.abs(rows).sum(axis=1, dtype=np.int64)
    return (size + total) // 2, (total - size) // 2


def require_sums(bounds: Bounds, what: str, lo: int = INT32_MIN, hi: int = INT32_MAX) -> None:
    """Check that sums stay in their integers.

    Raises:
        ModelError: One can leave lo .. hi.
    """
    bad = (bounds.low < lo) | (bounds.high > hi)
    if bad.any():
        channel = int(np.argmax(bad))
        raise ModelError(
            f"{what} of channel {channel} can reach {int(bounds.low[channel]):,} .. "
            f"{int(bounds.high[channel]):,}, outside of {lo:,} .. {hi:,}",
            remedy=_REMEDY,
        )


def require_values(values: npt.ArrayLike, what: str, limits: tuple[int, int]) -> None:
    """Check constants or attributes.

    Raises:
        ModelError: One lies outside of its documented range.
    """
    lo, hi = limits
    array = np.atleast_1d(np.asarray(values))
    bad = (array < lo) | (array > hi)
    if bad.any():
        place = int(np.argmax(bad))
        found = int(array.reshape(-1)[place])
        where = f" at {place}" if array.size > 1 else ""
        raise ModelError(
            f"{what} is {found:,}{where}, its range is {lo:,} .. {hi:,}", remedy=_REMEDY
        )


def require_constant(operand: Operand, what: str) -> npt.NDArray[np.int32]:
    """The codes of a constant.

    Raises:
        ModelError: It is computed, so that nothing is known of it.
    """
    if operand.codes is None:
        raise ModelError(f"{what} is computed, it must be a constant")
    return operand.codes
