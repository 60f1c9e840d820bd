"""Two channels by two weights as in `pairs`, for kernels that leave their sums to the output stage.

For each pair of channels: what takes the zero point of the inputs out of the sums, weights. The
bias is the stage's.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np

from tinyq.codegen.kernels import find_accumulator
from tinyq.codegen.layouts import Arrangement, Table, pairs
from tinyq.codegen.layouts.order import by_channel

if TYPE_CHECKING:
    from tinyq.kernels.layer import LayerSpec

_RAW = 3


def refuse(layer: LayerSpec) -> str:
    """Why these constants do not fit, empty where they do."""
    if layer.operands[-1] is None:
        return "the weights are no constants"
    if find_accumulator(layer.epilogue) != "int32_t":
        return f"the output stage {layer.epilogue} takes no int32"
    return "" if pairs.refuse(layer) else "another kernel finishes these outputs without a call"


def arrange(layer: LayerSpec) -> Arrangement:
    """One stream of words; ``clip`` is 3."""
    weights = layer.operands[-1]
    assert weights is not None
    sums = by_channel(weights).sum(1)
    bias = -layer.geometry.get("x_zero", 0) * sums
    nothing = np.zeros((len(sums), 0), np.int64)
    stream = pairs.stream_pairs(layer, weights.astype(np.int64), bias, nothing)
    table = Table("weights", stream, "two channels: -zero point * sum of weights, weights as int16")
    return Arrangement((table,), MappingProxyType({"clip": _RAW}), staged=True)
