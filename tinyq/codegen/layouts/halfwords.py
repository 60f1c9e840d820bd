"""Four channels by words of two weights each, as int16.

For each four channels: four biases; for each input the words of both pairs of channels; four
multipliers where the stage has them. Inputs are padded to groups of four.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np

from tinyq.codegen.layouts import Arrangement, Table
from tinyq.codegen.layouts.order import by_channel
from tinyq.codegen.layouts.scaling import (
    fold_from_lowest,
    fold_rows,
    grow_weights,
    pair_words,
    refuse_from_lowest,
    sum_reach,
    to_words,
)

if TYPE_CHECKING:
    from tinyq.kernels.layer import LayerSpec

_BLOCK, _GROUP = 4, 4
_HALFWORD = 2**15 - 1


def refuse(layer: LayerSpec) -> str:
    """Why these constants do not fit, empty where they do."""
    weights = layer.operands[-1]
    if weights is None or "bias" not in layer.constants:
        return "the constants are no constants"
    if layer.epilogue == "raw":
        return ""
    return refuse_from_lowest(layer, sum_reach(layer, by_channel(weights)))


def arrange(layer: LayerSpec) -> Arrangement:
    """One stream of words; for a raw output ``clip`` is 3."""
    weights = layer.operands[-1]
    assert weights is not None
    rows = by_channel(weights)
    fold = fold_rows if layer.epilogue == "raw" else fold_from_lowest
    bias, multiplier, numbers = fold(layer, rows.sum(1))
    rows, bias, numbers = grow_weights(rows, bias, numbers, _HALFWORD)
    block = (0, -len(rows) % _BLOCK)
    padded = np.pad(rows, (block, (0, -rows.shape[1] % _GROUP)))
    words = pair_words(padded[0::2], padded[1::2])
    body = np.stack([words[0::2], words[1::2]], axis=2).reshape(len(padded) // _BLOCK, -1)
    first = to_words(np.pad(bias, block)).reshape(len(body), -1)
    last = to_words(np.pad(multiplier, (block, (0, 0)))).reshape(len(body), -1)
    stream = np.concatenate([first, body, last], axis=1).reshape(-1)
    table = Table("weights", stream, "four channels: biases, weights as int16, multipliers")
    return Arrangement((table,), MappingProxyType(dict(numbers)))
