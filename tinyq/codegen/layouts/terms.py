"""A sum whose operands are scaled and rounded each: what every code adds is listed in RAM."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np

from tinyq.codegen.layouts import Arrangement
from tinyq.codegen.layouts.scaling import Int64s, fold_scaling_twice, refuse_scaling_twice
from tinyq.numerics import fixed_point

if TYPE_CHECKING:
    from tinyq.kernels.layer import LayerSpec


def refuse(layer: LayerSpec) -> str:
    """Why these constants do not fit, empty where they do."""
    if layer.epilogue != "requantizetwice":
        return f"the output stage is {layer.epilogue or 'missing'}"
    if any(np.ptp(table) for table in layer.constants.values()):
        return "the channels have different constants"
    reach = sum(np.abs(_list_terms(layer, operand)).max() for operand in ("x", "y"))
    bias = np.abs(layer.constants["bias"].astype(np.int64))
    return refuse_scaling_twice(layer, bias + reach)


def arrange(layer: LayerSpec) -> Arrangement:
    """No table; ``bias``, ``multiplier``, ``addend`` and ``shift`` of all channels."""
    scaling, addend, shift = fold_scaling_twice(layer, np.zeros(1, np.int64))
    numbers = {
        **scaling.numbers,
        "bias": int(layer.constants["bias"].flat[0]),
        "multiplier": int(scaling.multiplier.flat[0]),
        "addend": int(addend.flat[0]),
        "shift": int(shift.flat[0]),
    }
    return Arrangement(numbers=MappingProxyType(numbers))


def _list_terms(layer: LayerSpec, operand: str) -> Int64s:
    g = layer.geometry
    codes = np.arange(-128, 128, dtype=np.int64) - g[f"{operand}_zero"]
    scaled = codes << g["left_shift"]
    return fixed_point.scale_twice(scaled, g[f"{operand}_multiplier"], g[f"{operand}_exponent"])
