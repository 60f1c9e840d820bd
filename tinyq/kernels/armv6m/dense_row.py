"""Dense layer on Arm v6-M: four channels, weights as pairs of int16, sums in upper registers.

13.5 instructions do 4 products. Inputs are padded to groups of four.

+------+----------+------------+
| bias | weights  | multiplier |
| 4    | places*2 | tail       |
+------+----------+------------+

The weights are for each input the words of both pairs of channels. Codes are counted from the
lowest one until they are clipped.
"""

from __future__ import annotations

from types import MappingProxyType

import numpy as np

from tinyq.kernels.armv6m.assembly import lay_frame
from tinyq.kernels.base import INT8, Bound, Part, Refusal
from tinyq.kernels.common.dense_row import Row, bind_row
from tinyq.kernels.layer import LayerSpec
from tinyq.kernels.packing.epilogue import (
    RAW,
    Epilogue,
    fold_from_lowest,
    fold_rows,
    grow_weights,
    refuse_from_lowest,
    sum_reach,
)
from tinyq.kernels.packing.order import by_channel
from tinyq.kernels.packing.record import Record, Table
from tinyq.kernels.packing.words import pair_words, to_words
from tinyq.kernels.registry import kernel
from tinyq.kernels.thumb import largest_divisor

FOUR = Record("bias:4", "weights:places*2", "multiplier:tail")

_SOURCE = "armv6m/dense_row.j2"
_FRAME = lay_frame("row", "y", "last", "blocks", "addend")
_BLOCK, _GROUP = 4, 4
_HALFWORD = 2**15 - 1
# Words of weights and the sums of their channels.
_WEIGHTS = (("r4", "r8", "r9"), ("r5", "r10", "r11"))


@kernel("dense", "s8", INT8, variant="row", text="common/dense_row")
def bind(layer: LayerSpec) -> Bound | Refusal:
    """Outputs of bytes, or raw sums."""
    return bind_row(layer, HalfwordRow())


class HalfwordRow(Row):
    """Four channels in four accumulators."""

    product_cost = 3.5
    finish_cost = 130

    def refuse(self, layer: LayerSpec) -> str:
        """Why the constants do not fit, empty where they do."""
        weights = layer.weights
        if weights is None or "bias" not in layer.constants:
            return "the constants are no constants"
        if layer.epilogue == RAW:
            return ""
        return refuse_from_lowest(layer, sum_reach(layer, by_channel(weights)))

    def pack(self, layer: LayerSpec) -> tuple[Table, Epilogue]:
        """The constants of a layer that is not refused, and integers for the text."""
        weights = layer.weights
        assert weights is not None
        rows = by_channel(weights)
        fold = fold_rows if layer.epilogue == RAW else fold_from_lowest
        rows, folded = grow_weights(rows, fold(layer, rows.sum(1)), _HALFWORD)
        block = (0, -len(rows) % _BLOCK)
        padded = np.pad(rows, (block, (0, -rows.shape[1] % _GROUP)))
        words = pair_words(padded[0::2], padded[1::2])
        tail = np.pad(folded.tail, (block, (0, 0)))
        stream = FOUR.pack(
            {"places": padded.shape[1], "tail": _BLOCK * tail.shape[1]},
            bias=to_words(np.pad(folded.bias, block)),
            weights=np.stack([words[0::2], words[1::2]], axis=2),
            multiplier=to_words(tail),
        )
        comment = "four channels: biases, weights as int16, multipliers"
        return Table("weights", stream, comment, "w"), folded.epilogue

    def widen(self, count: int) -> Part:
        """``(x, wide)``: words of codes, zeros up to a multiple of four."""
        whole, rest = count // _GROUP * _GROUP, count % _GROUP
        values = {
            "whole": whole,
            "rest": rest,
            "last": [(f"r{4 + index}", index < rest) for index in range(_GROUP)],
        }
        return Part(_SOURCE, "widen", f"tq_widen_{count}", MappingProxyType(values), shared=True)

    def product(self, places: int, blocks: int, epilogue: Epilogue) -> Part:
        """``(w, x, y)``: outputs of all blocks of four channels, from words of codes."""
        unroll = largest_divisor(places // 2, 8)
        values = {
            "frame": _FRAME,
            "end": places * 4,
            "blocks": blocks,
            "unroll": unroll,
            "looped": unroll * 2 != places,
            "epilogue": epilogue,
            "weights": _WEIGHTS,
            "sums": [f"r{8 + channel}" for channel in range(_BLOCK)],
        }
        return Part(_SOURCE, "product", "_product", MappingProxyType(values))
