"""Weights of F(4 x 4, 3 x 3), exact modulo 2^32.

    U = G' w G'^T,  G' = rows (1, 0, 0), -(1, 1, 1), -(1, -1, 1), (1, 2, 4), (1, -2, 4), (0, 0, 1)

G' is 6 G of Cook and Toom's points 0, 1, -1, 2, -2, infinity, with each row's own power of two and
factor of three moved to the outputs: those of row r and column c come out as 9 * 2^e * acc with
e = 6 - s_r - s_c, s = (0, 1, 2, 2). The 9 is undone by its inverse modulo 2^32, and 2^e by the
shift. It needs |U| <= 49 * 2^7 and |V| <= 100 * 2^7 in int16, and |acc + bias| < 2^25.
For each pair of channels: 36 positions of pairs as in `pairs`. Then, apart, (bias, multiplier).

Reference: Lavin and Gray 2016, arXiv:1509.09308, section 4.2.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np

from tinyq.codegen.layouts import Arrangement, Table
from tinyq.codegen.layouts.scaling import (
    common_shift,
    fold_scaling,
    pair_words,
    refuse_scaling,
    sum_reach,
    to_words,
)

if TYPE_CHECKING:
    from tinyq.kernels.layer import LayerSpec

_MOST_GAIN = 6
TRANSFORM = np.array(
    [[1, 0, 0], [-1, -1, -1], [-1, 1, -1], [1, 2, 4], [1, -2, 4], [0, 0, 1]], np.int64
)
_ORDER = [0, 2, 1, 3]
_LEAST_SHIFT = 33


def refuse(layer: LayerSpec) -> str:
    """Why these constants do not fit, empty where they do."""
    weights = layer.operands[-1]
    if weights is None or "bias" not in layer.constants:
        return "the constants are no constants"
    if len(weights) % 2:
        return "the number of output channels is odd"
    reach = sum_reach(layer, weights.reshape(len(weights), -1).astype(np.int64))
    reason = refuse_scaling(layer, reach, 0) or refuse_scaling(layer, reach, 0, _MOST_GAIN)
    shift = None if reason else common_shift(layer)
    if shift is not None and shift + _MOST_GAIN > 63:
        return f"shift {shift} is too large"
    return reason


def arrange(layer: LayerSpec) -> Arrangement:
    """Tables of weights and constants; ``addend_<e>`` for the gains 2 .. 6 beside the numbers."""
    weights = layer.operands[-1]
    assert weights is not None
    wide = weights.astype(np.int64)
    count = len(wide)
    scaling = fold_scaling(layer, wide.reshape(count, -1).sum(1))
    u = np.einsum("ip,opqc,jq->oijc", TRANSFORM, wide, TRANSFORM).reshape(count, 36, -1, 4)
    u = u[..., _ORDER].reshape(count, 36, -1)
    words = pair_words(u[..., 0::2], u[..., 1::2])
    both = np.stack([words[0::2], words[1::2]], axis=3).reshape(-1)
    constants = np.stack([to_words(scaling.bias), to_words(scaling.multiplier)], axis=1)
    return Arrangement(
        (
            Table("weights", both, "two channels: 36 positions of weights as int16"),
            Table("constants", constants.reshape(-1), "a channel: bias, multiplier"),
        ),
        MappingProxyType(dict(scaling.numbers)),
    )
