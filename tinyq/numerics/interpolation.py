"""Tables that TFLite makes in floating point, and how it reads between their entries."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from tinyq.numerics.fixed_point import Int32s, Int64s


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
