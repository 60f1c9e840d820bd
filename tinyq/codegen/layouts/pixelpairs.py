"""Two channels by two words of two pixels each, for 64 bit accumulators.

A word holds the codes of two pixels for one place, u + 2^24 * x, where u = x + 128 is unsigned if
codes are signed. Its products with a weight add up to A + 2^24 * B; both are exact while |A| is
less than 2^23, and B takes the place above. For each pair of channels: where the sums begin, two
words of each channel; the weights of the two for each place, as bytes; two multipliers, or twice
(shift, multiplier, addend) where the stage rounds twice. An odd last channel has a neighbour of
zeros. Rows of the kernel are padded to whole words.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np

from tinyq.codegen.layouts import Arrangement, Table
from tinyq.codegen.layouts.bytepairs import pair_bytes
from tinyq.codegen.layouts.order import by_channel, order_places
from tinyq.codegen.layouts.scaling import (
    fold_stage,
    grow_weights,
    refuse_any_scaling,
    sum_reach,
    to_words,
)

if TYPE_CHECKING:
    from tinyq.kernels.layer import LayerSpec

_FIELD_BITS = 24
# Where the codes of a group come to lie when the words of the bytes 0, 3, 1, 2 of a word are made,
# and when the low, then the high nibbles of a word are made words before.
_ORDERS = MappingProxyType({8: (0, 3, 1, 2), 4: (0, 6, 2, 4, 1, 7, 3, 5)})
_SIGN, _BYTE = 128, 127


def refuse(layer: LayerSpec) -> str:
    """Why these constants do not fit, empty where they do."""
    weights = layer.operands[-1]
    if weights is None or "bias" not in layer.constants:
        return "the constants are no constants"
    if len(weights) % 2 and layer.output.format.bits < 8:
        return "the number of output channels is odd"
    reach = sum_reach(layer, by_channel(weights))
    if reach.max() >= 1 << (_FIELD_BITS - 1):
        return "accumulators leave 24 bits"
    return refuse_any_scaling(layer, reach)


def arrange(layer: LayerSpec) -> Arrangement:
    """One stream of words; ``power``: by how many bits accumulators are shifted to the left."""
    weights = layer.operands[-1]
    assert weights is not None
    wide = weights.astype(np.int64)
    bias, tail, numbers = fold_stage(layer, by_channel(wide).sum(1))
    room = ((1 << (_FIELD_BITS - 1)) - 1) >> numbers["power"]
    if sum_reach(layer, by_channel(wide)).max() <= room:
        wide, bias, numbers = grow_weights(wide, bias, numbers, _BYTE)
    order = _ORDERS[layer.inputs[0].format.bits]
    odd = (0, len(weights) % 2)
    even = np.pad(wide, (odd, *[(0, 0)] * (weights.ndim - 1)))
    first = bias - _SIGN * by_channel(wide).sum(1)
    start = np.pad(first + (bias << _FIELD_BITS), odd)
    words = np.stack([to_words(start), to_words(start >> 32)], axis=1).reshape(-1, 4)
    last = to_words(np.pad(tail, (odd, (0, 0)))).reshape(len(words), -1)
    places = pair_bytes(order_places(even, order))
    stream = np.concatenate([words, places, last], axis=1).reshape(-1)
    comment = "two channels: where sums begin, weights as bytes, multipliers"
    return Arrangement((Table("weights", stream, comment),), MappingProxyType(dict(numbers)))
