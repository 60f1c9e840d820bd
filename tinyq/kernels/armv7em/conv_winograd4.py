"""Convolution 3 x 3 by Winograd's F(4 x 4, 3 x 3) on Arm v7E-M, exact modulo 2^32.

36 products instead of 144 for 16 outputs. Six padded lines are transformed downwards, then across,
tile by tile; four tiles make a panel as in `quads`, for all channels:
tinyq/kernels/packing/winograd has the bounds. A pair of channels:

+-----------+
| weights   |
| 36*inputs |
+-----------+

and, in a table of its own, a channel:

+------+------------+
| bias | multiplier |
| 1    | 1          |
+------+------------+
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from tinyq.kernels.base import INT8, Bound, Part, Refusal
from tinyq.kernels.common.memory import copy_fours, fill_words
from tinyq.kernels.common.tiled_lines import LINES, TiledLines, refuse_window
from tinyq.kernels.geometry import WindowGeometry, read_window
from tinyq.kernels.layer import LayerSpec
from tinyq.kernels.leads import lead_lines
from tinyq.kernels.packing.epilogue import Clip, Epilogue, Scaling, fold_scaling
from tinyq.kernels.packing.order import by_channel
from tinyq.kernels.packing.record import Record, Table
from tinyq.kernels.packing.winograd import (
    POSITIONS,
    find_gain,
    refuse_tiles,
    transform_weights,
)
from tinyq.kernels.packing.words import pair_words, to_words
from tinyq.kernels.registry import kernel

PAIR = Record("weights:36*inputs")
CHANNEL = Record("bias:1", "multiplier:1")

_SOURCE = "armv7em/conv_winograd4.j2"
_ORDER = [0, 2, 1, 3]
_TILE, _AT_ONCE = 4, 4
_MOST_INPUTS = 64
_SMALL_IMAGE, _FEW_INPUTS = 256, 32
_PANEL_STEP = POSITIONS * 16  # bytes of panel of a pair of places
# Instructions: of a pair of places, of storing products, of an output tile, of a word across four
# tiles, of a word downwards.
_PAIR_COST, _STORE_COST, _FINISH_COST, _ACROSS_COST, _DOWN_COST = 396, 14, 370, 60, 38


@dataclass(frozen=True, slots=True)
class Sizes(TiledLines):
    """What the kernel's memory and loops come to, in words where nothing else is said."""

    @property
    def tiles(self) -> int:
        """The lines' transform."""
        return self.padded * 3

    @property
    def panel(self) -> int:
        """A panel of four tiles."""
        return self.g.in_channels * POSITIONS * 2

    @property
    def pair(self) -> int:
        """Weights of a channel, of which a pair has twice as many."""
        return self.g.in_channels * POSITIONS // 2

    @property
    def scratch(self) -> int:
        """Bytes: padded lines, their transform, a panel, products of two channels."""
        return LINES * self.padded + self.tiles * 4 + self.panel * 4 + POSITIONS * 32

    @property
    def cost(self) -> int:
        """Instructions."""
        g = self.g
        products = g.in_channels // 2 * _PAIR_COST + POSITIONS * _STORE_COST
        channels = g.out_channels // 2 * (products + 2 * _AT_ONCE * _FINISH_COST)
        across = self.pixel * LINES * _AT_ONCE * _ACROSS_COST
        down = g.in_height // _TILE * self.padded * _DOWN_COST
        return g.out_pixels // (_AT_ONCE * _TILE * _TILE) * (channels + across) + down


@kernel("conv2d", "s8", INT8, variant="winograd4")
def bind(layer: LayerSpec) -> Bound | Refusal:
    """Stride 1, padding 1; four tiles of 4 x 4 outputs at a time."""
    g = read_window(layer)
    if reason := refuse_window(g) or _refuse_sizes(layer, g) or refuse_tiles(layer):
        return Refusal(reason)
    assert layer.weights is not None
    sizes, scaling = Sizes(g), fold_scaling(layer, by_channel(layer.weights).sum(1))
    # Two lines of tiles in flight are saved before their bytes are written.
    in_place = (0,) if g.in_width % 16 == 0 or g.in_width == 8 else ()
    return Bound(
        layer,
        sizes.cost,
        tables=(_pack(layer.weights), _pack_constants(scaling)),
        scratch_bytes=sizes.scratch,
        in_place=in_place,
        leads=lead_lines(layer, 4, ahead=True),
        parts=MappingProxyType(
            {
                "fill": fill_words(),
                "copy": copy_fours(),
                "six": transform_six(),
                "down": transform_lines(sizes),
                "product": multiply_tiles(g.in_channels // 2),
                "finish": finish_tile(layer, scaling.epilogue),
            }
        ),
        values=MappingProxyType({"s": sizes}),
    )


def transform_six() -> Part:
    """Inline functions that transform six pairs of int16, and six sums."""
    return Part(_SOURCE, "six", "tq_six", shared=True)


def transform_lines(sizes: Sizes) -> Part:
    """``(lines, t)`` downwards; its name with ``_across``, ``(t, panel)``, to a tile's slot."""
    values = {
        "words": sizes.pixel,
        "columns": sizes.g.in_width + 2,
        "row": sizes.row,
        "rest": (sizes.g.in_width + 2) * 12 - 12,
    }
    name = f"tq_down_{sizes.padded}_{sizes.g.in_channels}"
    return Part(_SOURCE, "down", name, MappingProxyType(values), shared=True)


def multiply_tiles(pairs: int) -> Part:
    """``(w, panel, m)``: 36 positions of four tiles by two channels, m[position][channel][tile]."""
    values = {
        "pairs": pairs,
        "back": pairs * _PANEL_STEP - 16,
        "turns": [("smuad", False), ("smlad", True)],
        # Sums, inputs and weights of each product, for two words of the panel.
        "first": (
            ("r2", "r12", "r10"),
            ("r3", "lr", "r10"),
            ("r6", "r12", "r11"),
            ("r7", "lr", "r11"),
        ),
        "second": (
            ("r4", "r12", "r10"),
            ("r5", "lr", "r10"),
            ("r8", "r12", "r11"),
            ("r9", "lr", "r11"),
        ),
    }
    return Part(_SOURCE, "product", f"tq_product36_{pairs}", MappingProxyType(values), shared=True)


def finish_tile(layer: LayerSpec, epilogue: Epilogue) -> Part:
    """``(m, y, bias, multiplier)``: a tile of one channel, from products eight words apart."""
    g = layer.geometry
    rows = [
        [
            {
                "column": c,
                "gain": find_gain(r, c),
                "addend": epilogue.addend << find_gain(r, c),
                "shift": epilogue.shift + find_gain(r, c),
                "at": (r * g["in_width"] + c) * g["out_channels"],
            }
            for c in range(_TILE)
        ]
        for r in range(_TILE)
    ]
    values = {
        "rows": rows,
        "y_type": layer.output.format.c_type,
        "saturate": "ssat" if epilogue.clip == Clip.SIGNED else "usat",
    }
    return Part(_SOURCE, "finish", "_finish", MappingProxyType(values))


def _pack(weights: np.ndarray) -> Table:
    u = transform_weights(weights)
    ordered = u.reshape(len(u), POSITIONS, -1, 4)[..., _ORDER].reshape(len(u), POSITIONS, -1)
    words = pair_words(ordered[..., 0::2], ordered[..., 1::2])
    both = np.stack([words[0::2], words[1::2]], axis=3).reshape(len(u) // 2, -1)
    stream = PAIR.pack({"inputs": u.shape[2]}, weights=both)
    return Table("weights", stream, "two channels: 36 positions of weights as int16", "w")


def _pack_constants(scaling: Scaling) -> Table:
    words = CHANNEL.pack({}, bias=to_words(scaling.bias), multiplier=to_words(scaling.multiplier))
    return Table("constants", words, "a channel: bias, multiplier")


def _refuse_sizes(layer: LayerSpec, g: WindowGeometry) -> str:
    pixels, output = g.in_height * g.in_width, layer.output.format
    if g.in_height % _TILE or g.in_width % _TILE or pixels % (_AT_ONCE * _TILE * _TILE):
        return "the image has no whole number of four tiles"
    if g.in_channels % 8 or g.in_channels > _MOST_INPUTS:
        return "the number of input channels is no multiple of 8 up to 64"
    ends = (layer.geometry["lo"], layer.geometry["hi"]) if "lo" in layer.geometry else None
    if output.bits != 8 or ends != (output.lo, output.hi):
        return "outputs do not use all codes of a byte"
    if pixels < _SMALL_IMAGE and g.in_channels < _FEW_INPUTS:
        return "the transforms cost more than they save"
    return ""
