"""Micro-kernels of Winograd's F(2 x 2, 3 x 3) on Arm v7E-M, exact in integers.

16 products instead of 36 for four outputs. Lines are transformed downwards once for two lines of
outputs; then, for four tiles at a time, across, into 16 panels as in `quads`. Products of a pair of
channels are pushed on the stack, position by position, and transformed back from there.

Inputs lie in -128 .. 127: one transform doubles the range, two make it 4 * 2^7, well in int16.

Reference: Lavin and Gray 2016, arXiv:1509.09308, section 4.1.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import Any

from tinyq.kernels.base import Part
from tinyq.kernels.common.tiled_lines import refuse_window
from tinyq.kernels.geometry import WindowGeometry
from tinyq.kernels.layer import LayerSpec
from tinyq.kernels.packing.epilogue import Epilogue

POSITIONS = 16
GAIN = 2  # log2 of what accumulators are multiplied by
# The vertical positions as the row transform stores them; then the order of widened bytes.
ROWS = [0, 2, 1, 3]
ORDER = [0, 2, 1, 3]
PANEL_BYTES = 256  # of a pair of places
_SOURCE = "armv7em/winograd2.j2"
_MOST_INPUTS, _MOST_OUTPUT_LINE, _MOST_LINE = 64, 4095, 65_535
# Sums, inputs and weights of each product, for two words of the panel.
FIRST = (("r2", "r12", "r10"), ("r3", "lr", "r10"), ("r6", "r12", "r11"), ("r7", "lr", "r11"))
SECOND = (("r4", "r12", "r10"), ("r5", "lr", "r10"), ("r8", "r12", "r11"), ("r9", "lr", "r11"))
_COLUMNS = ("r2", "r3", "r4", "r5", "r6", "r7")
_TURNED = ("r6", "r7", "r2", "r3", "r4", "r5")
_STEPS = (("ssub16", 0, 2), ("sadd16", 1, 2), ("ssub16", 2, 1), ("ssub16", 1, 3))


def refuse_tiles(layer: LayerSpec, g: WindowGeometry) -> str:
    """Why an image has no whole number of tiles of 2 x 2, empty where it has."""
    if reason := refuse_window(g):
        return reason
    if g.in_height % 2 or g.in_width % 8:
        return "the image has no whole number of tiles"
    if g.in_channels % 8 or g.in_channels > _MOST_INPUTS:
        return "the number of input channels is no multiple of 8 up to 64"
    long = g.in_width * g.out_channels + g.out_channels > _MOST_OUTPUT_LINE
    if long or g.in_width * g.in_channels > _MOST_LINE:
        return "lines are too long"
    return "outputs are no bytes" if layer.output.format.bits != 8 else ""


def transform_lines(width: int, channels: int) -> Part:
    """``(a, b, c, d, t)``: four lines of bytes to vertical positions [word][column][lane][4]."""
    values = {
        "words": channels // 4,
        "width": width,
        "channels": channels,
        "back": width * channels - 4,
    }
    name = f"tq_downwards_{width}_{channels}"
    return Part(_SOURCE, "downwards", name, MappingProxyType(values), shared=True)


def transform_columns(width: int, channels: int) -> Part:
    """``(t, panel)``: vertical positions of ten columns to panels [pair of places][16][4 tiles]."""
    values = {
        "end": channels * 128,
        "lanes": [_describe_lane(lane) for lane in (0, 1)],
        "line": (width + 2) * 32 - 16,
    }
    name = f"tq_across_{width}_{channels}"
    return Part(_SOURCE, "across", name, MappingProxyType(values), shared=True)


def _describe_lane(lane: int) -> dict[str, Any]:
    return {
        "loads": [(f"r{2 + c}", lane * 16 + c * 32) for c in range(6)],
        "first": _describe_half(_COLUMNS, lane * 256),
        "more": [(f"r{2 + c}", lane * 16 + (6 + c) * 32) for c in range(4)],
        "second": _describe_half(_TURNED, lane * 256 + 8),
    }


def _describe_half(names: tuple[str, ...], at: int) -> list[tuple[Any, ...]]:
    return [
        (op, names[a], names[b], names[a + 2], names[b + 2], at + index * 16)
        for index, (op, a, b) in enumerate(_STEPS)
    ]


def multiply_tiles(width: int, pairs: int, channels: int, epilogue: Epilogue) -> Part:
    """``(w, panel, y, end)``: all channels of four tiles.

    The frame of 32 bytes is aligned so that the address of a position's accumulators tells when a
    tile is the last: 0 panel, 4 y, 8 end, 12 addend, 16 stream, 20 sp.
    """
    values = {
        "products": describe_products(pairs),
        "sums": locate_sums(),
        "rows": [
            {
                "sums": tuple(f"r{4 * row + k}" for k in range(4)),
                "at": [row * width * channels + k * channels for k in (0, 1)],
            }
            for row in (0, 1)
        ],
        "tile": 2 * channels,
        "epilogue": epilogue,
    }
    return Part(_SOURCE, "product", "_product", MappingProxyType(values))


def describe_products(pairs: int) -> dict[str, Any]:
    """A position's products of pairs of places, and the way back in the panel."""
    return {
        "more": pairs - 1,
        "back": pairs * PANEL_BYTES - 16,
        "first": FIRST,
        "second": SECOND,
    }


def locate_sums() -> list[dict[str, Any]]:
    """Registers of two lines of each column, and where its four positions are on the stack."""
    return [
        {
            "upper": f"r{j}",
            "lower": f"r{4 + j}",
            "at": [(15 - (place * 4 + j)) * 32 for place in ROWS],
            "biased": j == 1,
        }
        for j in range(4)
    ]
