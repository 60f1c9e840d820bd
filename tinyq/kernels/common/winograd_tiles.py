"""Convolution 3 x 3 by Winograd's F(4 x 4, 3 x 3) for cores without DSP, two tiles at a time.

Stride 1, padding 1, exact modulo 2^32: 36 products instead of 144 for 16 outputs. Six padded lines
are transformed downwards, then across. Sums of two channels share a word as a + 2^16 * b: additions
need no lanes for that. See tinyq/kernels/packing/winograd.py for the bounds. Kernels read codes as
unsigned, and take the factors of the accumulators back before they add the bias. A block of
channels:

+-----------------+
| weights         |
| 18*inputs*block |
+-----------------+

For each position of all inputs the weights of the block as int16. In a table of its own, a channel:

+------+------+
| bias | tail |
| 1    | tail |
+------+------+

The tail is the multiplier, or (shift, multiplier, addend) where the epilogue rounds twice.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from types import MappingProxyType
from typing import ClassVar

import numpy as np

from tinyq.kernels.base import Bound, Part, Refusal
from tinyq.kernels.common.memory import copy_fours, fill_words
from tinyq.kernels.common.tiled_lines import LINES, TiledLines, refuse_window
from tinyq.kernels.geometry import WindowGeometry, read_window
from tinyq.kernels.layer import LayerSpec
from tinyq.kernels.packing.epilogue import Epilogue, Fold, Folding, sum_reach
from tinyq.kernels.packing.order import by_channel
from tinyq.kernels.packing.record import Record, Table
from tinyq.kernels.packing.winograd import POSITIONS, find_gain, transform_weights
from tinyq.kernels.packing.words import Int64s, to_words

BLOCK = Record("weights:18*inputs*block")
CHANNEL = Record("bias:1", "tail:tail")

_SOURCE = "common/winograd_tiles.j2"
_TILE, _AT_ONCE = 4, 2
_MOST_INPUTS = 64
_SIGN = 128
# Accumulators come multiplied by up to 2^6 and must be int32 then.
_MOST_REACH = 2**25


@dataclass(frozen=True, slots=True, eq=False)
class Stream:
    """Constants of a layer for tiles.

    Attributes:
        tables: Weights and constants.
        channel_words: Words of a channel's constants.
        epilogue: Integers for the text.
    """

    tables: tuple[Table, Table]
    channel_words: int
    epilogue: Epilogue


class Tiles(ABC):
    """Micro-kernels of a core.

    Attributes:
        channels: Of a block.
        folding: How the epilogue is folded.
        product_cost: Instructions of a product.
        finish_cost: Instructions of a tile of outputs.
        across_cost: Instructions of a channel of a tile, across.
        down_cost: Instructions of a code of a line, downwards.
    """

    channels: ClassVar[int]
    folding: ClassVar[Folding]
    product_cost: ClassVar[float]
    finish_cost: ClassVar[int]
    across_cost: ClassVar[int]
    down_cost: ClassVar[int]

    def refuse(self, layer: LayerSpec) -> str:
        """Why the constants do not fit, empty where they do."""
        reason = _refuse_blocks(layer, self.channels)
        return reason or self.folding.refuse(layer, find_reach(layer))

    def pack(self, layer: LayerSpec) -> Stream:
        """The constants of a layer that is not refused."""
        return _pack_blocks(layer, self.folding.fold, self.channels)

    @abstractmethod
    def product(self, count: int) -> Part:
        """``(w, panel, m)``: m[position][channel][tile] of a block, from so many inputs."""

    @abstractmethod
    def code(self, epilogue: Epilogue) -> Part:
        """``(acc, constants)``: the code of an accumulator."""


@dataclass(frozen=True, slots=True)
class Sizes(TiledLines):
    """What the kernel's memory and loops come to, in words where nothing else is said.

    Attributes:
        tiles: The micro-kernels.
    """

    tiles: Tiles

    @property
    def some(self) -> int:
        """Channels of a block."""
        return self.tiles.channels

    @property
    def sums(self) -> int:
        """Sums of a position."""
        return _AT_ONCE * self.some

    @property
    def fourth(self) -> int:
        """The last but one padded line."""
        return 4 * self.row

    @property
    def fifth(self) -> int:
        """The last padded line."""
        return 5 * self.padded // 4

    @property
    def transformed(self) -> int:
        """The lines' transform."""
        return self.padded * 3

    @property
    def panel(self) -> int:
        """A panel of two tiles."""
        return self.g.in_channels * POSITIONS * _AT_ONCE

    @property
    def weights(self) -> int:
        """Weights of a channel."""
        return self.g.in_channels * POSITIONS // 2

    @property
    def scratch(self) -> int:
        """Bytes: padded lines, their transform, a panel, sums of a block of channels."""
        words = self.transformed + self.panel + POSITIONS * self.sums
        return LINES * self.padded + words * 4

    @property
    def cost(self) -> int:
        """Instructions."""
        g, tiles = self.g, self.tiles
        each = g.in_channels * POSITIONS * tiles.product_cost + tiles.finish_cost
        tile = g.out_channels * each + g.in_channels * tiles.across_cost
        down = g.in_height // _TILE * (g.in_width + 2) * g.in_channels * tiles.down_cost
        return int(g.out_pixels // (_TILE * _TILE) * tile + down)


def bind_tiles(layer: LayerSpec, tiles: Tiles) -> Bound | Refusal:
    """A convolution by the micro-kernels of a core."""
    g = read_window(layer)
    if reason := refuse_window(g) or _refuse_sizes(layer, g) or tiles.refuse(layer):
        return Refusal(reason)
    sizes, stream = Sizes(g, tiles), tiles.pack(layer)
    return Bound(
        layer,
        sizes.cost,
        tables=stream.tables,
        scratch_bytes=sizes.scratch,
        # The tiles in flight are on the lines that were copied before.
        in_place=(0,) if g.in_width % (_TILE * _AT_ONCE) == 0 else (),
        parts=MappingProxyType(
            {
                "fill": fill_words(),
                "copy": copy_fours(),
                "six": transform_six(),
                "down": transform_lines(sizes),
                "product": tiles.product(g.in_channels),
                "code": tiles.code(stream.epilogue),
            }
        ),
        values=MappingProxyType(
            {"s": sizes, "rows": _list_outputs(g), "channel_words": stream.channel_words}
        ),
    )


def transform_six() -> Part:
    """Inline functions that transform six pairs, and six sums."""
    return Part(_SOURCE, "six", "tq_tile_six", shared=True)


def transform_lines(sizes: Sizes) -> Part:
    """``(lines, t)`` downwards; its name with ``_across``, ``(t, panel)``, to a tile's places."""
    channels = sizes.g.in_channels
    values = {
        "words": sizes.pixel,
        "columns": sizes.g.in_width + 2,
        "row": sizes.row,
        "position": _AT_ONCE * channels,
        "six_positions": 6 * _AT_ONCE * channels,
        "rest": (sizes.g.in_width + 2) * 12 - 12,
    }
    name = f"tq_tiles_down_{sizes.padded}_{channels}"
    return Part(_SOURCE, "down", name, MappingProxyType(values), shared=True)


def _refuse_blocks(layer: LayerSpec, block: int) -> str:
    """Why the weights do not fit into blocks of output channels, empty where they do."""
    weights = layer.weights
    if weights is None or "bias" not in layer.constants:
        return "the constants are no constants"
    if len(weights) % block:
        return f"the number of output channels is no multiple of {block}"
    # The kernel's sums have no bias yet, and their codes no sign.
    wide = np.abs(by_channel(weights)).sum(1) * 2 * _SIGN
    large = max(wide.max(), find_reach(layer).max()) >= _MOST_REACH
    return "accumulators are too large" if large else ""


def _pack_blocks(layer: LayerSpec, fold: Fold, block: int) -> Stream:
    """Constants of a layer with those of the epilogue as ``fold`` makes them."""
    weights = layer.weights
    assert weights is not None
    sums = by_channel(weights).sum(1)
    folded = fold(layer, sums)
    u = transform_weights(weights).reshape(len(weights) // block, block, -1)
    halves = np.ascontiguousarray(u.transpose(0, 2, 1).astype(np.int16)).view("<u4")
    sizes = {"tail": folded.tail.shape[1]}
    constants = CHANNEL.pack(
        sizes, bias=to_words(folded.bias - _SIGN * sums), tail=to_words(folded.tail)
    )
    packed = BLOCK.pack({"inputs": weights.shape[-1], "block": block}, weights=halves)
    return Stream(
        (
            Table("weights", packed, f"{block} channels: 36 positions of weights", "w"),
            Table("constants", constants, "a channel: bias, multiplier"),
        ),
        CHANNEL.count_words(**sizes),
        folded.epilogue,
    )


def find_reach(layer: LayerSpec) -> Int64s:
    """Largest |acc + bias| of each channel."""
    assert layer.weights is not None
    return sum_reach(layer, by_channel(layer.weights))


def _list_outputs(g: WindowGeometry) -> list[list[tuple[int, int]]]:
    """Places and gains of the outputs of a tile, row by row."""
    return [
        [((r * g.in_width + c) * g.out_channels, find_gain(r, c)) for c in range(_TILE)]
        for r in range(_TILE)
    ]


def _refuse_sizes(layer: LayerSpec, g: WindowGeometry) -> str:
    pixels = g.in_height * g.in_width
    if g.in_height % _TILE or g.in_width % _TILE or pixels % (_AT_ONCE * _TILE * _TILE):
        return "the image has no whole number of two tiles"
    if g.in_channels % 4 or g.in_channels > _MOST_INPUTS:
        return "the number of input channels is no multiple of 4 up to 64"
    if layer.output.format.bits != 8:
        return "outputs are no bytes"
    return ""
