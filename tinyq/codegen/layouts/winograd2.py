"""Weights of F(2 x 2, 3 x 3), exact in integers.

    U = (2 G) w (2 G)^T,  G = rows (1, 0, 0), (1, 1, 1) / 2, (1, -1, 1) / 2, (0, 0, 1)

The accumulators are 4 * acc, which the shift takes back. |U| <= 9 * 2^7, and |V| <= 4 * 2^8 for
the transformed inputs, so both are int16; sums of products are exact modulo 2^32, and what counts,
4 * (acc + bias), must fit int32. For each pair of channels: 16 positions of pairs as in `pairs`,
then bias, multiplier of the one and of the other.

Reference: Lavin and Gray 2016, arXiv:1509.09308, section 4.1.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from tinyq.codegen.layouts import Arrangement, Table
from tinyq.codegen.layouts.scaling import (
    fold_scaling,
    pair_words,
    refuse_scaling,
    sum_reach,
    to_words,
)

if TYPE_CHECKING:
    from tinyq.kernels.layer import LayerSpec

_GAIN = 2
_ROOM = 3
_TRANSFORM = np.array([[2, 0, 0], [1, 1, 1], [1, -1, 1], [0, 0, 2]], np.int64)
# The vertical positions as the row transform stores them; then the order of widened bytes.
_ROWS = [0, 2, 1, 3]
_ORDER = [0, 2, 1, 3]


def refuse(layer: LayerSpec) -> str:
    """Why these constants do not fit, empty where they do."""
    weights = layer.operands[-1]
    if weights is None or "bias" not in layer.constants:
        return "the constants are no constants"
    if len(weights) % 2:
        return "the number of output channels is odd"
    flat = weights.reshape(len(weights), -1).astype(np.int64)
    return refuse_scaling(layer, sum_reach(layer, flat), _ROOM, _GAIN)


def arrange(layer: LayerSpec) -> Arrangement:
    """One stream of words."""
    weights = layer.operands[-1]
    assert weights is not None
    wide = weights.astype(np.int64)
    count = len(wide)
    scaling = fold_scaling(layer, wide.reshape(count, -1).sum(1), _GAIN)
    u = np.einsum("ip,opqc,jq->oijc", _TRANSFORM, wide, _TRANSFORM)[:, _ROWS]
    u = u.reshape(count, 16, -1, 4)[..., _ORDER].reshape(count, 16, -1)
    u <<= scaling.power - _GAIN
    words = pair_words(u[..., 0::2], u[..., 1::2])
    both = np.stack([words[0::2], words[1::2]], axis=3).reshape(count // 2, -1)
    tail = np.stack([to_words(scaling.bias), to_words(scaling.multiplier)], axis=1)
    stream = np.concatenate([both, tail.reshape(count // 2, 4)], axis=1).reshape(-1)
    comment = "two channels: 16 positions of weights as int16, then bias and multiplier of each"
    return Arrangement((Table("weights", stream, comment),), scaling.numbers)
