"""Windows of 3 x 3 of single channels: weights of two neighbouring rows in a word.

For each channel: for each column (w0, w1) and (w1, w2), then multiplier, addend, bias, bias;
the shift in place of the second bias where the stage rounds twice.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from tinyq.codegen.layouts import Arrangement, Table
from tinyq.codegen.layouts.order import taps_by_channel
from tinyq.codegen.layouts.scaling import (
    Int64s,
    Scaling,
    fold_scaling,
    fold_scaling_twice,
    pair_words,
    refuse_scaling,
    refuse_scaling_twice,
    sum_reach,
    to_words,
)

if TYPE_CHECKING:
    from tinyq.kernels.layer import LayerSpec


def refuse(layer: LayerSpec) -> str:
    """Why these constants do not fit, empty where they do."""
    weights = layer.operands[-1]
    if weights is None or "bias" not in layer.constants:
        return "the constants are no constants"
    reach = sum_reach(layer, taps_by_channel(weights))
    if layer.epilogue == "requantizetwice":
        return refuse_scaling_twice(layer, reach)
    return refuse_scaling(layer, reach)


def arrange(layer: LayerSpec) -> Arrangement:
    """Ten words for each channel."""
    weights = layer.operands[-1]
    assert weights is not None
    flat = taps_by_channel(weights)
    scaling, addends, last = fold(layer, flat)
    taps = flat.reshape(-1, 3, 3) << scaling.power
    upper, lower = pair_words(taps[:, 0], taps[:, 1]), pair_words(taps[:, 1], taps[:, 2])
    columns = np.stack([upper, lower], axis=2).reshape(len(flat), 6)
    tail = to_words(np.stack([scaling.multiplier, addends, scaling.bias, last], axis=1))
    words = np.concatenate([columns, tail], axis=1).reshape(-1)
    comment = "a channel: weights of row pairs, multiplier, addend, bias, bias or shift"
    return Arrangement((Table("weights", words, comment),), scaling.numbers)


def fold(layer: LayerSpec, flat: Int64s) -> tuple[Scaling, Int64s, Int64s]:
    """Scaling, addend of each channel, and its second bias or its shift."""
    if layer.epilogue == "requantizetwice":
        return fold_scaling_twice(layer, flat.sum(1))
    scaling = fold_scaling(layer, flat.sum(1))
    return scaling, np.full(len(flat), scaling.numbers["addend"]), scaling.bias
