"""Dense layer on Arm v7-M: four channels by SMLAL, two of them in a word, 24 bits apart.

A word holds the weights of two channels for one input, w0 + 2^24 * w1. Its products with a code add
up to A0 + 2^24 * A1; both are exact while |A0| is less than 2^23. 11 instructions do 16 products.
Inputs are padded to groups of four.

+-------+----------+------------+
| start | weights  | multiplier |
| 4     | places*2 | tail       |
+-------+----------+------------+

The start is where the sums of both pairs begin, two words each; the weights are for each input the
words of both pairs.
"""

from __future__ import annotations

from types import MappingProxyType

import numpy as np

from tinyq.kernels.armv7m.quads import FIELD_BITS, field_room, split_words
from tinyq.kernels.base import INT8, Bound, Part, Refusal
from tinyq.kernels.common.dense_row import Row, bind_row
from tinyq.kernels.layer import LayerSpec
from tinyq.kernels.packing.epilogue import (
    RAW,
    Epilogue,
    fold_rows,
    grow_weights,
    refuse_any_scaling,
    sum_reach,
)
from tinyq.kernels.packing.order import by_channel
from tinyq.kernels.packing.record import Record, Table
from tinyq.kernels.packing.words import to_words
from tinyq.kernels.registry import kernel
from tinyq.kernels.thumb import largest_divisor

FOUR = Record("start:4", "weights:places*2", "multiplier:tail")

_SOURCE = "armv7m/dense_row.j2"
_BLOCK, _GROUP, _BYTE = 4, 4, 127
_CODES = (("r10", "r11"), ("r12", "lr"))  # of each half of a group


@kernel("dense", "s8", INT8, variant="row", text="common/dense_row")
def bind(layer: LayerSpec) -> Bound | Refusal:
    """Outputs of bytes, or raw sums."""
    return bind_row(layer, PairedRow())


class PairedRow(Row):
    """Four channels in two accumulators of 64 bits."""

    product_cost = 0.72
    finish_cost = 45

    def refuse(self, layer: LayerSpec) -> str:
        """Why the constants do not fit, empty where they do."""
        weights = layer.weights
        if weights is None or "bias" not in layer.constants:
            return "the constants are no constants"
        if weights[1::2].min(initial=0) < -_BYTE:
            return "an odd channel has a weight of -128"
        reach = sum_reach(layer, by_channel(weights))
        if reach.max() >= 1 << (FIELD_BITS - 1):
            return "accumulators leave 24 bits"
        return "" if layer.epilogue == RAW else refuse_any_scaling(layer, reach)

    def pack(self, layer: LayerSpec) -> tuple[Table, Epilogue]:
        """The constants of a layer that is not refused, and integers for the text."""
        weights = layer.weights
        assert weights is not None
        rows = by_channel(weights)
        folded = fold_rows(layer, rows.sum(1))
        if sum_reach(layer, rows).max() <= field_room(folded.epilogue.power):
            rows, folded = grow_weights(rows, folded, _BYTE)
        block = (0, -len(rows) % _BLOCK)
        padded = np.pad(rows, (block, (0, -rows.shape[1] % _GROUP)))
        words = to_words(padded[0::2] + (padded[1::2] << FIELD_BITS))
        bias = np.pad(folded.bias, block)
        tail = np.pad(folded.tail, (block, (0, 0)))
        stream = FOUR.pack(
            {"places": padded.shape[1], "tail": _BLOCK * tail.shape[1]},
            start=split_words(bias[0::2] + (bias[1::2] << FIELD_BITS)),
            weights=np.stack([words[0::2], words[1::2]], axis=2),
            multiplier=to_words(tail),
        )
        comment = "four channels: where sums begin, weights two to a word, multipliers"
        return Table("weights", stream, comment, "w"), folded.epilogue

    def widen(self, count: int) -> Part:
        """``(x, wide)``: words of codes, zeros up to a multiple of four."""
        fours, rest = divmod(count, _GROUP)
        unroll = largest_divisor(fours, 4) if fours else 1
        values = {
            "repeats": fours // unroll,
            "unroll": unroll,
            "rest": rest,
            "last": [(f"r{2 + index}", index, index < rest) for index in range(_GROUP)],
        }
        return Part(_SOURCE, "widen", f"tq_widen_{count}", MappingProxyType(values), shared=True)

    def product(self, places: int, blocks: int, epilogue: Epilogue) -> Part:
        """``(w, x, y)``: outputs of all blocks of four channels, from words of codes."""
        unroll = largest_divisor(places // _GROUP, 4)
        values = {
            "end": places * 4,
            "blocks": blocks,
            "unroll": unroll,
            "looped": unroll * _GROUP != places,
            "epilogue": epilogue,
            # Codes, and the words of weights of both pairs of channels.
            "halves": [
                [(code, f"r{6 + 2 * place}", f"r{7 + 2 * place}") for place, code in enumerate(it)]
                for it in _CODES
            ],
            "channels": [(f"r{2 + c}", f"r{6 + c}") for c in range(_BLOCK)],
        }
        return Part(_SOURCE, "product", "_product", MappingProxyType(values))
