"""Sums of two tensors whose channels share all constants: they go into the kernel's text."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tinyq.kernels.layer import LayerSpec
from tinyq.kernels.packing.epilogue import (
    Epilogue,
    fold_scaling,
    refuse_epilogue,
    refuse_scaling,
)
from tinyq.kernels.packing.words import Int64s

_INT16 = 2**15


@dataclass(frozen=True, slots=True)
class UniformSum:
    """Constants of y = epilogue(x_1 * x_factor + x_2 * y_factor).

    Attributes:
        epilogue: Its integers.
        bias: To add, without zero points.
        multiplier: Of the epilogue.
        factors: Both factors, int16, in a word.
        count: Elements.
    """

    epilogue: Epilogue
    bias: int
    multiplier: int
    factors: int
    count: int

    @property
    def x_factor(self) -> int:
        """The factor of the first operand."""
        return _sign(self.factors)

    @property
    def y_factor(self) -> int:
        """The factor of the second operand."""
        return _sign(self.factors >> 16)


def refuse_uniform(layer: LayerSpec) -> str:
    """Why these constants do not fit, empty where they do."""
    reason = refuse_epilogue(layer)
    if reason:
        return reason
    if any(np.ptp(table) for table in layer.constants.values()):
        return "the channels have different constants"
    factors = [abs(factor) for factor in _factors(layer)]
    room = (_INT16 // (max(factors) + 1)).bit_length() - 1
    return refuse_scaling(layer, _reach(layer), room)


def fold_uniform(layer: LayerSpec) -> UniformSum:
    """Constants of a layer that `refuse_uniform` does not refuse."""
    g = layer.geometry
    x_factor, y_factor = _factors(layer)
    scaling = fold_scaling(layer, np.zeros(1, np.int64))
    zeros = g["x_zero"] * x_factor + g["y_zero"] * y_factor
    x_factor, y_factor = x_factor << scaling.power, y_factor << scaling.power
    return UniformSum(
        scaling.epilogue,
        int(scaling.bias.flat[0]) - (zeros << scaling.power),
        int(scaling.multiplier.flat[0]),
        (x_factor & 0xFFFF) | (y_factor & 0xFFFF) << 16,
        g["rows"] * g["channels"],
    )


def _sign(word: int) -> int:
    """The low half of a word as int16."""
    return (word + _INT16) % (2 * _INT16) - _INT16


def _factors(layer: LayerSpec) -> tuple[int, int]:
    return layer.geometry["x_factor"], layer.geometry["y_factor"]


def _reach(layer: LayerSpec) -> Int64s:
    g, total = layer.geometry, 0
    zeros = g["x_zero"], g["y_zero"]
    for entry, factor, zero in zip(layer.inputs, _factors(layer), zeros, strict=True):
        total += abs(factor) * max(zero - entry.format.lo, entry.format.hi - zero)
    return total + np.abs(layer.constants["bias"].astype(np.int64))
