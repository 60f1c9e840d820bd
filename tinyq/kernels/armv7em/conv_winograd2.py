"""Convolution 3 x 3, stride 1, padding 1 by Winograd's F(2 x 2, 3 x 3) on Arm v7E-M.

    U = (2 G) w (2 G)^T,  G = rows (1, 0, 0), (1, 1, 1) / 2, (1, -1, 1) / 2, (0, 0, 1)

The accumulators are 4 * acc, which the shift takes back. |U| <= 9 * 2^7, and |V| <= 4 * 2^8 for
the transformed inputs, so both are int16; sums of products are exact modulo 2^32, and what counts,
4 * (acc + bias), must fit int32. For each pair of channels 16 positions of pairs as in `quads`,
then bias and multiplier of the one and of the other:

+-----------+-----------+
| weights   | constants |
| 16*inputs | 4         |
+-----------+-----------+

Reference: Lavin and Gray 2016, arXiv:1509.09308, section 4.1.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from tinyq.kernels.armv7em.winograd2 import (
    GAIN,
    ORDER,
    POSITIONS,
    ROWS,
    multiply_tiles,
    refuse_tiles,
    transform_columns,
    transform_lines,
)
from tinyq.kernels.base import INT8, Bound, Refusal
from tinyq.kernels.common.memory import fill_words
from tinyq.kernels.common.tiled_lines import TiledLines
from tinyq.kernels.geometry import read_window
from tinyq.kernels.layer import LayerSpec
from tinyq.kernels.leads import lead_lines
from tinyq.kernels.packing.epilogue import Scaling, fold_scaling, refuse_scaling, sum_reach
from tinyq.kernels.packing.order import by_channel
from tinyq.kernels.packing.record import Record, Table
from tinyq.kernels.packing.words import pair_words, to_words
from tinyq.kernels.registry import kernel

PAIR = Record("weights:16*inputs", "constants:4")

_ROOM = 3
_TRANSFORM = np.array([[2, 0, 0], [1, 1, 1], [1, -1, 1], [0, 0, 2]], np.int64)
_BOTH_HALVES = 0x00010001
_ALIGNED = 252  # bytes that the panel's alignment may cost
# Instructions: of a pair of places, of a pair of channels, of a channel across four tiles, of a
# code downwards.
_PAIR_COST, _FINISH_COST, _ACROSS_COST, _DOWN_COST = 176, 610, 110, 8


@dataclass(frozen=True, slots=True)
class Sizes(TiledLines):
    """What the kernel's memory and loops come to, in words where nothing else is said."""

    @property
    def panel(self) -> int:
        """Bytes of a panel of four tiles."""
        return self.g.in_channels * 128

    @property
    def transformed(self) -> int:
        """Transformed lines."""
        return (self.g.in_width + 2) * self.g.in_channels * 2

    @property
    def column(self) -> int:
        """Transformed lines of a word."""
        return (self.g.in_width + 2) * 8

    @property
    def edge(self) -> int:
        """To the last column."""
        return (self.g.in_width + 1) * 8

    @property
    def edge_zeros(self) -> int:
        """Two zero points, doubled, as int16."""
        return 2 * self.g.x_zero % 65536 * _BOTH_HALVES

    @property
    def scratch(self) -> int:
        """Bytes: the panel, transformed lines, a line of zero points."""
        return _ALIGNED + self.panel + self.transformed * 4 + self.line

    @property
    def cost(self) -> int:
        """Instructions."""
        g = self.g
        channels = g.out_channels // 2 * (g.in_channels // 2 * _PAIR_COST + _FINISH_COST)
        tiles = g.out_pixels // 16 * (channels + g.in_channels * _ACROSS_COST)
        return tiles + g.in_height // 2 * self.line * _DOWN_COST


@kernel("conv2d", "s8", INT8, variant="winograd2")
def bind(layer: LayerSpec) -> Bound | Refusal:
    """Four tiles of 2 x 2 outputs at a time."""
    g = read_window(layer)
    if reason := refuse_tiles(layer, g) or _refuse_constants(layer):
        return Refusal(reason)
    assert layer.weights is not None
    sizes = Sizes(g)
    scaling = fold_scaling(layer, by_channel(layer.weights).sum(1), GAIN)
    stream = g.out_channels // 2 * PAIR.count_words(inputs=g.in_channels)
    return Bound(
        layer,
        sizes.cost,
        tables=(_pack(layer.weights, scaling),),
        scratch_bytes=sizes.scratch,
        leads=lead_lines(layer, 2, ahead=True),
        parts=MappingProxyType(
            {
                "down": transform_lines(g.in_width, g.in_channels),
                "cross": transform_columns(g.in_width, g.in_channels),
                "fill": fill_words(),
                "product": multiply_tiles(
                    g.in_width, g.in_channels // 2, g.out_channels, scaling.epilogue
                ),
            }
        ),
        values=MappingProxyType({"s": sizes, "end": stream}),
    )


def _refuse_constants(layer: LayerSpec) -> str:
    weights = layer.weights
    if weights is None or "bias" not in layer.constants:
        return "the constants are no constants"
    if len(weights) % 2:
        return "the number of output channels is odd"
    return refuse_scaling(layer, sum_reach(layer, by_channel(weights)), _ROOM, GAIN)


def _pack(weights: np.ndarray, scaling: Scaling) -> Table:
    wide, count = weights.astype(np.int64), len(weights)
    u = np.einsum("ip,opqc,jq->oijc", _TRANSFORM, wide, _TRANSFORM)[:, ROWS]
    u = u.reshape(count, POSITIONS, -1, 4)[..., ORDER].reshape(count, POSITIONS, -1)
    u <<= scaling.power - GAIN
    words = pair_words(u[..., 0::2], u[..., 1::2])
    stream = PAIR.pack(
        {"inputs": u.shape[2]},
        weights=np.stack([words[0::2], words[1::2]], axis=3).reshape(count // 2, -1),
        constants=np.stack([to_words(scaling.bias), to_words(scaling.multiplier)], axis=1),
    )
    comment = "two channels: 16 positions of weights as int16, then bias and multiplier of each"
    return Table("weights", stream, comment, "w")
