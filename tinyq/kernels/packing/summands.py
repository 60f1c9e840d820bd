"""Both operands of a sum as tables in flash: what TFLite's scaling makes of each code, doubled.

    acc = x_table[x] + y_table[y]

The table of x has the bias as well. The epilogue's constants are the same for all channels and go
into the kernel's text.

+----------+
| summands |
| 256      |
+----------+
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from tinyq.kernels.layer import LayerSpec
from tinyq.kernels.packing.epilogue import (
    TWICE,
    Epilogue,
    fold_scaling_twice,
    refuse_scaling_twice,
)
from tinyq.kernels.packing.record import Record, Table
from tinyq.kernels.packing.terms import list_terms
from tinyq.kernels.packing.words import Int64s, to_words

CODES = Record("summands:256")

_MOST_ADDEND = 2**30
# The codes in the order of the unsigned bytes that hold them.
_ORDER = np.arange(256, dtype=np.uint8).view(np.int8).astype(np.int64) + 128


@dataclass(frozen=True, slots=True, eq=False)
class SummandSum:
    """Constants of y = epilogue(x_table[x] + y_table[y]).

    Attributes:
        epilogue: Its integers, with the shift.
        multiplier: Of the epilogue.
        addend: Of the epilogue.
        lifted: The same for codes that are counted from the lowest one until they are clipped.
        tables: Of both operands.
        count: Elements.
    """

    epilogue: Epilogue
    multiplier: int
    addend: int
    lifted: int
    tables: tuple[Table, Table]
    count: int


def refuse_summands(layer: LayerSpec) -> str:
    """Why these constants do not fit, empty where they do."""
    if layer.epilogue != TWICE:
        return f"the epilogue is {layer.epilogue or 'missing'}"
    if any(np.ptp(table) for table in layer.constants.values()):
        return "the channels have different constants"
    x, y = _list_summands(layer)
    reach = np.abs(x).max() + np.abs(y).max()
    reason = refuse_scaling_twice(layer, np.full(len(layer.constants["bias"]), reach))
    if not reason and fold_summands(layer).lifted >= _MOST_ADDEND:
        return "the zero point does not fit beside the product"
    return reason


def fold_summands(layer: LayerSpec) -> SummandSum:
    """Constants of a layer that `refuse_summands` does not refuse."""
    scaling, addends, shifts = fold_scaling_twice(layer, np.zeros(1, np.int64))
    epilogue = replace(scaling.epilogue, shift=int(shifts.flat[0]))
    addend = int(addends.flat[0])
    x, y = (CODES.pack({}, summands=to_words(2 * it)) for it in _list_summands(layer))
    return SummandSum(
        epilogue,
        int(scaling.multiplier.flat[0]),
        addend,
        replace(epilogue, addend=addend).lift().addend,
        (
            Table("x", x, "by code of x: what it adds to twice the sum", "x_table"),
            Table("y", y, "by code of y", "y_table"),
        ),
        layer.geometry["rows"] * layer.geometry["channels"],
    )


def _list_summands(layer: LayerSpec) -> tuple[Int64s, Int64s]:
    bias, sign = int(layer.constants["bias"].flat[0]), layer.geometry["y_sign"]
    return list_terms(layer, "x")[_ORDER] + bias, list_terms(layer, "y")[_ORDER] * sign
