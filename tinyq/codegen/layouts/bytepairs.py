"""Two channels by the bytes of their weights, place by place.

For each pair of channels: two biases; the weights of the two for each place, as bytes; two
multipliers, or twice (shift, multiplier, addend) where the stage rounds twice. An odd last channel
has a neighbour of zeros. Rows of the kernel are padded to whole words of codes; where codes are
nibbles, the even ones of a word come before the odd ones.
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
    fold_from_lowest,
    grow_weights,
    refuse_from_lowest,
    sum_reach,
    to_words,
)

if TYPE_CHECKING:
    from tinyq.kernels.layer import LayerSpec

_BYTE = 127
# Where the codes of a group come to lie.
_ORDERS = MappingProxyType({8: (0, 1, 2, 3), 4: (0, 2, 4, 6, 1, 3, 5, 7)})


def refuse(layer: LayerSpec) -> str:
    """Why these constants do not fit, empty where they do."""
    weights = layer.operands[-1]
    if weights is None or "bias" not in layer.constants:
        return "the constants are no constants"
    if len(weights) % 2 and layer.output.format.bits < 8:
        return "the number of output channels is odd"
    return refuse_from_lowest(layer, sum_reach(layer, by_channel(weights)))


def arrange(layer: LayerSpec) -> Arrangement:
    """One stream of words; ``power``: by how many bits accumulators are shifted to the left."""
    weights = layer.operands[-1]
    assert weights is not None
    wide = weights.astype(np.int64)
    bias, tail, numbers = fold_from_lowest(layer, by_channel(wide).sum(1))
    wide, bias, numbers = grow_weights(wide, bias, numbers, _BYTE)
    odd = (0, len(weights) % 2)
    even = np.pad(wide, (odd, *[(0, 0)] * (weights.ndim - 1)))
    first = to_words(np.pad(bias, odd)).reshape(-1, 2)
    last = to_words(np.pad(tail, (odd, (0, 0)))).reshape(len(first), -1)
    places = pair_bytes(order_places(even, _ORDERS[layer.inputs[0].format.bits]))
    stream = np.concatenate([first, places, last], axis=1).reshape(-1)
    comment = "two channels: biases, weights as bytes, multipliers"
    return Arrangement((Table("weights", stream, comment),), MappingProxyType(dict(numbers)))


def pair_bytes(weights: Int64s) -> npt.NDArray[np.uint32]:
    """Words of the bytes of two channels, place by place, for each pair of channels."""
    both = weights.reshape(len(weights) // 2, 2, -1).transpose(0, 2, 1)
    codes = np.ascontiguousarray(both.reshape(len(both), -1).astype(np.int8))
    words: npt.NDArray[np.uint32] = codes.view("<u4")
    return words
