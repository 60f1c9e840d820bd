"""Depthwise convolution without padding on Arm v7E-M: four channels of a pixel, tap by tap.

Codes of four channels are one word, whatever the window: no line is spread. That suits outputs of
few pixels, as those of a step of a streaming network are, where `strips` spreads more codes than it
multiplies. Per tap and four channels: a load of codes, one of weights, two SXTB16, four multiplies.

+------+---------+--------+
| bias | weights | tail   |
| 4    | taps*2  | 4*tail |
+------+---------+--------+

Weights are int16, channels 0 and 2 in a word, 1 and 3 in the next. The taps of a window must be
evenly far apart: windows of one column or one row, or as wide as the image.
"""

from __future__ import annotations

from types import MappingProxyType

import numpy as np

from tinyq.kernels.base import INT8, Bound, Part, Refusal
from tinyq.kernels.geometry import WindowGeometry, divide_up, read_window
from tinyq.kernels.layer import LayerSpec
from tinyq.kernels.packing.epilogue import (
    ONCE,
    TWICE,
    Folded,
    fold_epilogue,
    grow_weights,
    refuse_any_scaling,
    sum_reach,
)
from tinyq.kernels.packing.order import taps_by_channel
from tinyq.kernels.packing.record import Record, Table
from tinyq.kernels.packing.words import Int64s, Words, pair_words, to_words
from tinyq.kernels.registry import kernel

FOUR = Record("bias:4", "weights:taps*2", "tail:4*tail")

_SOURCE = "armv7em/strips.j2"
_LANES = 4
_MOST_WEIGHT = 2**15 - 1
_MOST_TURNS, _MOST_OFFSET = 12, 4095
# Instructions: of a tap of four channels, of their outputs, of the rounds of a loop, of a pixel.
_TAP_COST, _FOUR_COST, _LOOP_COST, _PIXEL_COST = 8, 20, 4, 32
_TWICE_COST = 12  # more for four outputs


@kernel("depthwise2d", "s8", (INT8, "b1"), variant="taps")
def bind(layer: LayerSpec) -> Bound | Refusal:
    """Outputs of bytes, requantized by SMMLA or as TFLite does."""
    g = read_window(layer)
    if reason := _refuse(layer, g):
        return Refusal(reason)
    assert layer.weights is not None
    rows = taps_by_channel(layer.weights)
    weights, folded = grow_weights(rows, fold_epilogue(layer, rows.sum(1)), _MOST_WEIGHT)
    if folded.epilogue.power:
        return Refusal("weights leave 16 bits where sums are shifted")
    if reason := _refuse_growth(layer, rows):
        return Refusal(reason)
    taps, channels = rows.shape[1], g.in_channels
    words = pack_fours(weights, folded)
    table = Table("weights", words, "four channels: biases, weights, multipliers", "w")
    groups, rest = divmod(channels, _LANES)
    part = multiply_taps(taps, _find_distance(g), folded)
    return Bound(
        layer,
        _estimate(g, taps, part, twice=folded.epilogue.twice),
        tables=(table,),
        parts=MappingProxyType({"multiply": part}),
        values=MappingProxyType(
            {
                "pixels": g.out_pixels,
                "row_step": g.stride_height * g.in_width * channels,
                "column_step": g.stride_width * channels,
                "groups": groups,
                "rest": rest,
                "last": channels - _LANES,
                "last_words": len(words) - len(words) // divide_up(channels, _LANES),
            }
        ),
    )


def multiply_taps(taps: int, distance: int, folded: Folded) -> Part:
    """``(x, w, y, groups)``: outputs of so many groups of four channels of a pixel.

    Args:
        taps: Of a window.
        distance: Bytes from tap to tap.
        folded: The epilogue, whose sums need no shift.
    """
    turns = min(taps, _MOST_TURNS, _MOST_OFFSET // distance + 1)
    rounds, rest = divmod(taps, turns)
    values = {
        "offsets": [turn * distance for turn in range(turns)],
        "rest": [turn * distance for turn in range(rest)],
        "looped": rounds > 1,
        "advanced": rounds > 1 or rest > 0,
        "round": turns * distance,
        "all": rounds * turns * distance,
        "epilogue": folded.epilogue,
    }
    return Part(_SOURCE, "taps", "_taps", MappingProxyType(values))


def pack_fours(weights: Int64s, folded: Folded) -> Words:
    """The stream of weights (channels, taps); of channels that are no whole group the last four."""
    channels, taps = weights.shape
    starts = [*range(0, channels - _LANES + 1, _LANES)]
    if channels % _LANES:
        starts.append(channels - _LANES)
    chosen = np.concatenate([np.arange(start, start + _LANES) for start in starts])
    fours = weights[chosen].reshape(-1, _LANES, taps)
    words = pair_words(fours[:, :2], fours[:, 2:])  # channels 0 and 2, 1 and 3
    tail = folded.tail.shape[1]
    return FOUR.pack(
        {"taps": taps, "tail": tail},
        bias=to_words(folded.bias[chosen]).reshape(-1, _LANES),
        weights=words.transpose(0, 2, 1).reshape(len(starts), -1),
        tail=to_words(folded.tail[chosen]).reshape(-1, _LANES * tail),
    )


def _refuse(layer: LayerSpec, g: WindowGeometry) -> str:
    if layer.weights is None or "bias" not in layer.constants:
        return "the constants are no constants"
    if layer.epilogue not in (ONCE, TWICE):
        return f"the epilogue is {layer.epilogue or 'missing'}"
    if layer.output.format.bits != 8:
        return "outputs are no bytes"
    if layer.geometry["multiplicity"] != 1 or g.in_channels < _LANES:
        return "there are fewer than four channels, or several outputs of each"
    if _is_padded(g):
        return "there is padding"
    if not _find_distance(g):
        return "the taps are not evenly far apart"
    return refuse_any_scaling(layer, sum_reach(layer, taps_by_channel(layer.weights)))


def _refuse_growth(layer: LayerSpec, rows: Int64s) -> str:
    """Raw codes times grown weights must stay in int32 on the way, without the zero point."""
    folded = fold_epilogue(layer, rows.sum(1))
    reach = (np.abs(rows).sum(1) * 128 << folded.epilogue.power) + np.abs(
        folded.bias << folded.epilogue.power
    )
    return "sums leave int32" if int(reach.max(initial=0)) >= 2**31 else ""


def _is_padded(g: WindowGeometry) -> bool:
    bottom = (g.out_height - 1) * g.stride_height + g.window_height - g.pad_top
    reach = (g.kernel_width - 1) * g.dilation_width + 1
    right = (g.out_width - 1) * g.stride_width + reach - g.pad_left
    return g.pad_top > 0 or g.pad_left > 0 or bottom > g.in_height or right > g.in_width


def _find_distance(g: WindowGeometry) -> int:
    """Bytes from each tap of a window to the next, 0 where they differ."""
    down, across = g.dilation_height * g.in_width, g.dilation_width
    if g.kernel_width == 1:
        return down * g.in_channels
    if g.kernel_height == 1 or down == across * g.kernel_width:
        return across * g.in_channels
    return 0


def _estimate(g: WindowGeometry, taps: int, part: Part, *, twice: bool) -> int:
    rounds = taps // len(part.values["offsets"])
    four = taps * _TAP_COST + rounds * _LOOP_COST + _FOUR_COST + twice * _TWICE_COST
    return g.out_pixels * (divide_up(g.in_channels, _LANES) * four + _PIXEL_COST)
