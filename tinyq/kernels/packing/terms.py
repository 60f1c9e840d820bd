"""Sums whose operands are scaled and rounded each: what every code adds is listed in RAM."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tinyq.kernels.layer import LayerSpec
from tinyq.kernels.packing.epilogue import (
    TWICE,
    Epilogue,
    fold_scaling_twice,
    refuse_scaling_twice,
)
from tinyq.kernels.packing.words import Int64s
from tinyq.numerics import fixed_point


@dataclass(frozen=True, slots=True)
class TermSum:
    """Constants of y = epilogue(x_term[x] + y_term[y]), the same for all channels.

    Attributes:
        epilogue: Its clip range.
        bias: To add to the terms of the first operand.
        multiplier: Of the epilogue.
        addend: Of the epilogue, see `refuse_scaling_twice`.
        shift: The last one of the epilogue.
        count: Elements.
    """

    epilogue: Epilogue
    bias: int
    multiplier: int
    addend: int
    shift: int
    count: int


def refuse_terms(layer: LayerSpec) -> str:
    """Why these constants do not fit, empty where they do."""
    if layer.epilogue != TWICE:
        return f"the epilogue is {layer.epilogue or 'missing'}"
    if any(np.ptp(table) for table in layer.constants.values()):
        return "the channels have different constants"
    reach = sum(np.abs(list_terms(layer, operand)).max() for operand in ("x", "y"))
    bias = np.abs(layer.constants["bias"].astype(np.int64))
    return refuse_scaling_twice(layer, bias + reach)


def fold_terms(layer: LayerSpec) -> TermSum:
    """Constants of a layer that `refuse_terms` does not refuse."""
    scaling, addend, shift = fold_scaling_twice(layer, np.zeros(1, np.int64))
    return TermSum(
        scaling.epilogue,
        int(layer.constants["bias"].flat[0]),
        int(scaling.multiplier.flat[0]),
        int(addend.flat[0]),
        int(shift.flat[0]),
        layer.geometry["rows"] * layer.geometry["channels"],
    )


def list_terms(layer: LayerSpec, operand: str) -> Int64s:
    """What every code of an operand, ``x`` or ``y``, adds, from the lowest code on."""
    g = layer.geometry
    codes = np.arange(-128, 128, dtype=np.int64) - g[f"{operand}_zero"]
    scaled = codes << g["left_shift"]
    return fixed_point.scale_twice(scaled, g[f"{operand}_multiplier"], g[f"{operand}_exponent"])
