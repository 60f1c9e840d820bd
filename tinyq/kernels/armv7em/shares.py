"""What TFLite's gates are made of, 2 / (1 + exp(-x)) with its roundings, as tables.

    share(x) = (line[x >> 7] + (x & 127) * slope[x >> 7]) >> 8 plus a rest of four bits

x is in steps of 2**-12, below 8. From there on the share rises in three places to 2. All of
TFLite's gates have the same share for the same real number, whatever their integer bits, as long as
their codes are no finer than a step.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np

from tinyq.kernels.packing.record import Table
from tinyq.kernels.packing.words import Int64s, to_words
from tinyq.numerics import gates

FINEST_CELL_BITS = 2  # integer bits of cells whose hyperbolic tangent has whole steps
_GATE_BITS, _POINTS, _LINE, _FRACTION = 3, 2**15, 128, 8
_SLOPE_BITS = 9


@dataclass(frozen=True, slots=True)
class Rise:
    """A place behind the tables where the share rises.

    Attributes:
        place: First x, in steps.
        by: How much.
    """

    place: int
    by: int


@dataclass(frozen=True, slots=True)
class Ends:
    """The share behind the tables.

    Attributes:
        first: At 8.
        rises: Behind it.
    """

    first: int
    rises: tuple[Rise, ...]


def _shares(raw: Int64s, bits: int) -> Int64s:
    """Shares of positive codes: half of the logistic function, which saturates at the last one."""
    return (gates.logistic16(raw, bits) + 1) >> 1


@functools.cache
def read_ends() -> Ends:
    """The share from 8 to 16, where it has become 2."""
    raw = np.arange(_POINTS // 2, _POINTS)
    shares = _shares(raw, _GATE_BITS + 1)
    places = np.nonzero(np.diff(shares))[0]
    rises = (Rise(2 * int(raw[it + 1]), int(shares[it + 1] - shares[it])) for it in places)
    return Ends(int(shares[0]), tuple(rises))


@functools.cache
def share_tables() -> tuple[Table, Table]:
    """Lines, their start times 256 in the upper bits, and rests, eight to a word.

    Raises:
        ValueError: A rest does not fit, which is a fault of tinyq.
    """
    shares = _shares(np.arange(_POINTS), _GATE_BITS).reshape(-1, _LINE)
    steps = np.arange(_LINE)
    slopes = np.rint(np.polyfit(steps, shares.T, 1)[0] * 2**_FRACTION).astype(np.int64)
    grown = slopes[:, None] * steps
    starts = ((shares << _FRACTION) - grown).min(axis=1)
    rests = shares - ((starts[:, None] + grown) >> _FRACTION)
    if rests.min() < 0 or rests.max() > 15 or slopes.min() < 0 or slopes.max() >= 2**_SLOPE_BITS:
        raise ValueError("a rest or a slope does not fit")
    nibbles = rests.reshape(-1, 8) << (4 * np.arange(8))
    return (
        Table("lines", to_words(starts << _SLOPE_BITS | slopes), "lines of gates"),
        Table("rests", to_words(nibbles.sum(axis=1)), "rests of gates"),
    )
