"""Windows of 3 x 3 of single channels, a byte a weight: they become `rowpairs` in RAM.

For each four channels: nine words, row by row, with a tap of each; then of each channel multiplier
and bias, or multiplier, addend, bias, shift where the stage rounds twice. The last four channels
overlap others where their number is no multiple of four.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np

from tinyq.codegen.layouts import Arrangement, Table
from tinyq.codegen.layouts.order import taps_by_channel
from tinyq.codegen.layouts.rowpairs import fold, refuse
from tinyq.codegen.layouts.scaling import to_words

if TYPE_CHECKING:
    from tinyq.kernels.layer import LayerSpec

__all__ = ["arrange", "refuse"]


def arrange(layer: LayerSpec) -> Arrangement:
    """One stream of words; ``power``: log2 of what weights in RAM are multiplied by."""
    weights = layer.operands[-1]
    assert weights is not None
    flat = taps_by_channel(weights)
    scaling, addends, last = fold(layer, flat)
    twice = [addends, scaling.bias, last] if scaling.numbers["twice"] else [scaling.bias]
    tail = to_words(np.stack([scaling.multiplier, *twice], axis=1))
    first = np.minimum(np.arange(0, len(flat), 4), len(flat) - 4)
    fours = first[:, None] + np.arange(4)
    taps = (flat[fours] & 0xFF).transpose(0, 2, 1) << np.arange(4) * 8
    body = [to_words(taps.sum(2)), tail[fours].reshape(len(fours), -1)]
    comment = "four channels: weights as bytes, multiplier and bias of each"
    table = Table("weights", np.concatenate(body, axis=1).reshape(-1), comment)
    return Arrangement((table,), MappingProxyType({**scaling.numbers, "power": scaling.power}))
