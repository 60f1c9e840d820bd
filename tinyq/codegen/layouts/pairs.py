"""Two channels by two weights: int16, for products of a pair of channels with four pixels.

An odd last channel has a neighbour of zeros. For each pair of channels: two biases; for each pair
of weights the word of the first channel and the word of the second; two multipliers, or twice
(shift, multiplier, addend) where the stage rounds twice. Weights follow the panel of activations:
rows of the kernel are padded to whole groups, and even places of a group come before odd ones.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from tinyq.codegen.layouts import Arrangement, Table
from tinyq.codegen.layouts.order import by_channel, order_places
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

# Where the codes of a group come to lie when bytes 0 and 2, then 1 and 3 of a word are widened,
# and when the low, then the high nibbles of a word are made words before.
_ORDERS = MappingProxyType({8: (0, 2, 1, 3), 4: (0, 4, 2, 6, 1, 5, 3, 7)})


def refuse(layer: LayerSpec) -> str:
    """Why these constants do not fit, empty where they do."""
    weights = layer.operands[-1]
    if weights is None:
        return "the weights are no constants"
    if len(weights) % 2 and layer.output.format.bits < 8:
        return "the number of output channels is odd"
    if "bias" not in layer.constants:
        return "the output stage has no bias"
    reach = sum_reach(layer, by_channel(weights))
    if layer.epilogue == "requantizetwice":
        return refuse_scaling_twice(layer, reach)
    return refuse_scaling(layer, reach)


def arrange(layer: LayerSpec) -> Arrangement:
    """One stream of words."""
    weights = layer.operands[-1]
    assert weights is not None
    scaling, tail = _fold(layer, by_channel(weights).sum(1))
    stream = stream_pairs(layer, weights.astype(np.int64) << scaling.power, scaling.bias, tail)
    table = Table("weights", stream, "two channels: biases, weights as int16, multipliers")
    return Arrangement((table,), scaling.numbers)


def stream_pairs(
    layer: LayerSpec, weights: Int64s, bias: Int64s, tail: Int64s
) -> npt.NDArray[np.uint32]:
    """Pairs of channels, one after the other: biases, weights, what each has behind them."""
    odd = (0, len(weights) % 2)
    even = np.pad(weights, (odd, *[(0, 0)] * (weights.ndim - 1)))
    ordered = order_panel(layer, even)
    pairs = pair_words(ordered[:, 0::2], ordered[:, 1::2])
    both = np.stack([pairs[0::2], pairs[1::2]], axis=2).reshape(len(even) // 2, -1)
    first = to_words(np.pad(bias, odd)).reshape(-1, 2)
    last = to_words(np.pad(tail, (odd, (0, 0)))).reshape(len(even) // 2, -1)
    return np.concatenate([first, both, last], axis=1).reshape(-1)


def _fold(layer: LayerSpec, sums: Int64s) -> tuple[Scaling, Int64s]:
    """Scaling, and what each channel has behind its weights."""
    if layer.epilogue != "requantizetwice":
        scaling = fold_scaling(layer, sums)
        return scaling, scaling.multiplier[:, None]
    scaling, addend, shift = fold_scaling_twice(layer, sums)
    return scaling, np.stack([shift, scaling.multiplier, addend], axis=1)


def order_panel(layer: LayerSpec, weights: Int64s) -> Int64s:
    """Weights (channels, [rows,] ...) in the order of the panel, (channels, places)."""
    return order_places(weights, _ORDERS[layer.inputs[0].format.bits])
