"""Micro-kernels of Arm v6-M: pairs of channels with three pixels, sums in the six upper registers.

A panel holds for each place the codes of three pixels as words. 37 instructions do 12 products of
two places: LDM for the activations, LDM for the weights, 12 MULS and ADD, 4 copies, 6 to unpack
weights. Weights stream by, two channels at a time; an odd last channel has a neighbour of zeros.
Rows of the kernel are padded to whole words of codes; where codes are nibbles, the even ones of a
word come before the odd ones.

    +------+---------+--------+
    | bias | weights | tail   |
    | 2    | words*2 | tail*2 |
    +------+---------+--------+

For each place the weights of the two, as bytes; the tail is the multiplier, or (shift, multiplier,
addend) where the epilogue rounds twice. Codes are counted from the lowest one until they are
clipped.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import numpy as np

from tinyq.kernels.armv6m import assembly
from tinyq.kernels.base import Part
from tinyq.kernels.common.blocks import Block, Outputs, Stream, refuse_pairs
from tinyq.kernels.layer import LayerSpec
from tinyq.kernels.packing.epilogue import (
    fold_from_lowest,
    grow_weights,
    refuse_from_lowest,
    sum_reach,
)
from tinyq.kernels.packing.order import by_channel, order_places, pair_bytes
from tinyq.kernels.packing.record import Record, Table
from tinyq.kernels.packing.words import to_words
from tinyq.kernels.thumb import largest_divisor

PAIR = Record("bias:2", "weights:words*2", "tail:tail*2")

_SOURCE = "armv6m/triples.j2"
_FRAME = assembly.lay_frame("panel", "y", "end", "last", "addend", "multiplier", "shift", "room")
# Where the codes of a group come to lie.
_ORDERS: Mapping[int, tuple[int, ...]] = MappingProxyType(
    {8: (0, 1, 2, 3), 4: (0, 2, 4, 6, 1, 3, 5, 7)}
)
_BYTE = 127
_FIRST, _SECOND = ("r8", "r9", "r10"), ("r11", "r12", "lr")


class Triples(Block):
    """Three pixels by two channels."""

    pixels = 3
    word_bytes = 48
    word_cost = 75
    collect_cost = 20.5
    finish_cost = 175

    def refuse(self, layer: LayerSpec) -> str:
        """Why the constants do not fit, empty where they do."""
        if reason := refuse_pairs(layer):
            return reason
        weights: Any = layer.weights
        return refuse_from_lowest(layer, sum_reach(layer, by_channel(weights)))

    def pack(self, layer: LayerSpec) -> Stream:
        """The constants of a layer that is not refused."""
        weights = layer.weights
        assert weights is not None
        wide = weights.astype(np.int64)
        folded = fold_from_lowest(layer, by_channel(wide).sum(1))
        wide, folded = grow_weights(wide, folded, _BYTE)
        odd = (0, len(weights) % 2)
        even = np.pad(wide, (odd, *[(0, 0)] * (weights.ndim - 1)))
        places = pair_bytes(order_places(even, _ORDERS[layer.inputs[0].format.bits]))
        sizes = {"words": places.shape[1] // 2, "tail": folded.tail.shape[1]}
        packed = PAIR.pack(
            sizes,
            bias=to_words(np.pad(folded.bias, odd)),
            weights=places,
            tail=to_words(np.pad(folded.tail, (odd, (0, 0)))),
        )
        table = Table("weights", packed, "two channels: biases, weights as bytes, multipliers", "w")
        return Stream(table, PAIR.count_words(**sizes), folded.epilogue)

    def product(self, stream: Stream, words: int, outputs: Outputs) -> Part:
        """``(w, panel, y, end)``: outputs of three pixels, from a panel of words of codes."""
        pairs = words * 2
        unroll = largest_divisor(pairs, 8)
        values = {
            "frame": _FRAME,
            "panel": pairs * 24,
            "unroll": unroll,
            "looped": unroll != pairs,
            "epilogue": stream.epilogue,
            "outputs": outputs,
            "tail_bytes": 12 if stream.epilogue.twice else 4,
            # Sums of each pixel, its neighbour's, and what leads to the next one: there and back.
            "first": list(zip(_FIRST, _FIRST, (outputs.stride, outputs.stride, 0), strict=True)),
            "second": list(
                zip(
                    reversed(_SECOND),
                    reversed(_FIRST),
                    (-outputs.stride, -outputs.stride, 0),
                    strict=True,
                )
            ),
        }
        return Part(_SOURCE, "product", "_product", MappingProxyType(values))

    def collect(self, lines: int, words: int, row: int) -> Part:
        """``(a, b, c, panel)``: the panel of windows at three addresses."""
        name = f"tq_collect_{lines}_{words}_{row}"
        values = MappingProxyType(_describe_widening(lines, words, row))
        return Part(_SOURCE, "collect", name, values, shared=True)

    def gather(self, words: int) -> Part:
        """``(x, panel)``: the panel of three neighbouring pixels."""
        values = MappingProxyType(_describe_widening(1, words, 0))
        return Part(_SOURCE, "gather", f"tq_gather_{words}", values, shared=True)

    def copy(self, count: int, *, loose: bool) -> Part:
        """``(from, to)``: copies bytes to words; from words unless they lie ``loose``."""
        return assembly.copy_bytes(count, loose=loose)

    def spread(self, words: int) -> Part:
        """``(from, to)``: makes bytes of words of nibbles, the low ones of a word first."""
        return assembly.spread_nibbles(words)


def _describe_widening(lines: int, words: int, row: int) -> dict[str, int | bool]:
    """How lines of words, bytes apart, become words of codes."""
    unroll = largest_divisor(words, 4)
    return {
        "end": lines * row,
        "several": lines > 1,
        "bytes": words * 4,
        "unroll": unroll * 4,
        "looped": words > unroll,
        "left": row - words * 4,
    }
