"""Staircases: which of many levels a value has reached, in as few passes as the borders allow."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf
from keras import ops

_LONGEST_COMPARED = 2
_GRID = 2.0  # halves: floats hold them and their differences exactly
_EXPONENT = -(2**23)  # bits of sign and exponent, as an int32


@dataclass(frozen=True, slots=True)
class Flight:
    """Stairs of the same width and height.

    Attributes:
        first: Where the first begins.
        width: Distance of the next, 0 for a single stair.
        count: Number of stairs.
        rise: Height of each.
    """

    first: float
    width: float
    count: int
    rise: int


def climb(positions: Any, borders: tuple[float, ...], levels: tuple[int, ...]) -> Any:
    """The level of the last border that is reached, 0 before the first.

        y = n_i for t_i <= x < t_(i+1), 0 for x < t_1

    Args:
        positions: x, float32, any shape.
        borders: t_1 .. t_m, ascending and positive; they decide as float32.
        levels: n_1 .. n_m, ascending and positive.

    Returns:
        Integers in float32, shape of the positions.
    """
    if len(levels) > _LONGEST_COMPARED and _doubles(borders, levels):
        return _climb_powers(positions, borders, levels[-1])
    return sum(_climb_flight(positions, flight) for flight in split_flights(borders, levels))


def count_reached(positions: Any, borders: Any) -> Any:
    """How many borders are reached, whatever they are at this moment.

        y = number of t_i <= x

    Args:
        positions: x, float32, any shape.
        borders: t_1 .. t_m, ascending, float32 tensor of shape (m,).

    Returns:
        Integers in float32, shape of the positions.
    """
    return sum(ops.cast(positions >= border, "float32") for border in ops.unstack(borders))


def split_flights(borders: tuple[float, ...], levels: tuple[int, ...]) -> Iterator[Flight]:
    """The longest flights of a staircase whose borders are multiples of 1/2, and single stairs."""
    rises = np.diff(levels, prepend=0)
    start = 0
    while start < len(borders):
        count = _measure_flight(borders[start:], rises[start:])
        if count <= _LONGEST_COMPARED:
            count, width = 1, 0.0
        else:
            width = borders[start + 1] - borders[start]
        yield Flight(borders[start], width, count, int(rises[start]))
        start += count


def _measure_flight(borders: tuple[float, ...], rises: np.ndarray) -> int:
    """How many stairs from the first on are alike, and computed without rounding."""
    if len(borders) < _LONGEST_COMPARED or borders[0] * _GRID % 1.0:
        return 1
    width = borders[1] - borders[0]
    if np.frexp(width)[0] != 0.5:  # no power of two
        return 1
    alike = [
        border == borders[0] + place * width and rise == rises[0]
        for place, (border, rise) in enumerate(zip(borders, rises, strict=True))
    ]
    return [*alike, False].index(False)


def _climb_flight(positions: Any, flight: Flight) -> Any:
    if flight.count == 1:
        height = ops.cast(positions >= flight.first, "float32")
    else:
        stairs = ops.floor((positions - (flight.first - flight.width)) * (1.0 / flight.width))
        height = ops.clip(stairs, 0.0, float(flight.count))
    return height * float(flight.rise)


def _doubles(borders: tuple[float, ...], levels: tuple[int, ...]) -> bool:
    """Whether levels are 1, 2, 4 .. and so are borders, but for a factor and the first."""
    powers = 2 ** np.arange(len(levels))
    later = np.array(borders[1:], np.float32)
    same = np.array_equal(later, later[0] * powers[:-1].astype(np.float32))
    return same and bool(1.0 < later[0] <= 2.0) and np.array_equal(levels, powers)


def _climb_powers(positions: Any, borders: tuple[float, ...], highest: int) -> Any:
    """Powers of two by the bits of floats.

    A shift of the bits takes the borders to powers of two; what is left of their fractions goes.
    """
    border, power = np.array([borders[1], 2.0], np.float32).view(np.int32)
    shifted = tf.bitcast(positions, tf.int32) + (power - border)
    whole = tf.bitcast(tf.bitwise.bitwise_and(shifted, _EXPONENT), tf.float32)
    reached = ops.cast(positions >= borders[0], "float32")
    return ops.clip(whole, 1.0, float(highest)) * reached
