"""Windows of 3 x 3 of single channels, a weight in a word.

For each channel: bias, multiplier, and addend and shift where the stage rounds twice; then the
nine weights, row by row.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np

from tinyq.codegen.layouts import Arrangement, Table
from tinyq.codegen.layouts.order import taps_by_channel
from tinyq.codegen.layouts.scaling import (
    Fold,
    fold_stage,
    grow_weights,
    refuse_any_scaling,
    sum_reach,
    to_words,
)

if TYPE_CHECKING:
    from tinyq.kernels.layer import LayerSpec

_WORD = 2**31 - 1


def refuse(layer: LayerSpec) -> str:
    """Why these constants do not fit, empty where they do."""
    weights = layer.operands[-1]
    if weights is None or "bias" not in layer.constants:
        return "the constants are no constants"
    return refuse_any_scaling(layer, sum_reach(layer, taps_by_channel(weights)))


def arrange(layer: LayerSpec) -> Arrangement:
    """One stream of words; ``power``: by how many bits accumulators are shifted to the left."""
    return arrange_taps(layer, fold_stage)


def arrange_taps(layer: LayerSpec, fold: Fold) -> Arrangement:
    """The same with the constants of the output stage as `fold` makes them."""
    weights = layer.operands[-1]
    assert weights is not None
    flat = taps_by_channel(weights)
    bias, tail, numbers = fold(layer, flat.sum(1))
    flat, bias, numbers = grow_weights(flat, bias, numbers, _WORD)
    if tail.shape[1] > 1:
        tail = tail[:, [1, 2, 0]]
    stream = to_words(np.concatenate([bias[:, None], tail, flat], axis=1)).reshape(-1)
    table = Table("weights", stream, "a channel: bias, multiplier, nine weights")
    return Arrangement((table,), MappingProxyType(dict(numbers)))
