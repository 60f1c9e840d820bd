"""Dense layer on Arm v7E-M: four channels share each load of four inputs, two to a lane.

A halfword of weights holds c0 + 256 * c1. Multiplied unmasked, it gives A0 + 256 * A1 modulo 2^32;
its low byte, sign extended, gives A0. The difference is 256 * A1: exact while |A1| < 2^23. Its
factor goes into shift and addend. Per four channels and two inputs: 4 SMLAD, 2 SXTB16, and one and
a half loads. Inputs are int16 in the order 0 2 1 3 of each word, and padded to groups of eight.

+------+----------+------------+
| bias | weights  | multiplier |
| 4    | places*2 | tail       |
+------+----------+------------+

Biases are b0, b0 + 256 * b1, b2, b2 + 256 * b3; weights of each pair of inputs the words of both
pairs of channels.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np

from tinyq.kernels.base import INT8, Bound, Part, Refusal
from tinyq.kernels.geometry import DenseGeometry, divide_up, read_dense, round_up
from tinyq.kernels.layer import LayerSpec
from tinyq.kernels.packing.epilogue import (
    ONCE,
    RAW,
    Epilogue,
    Scaling,
    fold_scaling,
    refuse_scaling,
    remove_zero,
    sum_reach,
)
from tinyq.kernels.packing.record import Record, Table
from tinyq.kernels.packing.words import Int64s, Words, pair_words, to_words
from tinyq.kernels.registry import kernel
from tinyq.kernels.thumb import largest_divisor

FOUR = Record("bias:4", "weights:places*2", "multiplier:tail")

_SOURCE = "armv7em/dense_lanes.j2"
_MOST_INPUTS = 16_000
_BYTE = 127
_MOST_ODD = 2**23  # of the sums of an odd channel
_LANE = 256  # times the second channel of a lane
_LANE_BITS = 8
_MOST_SHIFT = 31
_ORDER = [0, 2, 1, 3]
_REST = (0, 4, 2)  # bytes at which the codes behind the last word of four come to lie
# Register of a word of weights, place of its inputs, first channel of its sums.
_WORDS = (("r10", 0, 2), ("r11", 0, 4), ("r12", 1, 2), ("lr", 1, 4))
# Instructions: of an input, of an input for four channels, of four channels' outputs, of a row.
_WIDEN_COST, _INPUT_COST, _FOUR_COST, _ROW_COST = 1.3, 3.5, 35, 40


@dataclass(frozen=True, slots=True)
class Sizes:
    """What the kernel's memory and loops come to.

    Attributes:
        g: The layer.
        raw: Whether sums are the outputs.
    """

    g: DenseGeometry
    raw: bool

    @property
    def places(self) -> int:
        """Inputs in whole groups."""
        return round_up(self.g.in_channels, 8)

    @property
    def fours(self) -> int:
        """Groups of channels."""
        return divide_up(self.g.out_channels, 4)

    @property
    def output_bytes(self) -> int:
        """Bytes of an output."""
        return 4 if self.raw else 1

    @property
    def partial(self) -> bool:
        """Whether the last group lacks channels, so that a row is written beside y first."""
        return self.g.out_channels % 4 != 0

    @property
    def outputs_at(self) -> int:
        """Outputs' places before such a row in scratch."""
        return self.places * 2 // self.output_bytes

    @property
    def scratch(self) -> int:
        """Bytes of scratch memory."""
        return self.places * 2 + (self.fours * 4 * self.output_bytes if self.partial else 0)

    @property
    def cost(self) -> int:
        """Instructions."""
        each = _WIDEN_COST + self.fours * _INPUT_COST
        return int(self.g.rows * (self.places * each + self.fours * _FOUR_COST + _ROW_COST))


@kernel("dense", "s8", INT8, variant="lanes")
def bind(layer: LayerSpec) -> Bound | Refusal:
    """Outputs of bytes, or raw sums."""
    g = read_dense(layer)
    if reason := _refuse(layer, g) or _refuse_constants(layer):
        return Refusal(reason)
    sizes = Sizes(g, layer.epilogue == RAW)
    table, epilogue = _pack(layer)
    return Bound(
        layer,
        sizes.cost,
        tables=(table,),
        scratch_bytes=sizes.scratch,
        parts=MappingProxyType(
            {
                "widen": widen_inputs(g.in_channels),
                "product": multiply_lanes(sizes.places // 2, sizes.fours, epilogue),
            }
        ),
        values=MappingProxyType({"sizes": sizes}),
    )


def describe_widening(count: int) -> dict[str, Any]:
    """The loop over codes that become int16, and the zeros behind them."""
    words, rest = divmod(count, 4)
    unroll = largest_divisor(words, 8) if words else 1
    return {
        "words": words,
        "unroll": unroll,
        "looped": words > unroll,
        "end": words * 4,
        "padded": count % 8 != 0,
        "padded_more": 8 - count % 8 > 4,
        "rest": [(index, _REST[index]) for index in range(rest)],
    }


def widen_inputs(count: int) -> Part:
    """``(x, wide)``: int16 of int8 codes, 0 2 1 3 of each word, zeros up to a group of eight."""
    values = describe_widening(count)
    return Part(_SOURCE, "widen", f"tq_widen_{count}", MappingProxyType(values), shared=True)


def multiply_lanes(pairs: int, fours: int, epilogue: Epilogue) -> Part:
    """``(w, x, y)``: outputs of all channels from widened inputs.

    Args:
        pairs: Of inputs.
        fours: Groups of channels.
        epilogue: Integers for the text.
    """
    turns = largest_divisor(pairs // 4, 4)
    values = {
        "end": pairs * 4,
        "fours": fours,
        "turns": turns,
        "looped": 4 * turns != pairs,
        "epilogue": epilogue,
        "odd_addend": epilogue.addend * _LANE,
        # Word of weights, inputs and sums of both channels, for each half of a turn.
        "halves": [
            [
                (word, f"r{6 + 2 * half + place}", f"r{first + 1}", f"r{first}")
                for word, place, first in _WORDS
            ]
            for half in (0, 1)
        ],
        # Sums, multiplier, addend and further shift of each channel.
        "channels": [
            (f"r{2 + c}", f"r{6 + c}", ("r12", "lr")[c % 2], _LANE_BITS * (c % 2)) for c in range(4)
        ],
    }
    return Part(_SOURCE, "product", "_product", MappingProxyType(values))


def _refuse(layer: LayerSpec, g: DenseGeometry) -> str:
    if layer.epilogue == ONCE and layer.output.format.bits != 8:
        return "outputs are no bytes"
    if layer.epilogue not in (ONCE, RAW):
        return f"the epilogue is {layer.epilogue}"
    if g.in_channels > _MOST_INPUTS:
        return "rows are too long"
    return ""


def _refuse_constants(layer: LayerSpec) -> str:
    weights = layer.weights
    if weights is None or "bias" not in layer.constants:
        return "the constants are no constants"
    rows = weights.astype(np.int64)
    if rows[1::2].min(initial=0) < -_BYTE:
        return "an odd channel has a weight of -128"
    reach = sum_reach(layer, rows)
    if reach[1::2].max(initial=0) >= _MOST_ODD:
        return "accumulators of an odd channel leave 24 bits"
    if layer.epilogue == RAW:
        return ""
    # Grown weights must still be bytes, or they would run from one lane into the other.
    room = (_BYTE // max(int(np.abs(rows).max(initial=0)), 1)).bit_length() - 1
    return refuse_scaling(layer, reach, max(room, 0)) or _refuse_odd(layer, reach)


def _refuse_odd(layer: LayerSpec, reach: Int64s) -> str:
    scaling = fold_scaling(layer, np.zeros(len(reach), np.int64))
    epilogue, reach = scaling.epilogue, reach << scaling.power
    if epilogue.shift + _LANE_BITS > _MOST_SHIFT:
        return "the shift leaves no room for two channels in a lane"
    if reach[1::2].max(initial=0) >= _MOST_ODD:
        return "accumulators of an odd channel leave 24 bits"
    multiplier = np.abs(layer.constants["multiplier"].astype(np.int64))
    odd = zip(reach[1::2], multiplier[1::2], strict=True)
    high = max(((int(r) * _LANE * int(m) >> 32) + 1 for r, m in odd), default=0)
    if abs(epilogue.addend) * _LANE + high >= 2**31:
        return "the zero point of two channels in a lane does not fit"
    return ""


def _pack(layer: LayerSpec) -> tuple[Table, Epilogue]:
    """The stream of constants, and the integers of the text."""
    weights = layer.weights
    assert weights is not None
    rows = weights.astype(np.int64)
    scaling = _fold(layer, rows.sum(1))
    comment = "four channels: biases, weights two to a halfword, multipliers"
    words = pack_lanes(rows << scaling.power, scaling)
    return Table("weights", words, comment, "w"), scaling.epilogue


def pack_lanes(rows: Int64s, scaling: Scaling) -> Words:
    """The stream of weights (channels, inputs), biases and, unless sums are raw, multipliers."""
    padding = ((0, -len(rows) % 4), (0, -rows.shape[1] % 8))
    padded = np.pad(rows, padding)
    ordered = padded.reshape(len(padded), -1, 4)[:, :, _ORDER].reshape(len(padded), -1)
    both = ordered[0::2] + _LANE * ordered[1::2]
    words = pair_words(both[:, 0::2], both[:, 1::2])
    bias = np.pad(scaling.bias, padding[0])
    bias[1::2] = bias[0::2] + _LANE * bias[1::2]
    raw = scaling.epilogue.raw
    multiplier = np.pad(scaling.multiplier, padding[0]) if not raw else np.zeros(0, np.int64)
    return FOUR.pack(
        {"places": padded.shape[1] // 2, "tail": 0 if raw else 4},
        bias=to_words(bias),
        weights=np.stack([words[0::2], words[1::2]], axis=2).reshape(len(padded) // 4, -1),
        multiplier=to_words(multiplier),
    )


def _fold(layer: LayerSpec, sums: Int64s) -> Scaling:
    """Constants of an epilogue that may be raw."""
    if layer.epilogue != RAW:
        return fold_scaling(layer, sums)
    return Scaling(0, remove_zero(layer, sums), np.zeros(0, np.int64), Epilogue())
