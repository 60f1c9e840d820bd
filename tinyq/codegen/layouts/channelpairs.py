"""Four channels by words of two weights each, for 64 bit accumulators.

A word holds the weights of two channels for one input, w0 + 2^24 * w1. Its products with a code add
up to A0 + 2^24 * A1; both are exact while |A0| is less than 2^23. For each four channels: where
the two sums begin, two words each; for each input the words of both pairs; four multipliers where
the stage has them. Inputs are padded to groups of four.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np

from tinyq.codegen.layouts import Arrangement, Table
from tinyq.codegen.layouts.order import by_channel
from tinyq.codegen.layouts.scaling import (
    fold_rows,
    grow_weights,
    refuse_any_scaling,
    sum_reach,
    to_words,
)

if TYPE_CHECKING:
    from tinyq.kernels.layer import LayerSpec

_FIELD_BITS = 24
_BLOCK, _GROUP = 4, 4
_BYTE = 127


def refuse(layer: LayerSpec) -> str:
    """Why these constants do not fit, empty where they do."""
    weights = layer.operands[-1]
    if weights is None or "bias" not in layer.constants:
        return "the constants are no constants"
    if weights[1::2].min(initial=0) < -127:
        return "an odd channel has a weight of -128"
    reach = sum_reach(layer, by_channel(weights))
    if reach.max() >= 1 << (_FIELD_BITS - 1):
        return "accumulators leave 24 bits"
    return "" if layer.epilogue == "raw" else refuse_any_scaling(layer, reach)


def arrange(layer: LayerSpec) -> Arrangement:
    """One stream of words; for a raw output ``clip`` is 3."""
    weights = layer.operands[-1]
    assert weights is not None
    rows = by_channel(weights)
    bias, multiplier, numbers = fold_rows(layer, rows.sum(1))
    room = ((1 << (_FIELD_BITS - 1)) - 1) >> numbers["power"]
    if sum_reach(layer, rows).max() <= room:
        rows, bias, numbers = grow_weights(rows, bias, numbers, _BYTE)
    block = (0, -len(rows) % _BLOCK)
    padded = np.pad(rows, (block, (0, -rows.shape[1] % _GROUP)))
    words = to_words(padded[0::2] + (padded[1::2] << _FIELD_BITS))
    body = np.stack([words[0::2], words[1::2]], axis=2).reshape(len(padded) // _BLOCK, -1)
    bias = np.pad(bias, block)
    start = bias[0::2] + (bias[1::2] << _FIELD_BITS)
    first = np.stack([to_words(start), to_words(start >> 32)], axis=1).reshape(len(body), -1)
    last = to_words(np.pad(multiplier, (block, (0, 0)))).reshape(len(body), -1)
    stream = np.concatenate([first, body, last], axis=1).reshape(-1)
    comment = "four channels: where sums begin, weights two to a word, multipliers"
    return Arrangement((Table("weights", stream, comment),), MappingProxyType(dict(numbers)))
