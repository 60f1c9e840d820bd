"""Micro-kernels of Arm v7E-M: pairs of channels with four pixels.

A panel holds the codes of four pixels as int16: for each pair of places (two neighbours in the
order of `order_panel`) one word of each pixel. Weights stream by, two channels at a time; an odd
last channel has a neighbour of zeros. 11 instructions do 16 products: two LDRD for the
activations, one for the weights, 8 SMLAD.

    +------+---------+--------+
    | bias | weights | tail   |
    | 2    | places  | tail*2 |
    +------+---------+--------+

For each pair of places the word of the first channel and the word of the second; the tail is the
multiplier, or (shift, multiplier, addend) where the epilogue rounds twice, or nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np

from tinyq.graph import ops
from tinyq.kernels.armv7em import assembly
from tinyq.kernels.base import Part
from tinyq.kernels.common.blocks import Block, Outputs, Stream
from tinyq.kernels.layer import LayerSpec
from tinyq.kernels.packing.epilogue import (
    TWICE,
    Epilogue,
    fold_scaling,
    fold_scaling_twice,
    refuse_scaling,
    refuse_scaling_twice,
    sum_reach,
)
from tinyq.kernels.packing.order import by_channel, order_places
from tinyq.kernels.packing.record import Record, Table
from tinyq.kernels.packing.words import Int64s, Words, pair_words, to_words
from tinyq.kernels.thumb import largest_divisor

PAIR = Record("bias:2", "weights:places", "tail:tail*2")
PIXELS = 4
_SOURCE = "armv7em/quads.j2"
# Where the codes of a group come to lie when bytes 0 and 2, then 1 and 3 of a word are widened,
# and when the low, then the high nibbles of a word are made words before.
_ORDERS: Mapping[int, tuple[int, ...]] = MappingProxyType(
    {16: (0, 1, 2, 3), 8: (0, 2, 1, 3), 4: (0, 4, 2, 6, 1, 5, 3, 7)}
)
_FIRST, _SECOND = ("r2", "r3", "r4", "r5"), ("r6", "r7", "r8", "r9")


class Quads(Block):
    """Four pixels by two channels, requantized by SMMLA."""

    pixels = PIXELS
    word_bytes = 32
    word_cost = 22.4
    collect_cost = 15
    finish_cost = 45

    def refuse(self, layer: LayerSpec) -> str:
        """Why the constants do not fit, empty where they do."""
        if layer.weights is None:
            return "the weights are no constants"
        if len(layer.weights) % 2 and layer.output.format.bits < 8:
            return "the number of output channels is odd"
        if "bias" not in layer.constants:
            return "the epilogue has no bias"
        reach = sum_reach(layer, by_channel(layer.weights))
        if layer.epilogue == TWICE:
            return refuse_scaling_twice(layer, reach)
        return refuse_scaling(layer, reach)

    def pack(self, layer: LayerSpec) -> Stream:
        """The constants of a layer that is not refused."""
        weights = layer.weights
        assert weights is not None
        sums = by_channel(weights).sum(1)
        if layer.epilogue == TWICE:
            scaling, addend, shift = fold_scaling_twice(layer, sums)
            tail = np.stack([shift, scaling.multiplier, addend], axis=1)
        else:
            scaling = fold_scaling(layer, sums)
            tail = scaling.multiplier[:, None]
        grown = weights.astype(np.int64) << scaling.power
        comment = "two channels: biases, weights as int16, multipliers"
        return pack_pairs(layer, grown, scaling.bias, tail, (scaling.epilogue, comment))

    def product(self, stream: Stream, words: int, outputs: Outputs) -> Part:
        """``(w, panel, y, end)``: outputs of four pixels, from a panel of words of codes."""
        values = {
            **_describe_loop(words * 2),
            "epilogue": stream.epilogue,
            "outputs": outputs,
            "channels": [
                {"index": c, "sums": sums, "odd": outputs.odd and c == 1}
                for c, sums in enumerate((_FIRST, _SECOND))
            ],
            "pixels": [
                {"first": first, "second": second, "at": p * outputs.stride}
                for p, (first, second) in enumerate(zip(_FIRST, _SECOND, strict=True))
            ],
        }
        return Part(_SOURCE, "product", "_product", MappingProxyType(values))

    def collect(self, lines: int, words: int, row: int) -> Part:
        """``(a, b, c, d, panel)``: the panel of windows at four addresses."""
        unroll = largest_divisor(words, 6)
        flat = lines * words <= 12 and (lines - 1) * row + words * 4 < 4096
        repeats = words // unroll
        values = {
            "flat": flat,
            "offsets": [i * row + 4 * k for i in range(lines) for k in range(words)],
            "lines": lines,
            "unrolled": [4 * k for k in range(unroll)],
            "repeats": repeats,
            "moved": 4 * unroll,
            "left": row - (words * 4 if repeats > 1 else 0),
        }
        name = f"tq_collect_{lines}_{words}_{row}"
        return Part(_SOURCE, "collect", name, MappingProxyType(values), shared=True)

    def gather(self, words: int) -> Part:
        """``(x, panel)``: the panel of four neighbouring pixels."""
        unroll = largest_divisor(words, 4)
        stride = words * 4
        values = {
            "unroll": unroll,
            "looped": words != unroll,
            "stride": stride,
            "offsets": [stride, 2 * stride, 3 * stride],
        }
        name = f"tq_gather_{words}"
        return Part(_SOURCE, "gather", name, MappingProxyType(values), shared=True)

    def copy(self, count: int, *, loose: bool) -> Part:
        """``(from, to)``: copies bytes to words; from words unless they lie ``loose``."""
        return assembly.copy_bytes(count, loose=loose)

    def spread(self, words: int) -> Part:
        """``(from, to)``: makes bytes of words of nibbles, the low ones of a word first."""
        return assembly.spread_nibbles(words)


class QuadSums(Quads):
    """Four pixels by two channels, whose sums are left to the epilogue's own function.

    What takes the zero point of the inputs out of the sums stands in the place of the bias, which
    is the epilogue's.
    """

    finish_cost = 14
    calls_epilogue = True

    def refuse(self, layer: LayerSpec) -> str:
        """Why the constants do not fit, empty where they do."""
        if layer.weights is None:
            return "the weights are no constants"
        accumulators = {name.lower(): entry.accumulator for name, entry in ops.EPILOGUES.items()}
        if accumulators[layer.epilogue] != "int32_t":
            return f"the epilogue {layer.epilogue} takes no int32"
        refused = super().refuse(layer)
        return "" if refused else "another kernel finishes these outputs without a call"

    def pack(self, layer: LayerSpec) -> Stream:
        """The constants of a layer that is not refused."""
        weights = layer.weights
        assert weights is not None
        sums = by_channel(weights).sum(1)
        bias: Int64s = -layer.geometry.get("x_zero", 0) * sums
        nothing = np.zeros((len(sums), 0), np.int64)
        comment = "two channels: -zero point * sum of weights, weights as int16"
        return pack_pairs(layer, weights.astype(np.int64), bias, nothing, (Epilogue(), comment))

    def product(self, stream: Stream, words: int, outputs: Outputs) -> Part:
        """``(w, panel, sums, end)``: sums of four pixels, channel by channel."""
        values = MappingProxyType(_describe_loop(words * 2))
        return Part(_SOURCE, "sums", f"tq_sums_{words * 2}", values, shared=True)


def order_panel(layer: LayerSpec, weights: Int64s) -> Int64s:
    """Weights (channels, [rows,] ...) in the order of the panel, (channels, places)."""
    return order_places(weights, _ORDERS[layer.inputs[0].format.bits])


def pack_pairs(
    layer: LayerSpec, weights: Int64s, bias: Int64s, tail: Int64s, rest: tuple[Epilogue, str]
) -> Stream:
    """Pairs of channels, one after the other.

    Args:
        layer: The layer.
        weights: As the kernel multiplies them.
        bias: Of each channel.
        tail: What each channel has behind its weights.
        rest: Integers for the text, and what the table is.
    """
    odd = (0, len(weights) % 2)
    even = np.pad(weights, (odd, *[(0, 0)] * (weights.ndim - 1)))
    ordered = order_panel(layer, even)
    words = pair_channels(ordered)
    sizes = {"places": words.shape[1], "tail": tail.shape[1]}
    packed = PAIR.pack(
        sizes,
        bias=to_words(np.pad(bias, odd)),
        weights=words,
        tail=to_words(np.pad(tail, (odd, (0, 0)))),
    )
    epilogue, comment = rest
    return Stream(Table("weights", packed, comment, "w"), PAIR.count_words(**sizes), epilogue)


def pair_channels(ordered: Int64s) -> Words:
    """Pairs of places of two channels: the word of the first, the word of the second."""
    pairs = pair_words(ordered[:, 0::2], ordered[:, 1::2])
    return np.stack([pairs[0::2], pairs[1::2]], axis=2).reshape(len(ordered) // 2, -1)


def _describe_loop(pairs: int) -> dict[str, int | bool]:
    """How the products of pairs of places are unrolled."""
    unroll = largest_divisor(pairs, 16)
    return {"panel": pairs * 16, "unroll": unroll, "looped": unroll != pairs}
