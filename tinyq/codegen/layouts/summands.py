"""Both operands of a sum as tables: what TFLite's scaling makes of each code, doubled.

    acc = x_table[x] + y_table[y]

The table of x has the bias as well. The stage's constants are the same for all channels and go
into the kernel's text.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np

from tinyq.codegen.layouts import Arrangement, Table
from tinyq.codegen.layouts.scaling import (
    Int64s,
    fold_scaling_twice,
    lift_addend,
    refuse_scaling_twice,
    to_words,
)
from tinyq.numerics import fixed_point

if TYPE_CHECKING:
    from tinyq.kernels.layer import LayerSpec

_LARGEST_ADDEND = 2**30
# The codes in the order of the unsigned bytes that hold them.
_CODES = np.arange(256, dtype=np.uint8).view(np.int8).astype(np.int64)


def refuse(layer: LayerSpec) -> str:
    """Why these constants do not fit, empty where they do."""
    if layer.epilogue != "requantizetwice":
        return f"the output stage is {layer.epilogue or 'missing'}"
    if any(np.ptp(table) for table in layer.constants.values()):
        return "the channels have different constants"
    x, y = _summands(layer)
    reach = np.abs(x).max() + np.abs(y).max()
    reason = refuse_scaling_twice(layer, np.full(len(layer.constants["bias"]), reach))
    if not reason and _count_from_lowest(arrange(layer).numbers) >= _LARGEST_ADDEND:
        return "the zero point does not fit beside the product"
    return reason


def arrange(layer: LayerSpec) -> Arrangement:
    """Two tables; ``multiplier``, ``addend``, ``shift``, and ``lifted``: from the lowest code."""
    scaling, addend, shift = fold_scaling_twice(layer, np.zeros(1, np.int64))
    numbers = {
        **scaling.numbers,
        "power": 0,
        "multiplier": int(scaling.multiplier.flat[0]),
        "addend": int(addend.flat[0]),
        "shift": int(shift.flat[0]),
    }
    x, y = _summands(layer)
    return Arrangement(
        (
            Table("x", to_words(2 * x), "by code of x: what it adds to twice the sum"),
            Table("y", to_words(2 * y), "by code of y"),
        ),
        MappingProxyType({**numbers, "lifted": _count_from_lowest(numbers)}),
    )


def _count_from_lowest(numbers: Mapping[str, int]) -> int:
    return lift_addend(numbers)["addend"]


def _summands(layer: LayerSpec) -> tuple[Int64s, Int64s]:
    g = layer.geometry
    first, second = (
        fixed_point.scale_twice(
            (_CODES - g[f"{key}_zero"]) << g["left_shift"],
            g[f"{key}_multiplier"],
            g[f"{key}_exponent"],
        )
        for key in ("x", "y")
    )
    return first + int(layer.constants["bias"].flat[0]), second * g["y_sign"]
