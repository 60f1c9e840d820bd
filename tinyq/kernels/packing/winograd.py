"""Weights of Winograd's F(4 x 4, 3 x 3), exact modulo 2^32.

    U = G' w G'^T,  G' = rows (1, 0, 0), -(1, 1, 1), -(1, -1, 1), (1, 2, 4), (1, -2, 4), (0, 0, 1)

G' is 6 G of Cook and Toom's points 0, 1, -1, 2, -2, infinity, with each row's own power of two and
factor of three moved to the outputs: those of row r and column c come out as 9 * 2^e * acc with
e = 6 - s_r - s_c, s = (0, 1, 2, 2). The 9 is undone by its inverse modulo 2^32, and 2^e by the
shift. It needs |U| <= 49 * 2^7 and |V| <= 100 * 2^7 in int16, and |acc + bias| < 2^25.

Reference: Lavin and Gray 2016, arXiv:1509.09308, section 4.2.
"""

from __future__ import annotations

import numpy as np

from tinyq.kernels.layer import LayerSpec
from tinyq.kernels.packing.epilogue import common_shift, refuse_scaling, sum_reach
from tinyq.kernels.packing.order import by_channel
from tinyq.kernels.packing.words import Int64s

MOST_GAIN = 6
POSITIONS = 36
TRANSFORM = np.array(
    [[1, 0, 0], [-1, -1, -1], [-1, 1, -1], [1, 2, 4], [1, -2, 4], [0, 0, 1]], np.int64
)
_STEPS = (0, 1, 2, 2)
_MOST_SHIFT = 63


def refuse_tiles(layer: LayerSpec) -> str:
    """Why these constants do not fit, empty where they do."""
    weights = layer.weights
    if weights is None or "bias" not in layer.constants:
        return "the constants are no constants"
    if len(weights) % 2:
        return "the number of output channels is odd"
    reach = sum_reach(layer, by_channel(weights))
    reason = refuse_scaling(layer, reach, 0) or refuse_scaling(layer, reach, 0, MOST_GAIN)
    shift = None if reason else common_shift(layer)
    if shift is not None and shift + MOST_GAIN > _MOST_SHIFT:
        return f"shift {shift} is too large"
    return reason


def transform_weights(weights: np.ndarray) -> Int64s:
    """U of weights (channels, 3, 3, inputs): (channels, positions, inputs)."""
    wide = weights.astype(np.int64)
    found: Int64s = np.einsum("ip,opqc,jq->oijc", TRANSFORM, wide, TRANSFORM).reshape(
        len(wide), POSITIONS, -1
    )
    return found


def find_gain(row: int, column: int) -> int:
    """log2 of what an output of a tile comes multiplied by, beside 9."""
    return MOST_GAIN - _STEPS[row] - _STEPS[column]
