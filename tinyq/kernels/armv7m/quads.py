"""Micro-kernels of Arm v7-M: pairs of channels with four pixels, two of them in a word.

A word of the panel holds the codes of two pixels for one place, u + 2^24 * x, where u = x + 128 is
unsigned if codes are signed. SMLAL adds its products with a weight up to A + 2^24 * B; both are
exact while |A| is less than 2^23, and B takes the place above. Two words, of pixels 0, 1 and 2, 3,
for each place: 7 instructions do 8 products, with one LDM for the activations and two LDRSB for
the weights. Weights stream by, two channels at a time; an odd last channel has a neighbour of
zeros. Rows of the kernel are padded to whole words.

    +-------+---------+--------+
    | start | weights | tail   |
    | 4     | words*2 | tail*2 |
    +-------+---------+--------+

The start is where sums begin, two words of each channel. For each place the weights of the two, as
bytes; the tail is the multiplier, or (shift, multiplier, addend) where the epilogue rounds twice.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import numpy as np

from tinyq.kernels.armv7em import assembly
from tinyq.kernels.base import Part
from tinyq.kernels.common.blocks import Block, Outputs, Stream, refuse_pairs
from tinyq.kernels.layer import LayerSpec
from tinyq.kernels.packing.epilogue import (
    fold_epilogue,
    grow_weights,
    refuse_any_scaling,
    sum_reach,
)
from tinyq.kernels.packing.order import by_channel, order_places, pair_bytes
from tinyq.kernels.packing.record import Record, Table
from tinyq.kernels.packing.words import Int64s, Words, to_words
from tinyq.kernels.thumb import largest_divisor

PAIR = Record("start:4", "weights:words*2", "tail:tail*2")
FIELD_BITS = 24

_SOURCE = "armv7m/quads.j2"
# Where the codes of a group come to lie when the words of the bytes 0, 3, 1, 2 of a word are made,
# and when the low, then the high nibbles of a word are made words before.
_ORDERS: Mapping[int, tuple[int, ...]] = MappingProxyType(
    {8: (0, 3, 1, 2), 4: (0, 6, 2, 4, 1, 7, 3, 5)}
)
_SIGN, _BYTE = 128, 127
_TAIL_BYTES = 12  # of a channel whose epilogue rounds twice


class PairedQuads(Block):
    """Four pixels by two channels, two pixels to an SMLAL."""

    pixels = 4
    word_bytes = 32
    word_cost = 28.4
    collect_cost = 30
    finish_cost = 58

    def refuse(self, layer: LayerSpec) -> str:
        """Why the constants do not fit, empty where they do."""
        if reason := refuse_pairs(layer):
            return reason
        weights: Any = layer.weights
        reach = sum_reach(layer, by_channel(weights))
        if reach.max() >= 1 << (FIELD_BITS - 1):
            return "accumulators leave 24 bits"
        return refuse_any_scaling(layer, reach)

    def pack(self, layer: LayerSpec) -> Stream:
        """The constants of a layer that is not refused."""
        weights = layer.weights
        assert weights is not None
        wide = weights.astype(np.int64)
        folded = fold_epilogue(layer, by_channel(wide).sum(1))
        if sum_reach(layer, by_channel(wide)).max() <= field_room(folded.epilogue.power):
            wide, folded = grow_weights(wide, folded, _BYTE)
        odd = (0, len(weights) % 2)
        even = np.pad(wide, (odd, *[(0, 0)] * (weights.ndim - 1)))
        places = pair_bytes(order_places(even, _ORDERS[layer.inputs[0].format.bits]))
        first = folded.bias - _SIGN * by_channel(wide).sum(1)
        sizes = {"words": places.shape[1] // 2, "tail": folded.tail.shape[1]}
        packed = PAIR.pack(
            sizes,
            start=split_words(np.pad(first + (folded.bias << FIELD_BITS), odd)),
            weights=places,
            tail=to_words(np.pad(folded.tail, (odd, (0, 0)))),
        )
        comment = "two channels: where sums begin, weights as bytes, multipliers"
        table = Table("weights", packed, comment, "w")
        return Stream(table, PAIR.count_words(**sizes), folded.epilogue)

    def product(self, stream: Stream, words: int, outputs: Outputs) -> Part:
        """``(w, panel, y, end)``: outputs of four pixels, from a panel of words of codes."""
        places = words * 4
        unroll = largest_divisor(places, 16)
        values = {
            "panel": places * 8,
            "unroll": unroll,
            "looped": unroll != places,
            "epilogue": stream.epilogue,
            "outputs": outputs,
            "tail_bytes": _TAIL_BYTES,
            "channels": [_place_outputs(channel, outputs) for channel in (0, 1)],
        }
        return Part(_SOURCE, "product", "_product", MappingProxyType(values))

    def collect(self, lines: int, words: int, row: int) -> Part:
        """``(a, b, c, d, panel)``: the panel of windows at four addresses."""
        unroll = largest_divisor(words, 6)
        values = {
            "lines": lines,
            "unroll": unroll,
            "repeats": words // unroll,
            "left": row - words * 4,
        }
        name = f"tq_collect_{lines}_{words}_{row}"
        return Part(_SOURCE, "collect", name, MappingProxyType(values), shared=True)

    def gather(self, words: int) -> Part:
        """``(x, panel)``: the panel of four neighbouring pixels."""
        stride = words * 4
        values = {"stride": stride, "offsets": [stride, 2 * stride, 3 * stride]}
        name = f"tq_gather_{words}"
        return Part(_SOURCE, "gather", name, MappingProxyType(values), shared=True)

    def copy(self, count: int, *, loose: bool) -> Part:
        """``(from, to)``: copies bytes to words; from words unless they lie ``loose``."""
        return assembly.copy_bytes(count, loose=loose)

    def spread(self, words: int) -> Part:
        """``(from, to)``: makes bytes of words of nibbles, the low ones of a word first."""
        return assembly.spread_nibbles(words)


def field_room(power: int) -> int:
    """The largest sum that still fits in a field when it is shifted to the left by ``power``."""
    return ((1 << (FIELD_BITS - 1)) - 1) >> power


def split_words(sums: Int64s) -> Words:
    """Sums of 64 bits as words, the low one first."""
    return np.stack([to_words(sums), to_words(sums >> 32)], axis=1)


def _place_outputs(channel: int, outputs: Outputs) -> dict[str, object]:
    """Registers of a channel's sums, and where its outputs lie."""
    pixels = [(f"r{2 + 4 * channel + p}", p * outputs.stride + channel) for p in range(4)]
    return {"index": channel, "multiplier": f"r1{channel}", "pixels": pixels}
