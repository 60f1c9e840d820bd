"""Dense layers on Arm v7E-M whose sums are finished one by one: any length, range and epilogue.

Inputs are taken in segments, so short that two channels share a lane (see `dense_lanes`); the sums
of all segments are added up before they are finished. Sums of an odd channel over a segment stay
within 24 bits: 255 * 127 * 256 does.

Inputs of 16 bits are multiplied by weights of one channel each, four to a word:

+------+---------+
| bias | weights |
| 4    | words   |
+------+---------+

What scales a channel whose sums are rounded twice:

+------+------------+--------+-------+
| bias | multiplier | addend | shift |
| 1    | 1          | 1      | 1     |
+------+------------+--------+-------+
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from tinyq.kernels.armv7em.assembly import copy_bytes
from tinyq.kernels.armv7em.dense_lanes import (
    multiply_lanes,
    pack_lanes,
    widen_inputs,
)
from tinyq.kernels.armv7em.wide import finish_wide, pack_wide, refuse_wide
from tinyq.kernels.base import INT8, Bound, Part, Refusal
from tinyq.kernels.common.epilogue import estimate_epilogue
from tinyq.kernels.common.memory import fill_words
from tinyq.kernels.epilogues import find_accumulator
from tinyq.kernels.geometry import DenseGeometry, divide_up, read_dense, round_up
from tinyq.kernels.layer import LayerSpec
from tinyq.kernels.packing.epilogue import (
    TWICE,
    Epilogue,
    Scaling,
    fold_scaling_twice,
    refuse_scaling,
    refuse_scaling_twice,
    remove_zero,
    sum_reach,
)
from tinyq.kernels.packing.record import Record, Table
from tinyq.kernels.packing.words import Int64s, to_words
from tinyq.kernels.registry import kernel
from tinyq.kernels.thumb import largest_divisor

FOUR = Record("bias:4", "weights:words")
SCALING = Record("bias:1", "multiplier:1", "addend:1", "shift:1")

_SOURCE, _TEXT = "armv7em/dense_sums.j2", "armv7em/dense_sums"
_MOST_INPUTS = 2**15
_BYTE = 127
_MOST_ODD = 2**23
_SEGMENT = 8  # inputs of the shortest
_LANES_COST, _WORDS_COST, _WIDEN_COST = 3.5, 4.9, 1.3  # of an input for four channels; of one
_FOUR_COST, _FINISH_COST, _ROW_COST, _SEGMENT_COST = 14, 12, 30, 45
_ORDER = [0, 2, 1, 3]


@dataclass(frozen=True, slots=True)
class Sums:
    """What the kernel's memory and loops come to.

    Attributes:
        g: The layer.
        length: Inputs of a segment.
        bits: Of an input.
        words: Words of the weights of a segment.
    """

    g: DenseGeometry
    length: int
    bits: int
    words: int

    @property
    def segments(self) -> int:
        """How many there are."""
        return divide_up(self.g.in_channels, self.length)

    @property
    def fours(self) -> int:
        """Groups of channels."""
        return divide_up(self.g.out_channels, 4)

    @property
    def sums(self) -> int:
        """Sums of a segment."""
        return 4 * self.fours

    @property
    def inputs_words(self) -> int:
        """Words of the inputs of all segments."""
        return self.segments * self.length // 2

    @property
    def rest_words(self) -> int:
        """Words at their end that widening or copying leaves as they are, or in part."""
        written = self.g.in_channels if self.bits == 16 else round_up(self.g.in_channels, 8)
        return self.inputs_words - written // 2

    @property
    def segment_words(self) -> int:
        """Words of the inputs of a segment."""
        return self.length // 2

    @property
    def scratch(self) -> int:
        """Bytes of scratch memory."""
        return 4 * (self.inputs_words + self.segments * self.sums)


@kernel("dense", "s8", INT8, variant="twicelanes", text=_TEXT)
def bind_twice(layer: LayerSpec) -> Bound | Refusal:
    """TFLite's two roundings, of outputs of bytes."""
    if layer.epilogue != TWICE:
        return Refusal(f"the epilogue is {layer.epilogue or 'missing'}")
    if layer.weights is None or "bias" not in layer.constants:
        return Refusal("the constants are no constants")
    if layer.output.format.bits != 8:
        return Refusal("outputs are no bytes")
    if reason := refuse_scaling_twice(layer, sum_reach(layer, layer.weights.astype(np.int64))):
        return Refusal(reason)
    return _bind_lanes(layer, twice=True)


@kernel("dense", "s8", INT8, variant="sumslanes", text=_TEXT)
def bind_sums(layer: LayerSpec) -> Bound | Refusal:
    """Sums that are left to the epilogue's own function."""
    if reason := _refuse_epilogue(layer):
        return Refusal(reason)
    return _bind_lanes(layer, twice=False)


@kernel("dense", "s16", "s8", variant="widewords", text=_TEXT)
def bind_wide(layer: LayerSpec) -> Bound | Refusal:
    """Inputs of 16 bits whose sums stay within int32, rounded once by a mantissa of 63 bits."""
    if layer.weights is None:
        return Refusal("the weights are no constants")
    entry, zero = layer.inputs[0].format, layer.geometry["x_zero"]
    sums = np.abs(layer.weights.astype(np.int64)).sum(1)
    if reason := refuse_wide(layer, sums * max(entry.hi - zero, zero - entry.lo)):
        return Refusal(reason)
    finish = finish_wide(layer, 4, layer.output.format.bits // 8, same=False)
    return _bind_words(layer, (pack_wide(layer), finish))


@kernel("dense", "s16", "s8", variant="sumswords", text=_TEXT)
def bind_words(layer: LayerSpec) -> Bound | Refusal:
    """Inputs of 16 bits, whose sums are left to the epilogue's own function."""
    if layer.weights is None or not layer.epilogue:
        return Refusal("the constants are no constants")
    return _bind_words(layer, None)


def _bind_words(layer: LayerSpec, finish: tuple[Table, Part] | None) -> Bound | Refusal:
    assert layer.weights is not None
    g = read_dense(layer)
    if g.in_channels > _MOST_INPUTS:
        return Refusal("rows are too long")
    rows = layer.weights.astype(np.int64)
    wide = find_accumulator(layer.epilogue) != "int32_t"
    entry = layer.inputs[0].format
    reach = max(entry.hi - g.x_zero, g.x_zero - entry.lo)
    length = _shorten(rows, reach, 2**31, 4)
    if not wide and length < g.in_channels:
        return Refusal("sums leave int32")
    padded = _cut(rows, length)
    parts = [_pack_words(segment, g.x_zero) for segment in padded]
    table = Table("weights", np.concatenate(parts), "four channels: biases, weights as bytes", "w")
    sums = Sums(g, length, 16, len(parts[0]))
    product = _multiply_words(length // 4, sums.fours)
    found: dict[str, Part] = {"product": product}
    if layer.operation == "dense":
        found["widen"] = copy_bytes(2 * g.in_channels, loose=True)
    return _bound(layer, sums, table, found, finish)


def _bind_lanes(layer: LayerSpec, *, twice: bool) -> Bound | Refusal:
    g, weights = read_dense(layer), layer.weights
    assert weights is not None
    if g.in_channels > _MOST_INPUTS:
        return Refusal("rows are too long")
    rows = weights.astype(np.int64)
    if rows[1::2].min(initial=0) < -_BYTE:
        return Refusal("an odd channel has a weight of -128")
    entry = layer.inputs[0].format
    reach = max(entry.hi - g.x_zero, g.x_zero - entry.lo, -entry.lo)
    length = _shorten(rows, reach, _MOST_ODD, _SEGMENT)
    nothing = np.zeros(0, np.int64)
    parts = [
        pack_lanes(segment, Scaling(0, -g.x_zero * segment.sum(1), nothing, Epilogue()))
        for segment in _cut(rows, length)
    ]
    comment = "four channels: biases, weights two to a halfword"
    table = Table("weights", np.concatenate(parts), comment, "w")
    sums = Sums(g, length, 8, len(parts[0]))
    found: dict[str, Part] = {
        "widen": widen_inputs(g.in_channels),
        "product": multiply_lanes(length // 2, sums.fours, Epilogue()),
    }
    return _bound(layer, sums, table, found, _finish_twice(layer, sums) if twice else None)


def _bound(
    layer: LayerSpec,
    s: Sums,
    table: Table,
    parts: dict[str, Part],
    finish: tuple[Table, Part] | None,
) -> Bound:
    """What all have in common; ``finish`` scales the sums, the epilogue's own function if not."""
    if s.rest_words:
        parts = {"fill": fill_words(), **parts}
    each = _WORDS_COST if s.bits == 16 else _LANES_COST
    places = s.segments * s.length
    products = s.fours * (places * each + s.segments * _FOUR_COST)
    if finish:
        parts = {**parts, "finish": finish[1]}
    last = _FINISH_COST if finish else estimate_epilogue(layer) + 8
    row = places * _WIDEN_COST + products + s.segments * _SEGMENT_COST + _ROW_COST
    cost = s.g.rows * (row + s.g.out_channels * (last + 2 * (s.segments - 1)))
    return Bound(
        layer,
        round(cost),
        tables=(table, finish[0]) if finish else (table,),
        scratch_bytes=s.scratch,
        parts=MappingProxyType(parts),
        values=MappingProxyType(
            {
                "s": s,
                "g": s.g,
                "finished": finish is not None,
                "y_format": layer.output.format.name,
                "window": None,
                "out_words": layer.output.words // s.g.rows,
                "acc_type": find_accumulator(layer.epilogue),
            }
        ),
        calls_epilogue=finish is None,
    )


def _refuse_epilogue(layer: LayerSpec) -> str:
    if layer.weights is None or not layer.epilogue:
        return "the constants are no constants"
    if find_accumulator(layer.epilogue) != "int32_t":
        return f"the epilogue {layer.epilogue} takes no int32"
    if "bias" not in layer.constants or layer.output.format.bits != 8:
        return ""
    reach = sum_reach(layer, layer.weights.astype(np.int64))
    refuse = refuse_scaling_twice if layer.epilogue == TWICE else refuse_scaling
    lanes = layer.epilogue != TWICE and reach[1::2].max(initial=0) >= _MOST_ODD
    if not refuse(layer, reach) and not lanes and layer.epilogue == TWICE:
        return "another kernel finishes these outputs without a call"
    return ""


def _shorten(rows: Int64s, reach: int, limit: int, step: int) -> int:
    """Inputs of the longest segments, all of one length, whose sums stay below a limit."""
    count = rows.shape[1]
    for segments in range(1, count + 1):
        length = round_up(divide_up(count, segments), step)
        sums = np.abs(_cut(rows, length)).sum(2)
        if int(sums.max(initial=0)) * reach < limit:
            return length
    return step


def _cut(rows: Int64s, length: int) -> Int64s:
    """Segments (segments, channels, inputs); the last one is filled with zeros."""
    padded = np.pad(rows, ((0, 0), (0, -rows.shape[1] % length)))
    cut: Int64s = padded.reshape(len(rows), -1, length).transpose(1, 0, 2)
    return cut


def _pack_words(rows: Int64s, zero: int) -> np.ndarray:
    """Records of a segment: four channels, four inputs of each after the other."""
    padded = np.pad(rows, ((0, -len(rows) % 4), (0, 0)))
    groups = padded.reshape(len(padded) // 4, 4, -1, 4)[:, :, :, _ORDER]
    words = to_words(((groups & 0xFF) << np.arange(4) * 8).sum(3)).transpose(0, 2, 1)
    return FOUR.pack(
        {"words": words.shape[1] * 4},
        bias=to_words(-zero * padded.sum(1)),
        weights=np.ascontiguousarray(words).reshape(len(groups), -1),
    )


def _multiply_words(words: int, fours: int) -> Part:
    """``(w, x, y)``: sums of all channels of a segment, from inputs of 16 bits."""
    turns = largest_divisor(words, 2)
    values = {
        "end": words * 8,
        "fours": fours,
        "turns": turns,
        "looped": turns != words,
        "sums": (("r2", "r8"), ("r3", "r9"), ("r4", "r10"), ("r5", "r11")),
    }
    return Part(_SOURCE, "product", "_product", MappingProxyType(values))


def _finish_twice(layer: LayerSpec, s: Sums) -> tuple[Table, Part]:
    """What scales the sums of each channel; ``(sums, scaling, y, count)``."""
    rows = np.zeros(s.g.out_channels, np.int64)
    scaling, addend, shift = fold_scaling_twice(layer, rows)
    words = SCALING.pack(
        {},
        bias=to_words(2 * remove_zero(layer, rows)),
        multiplier=to_words(scaling.multiplier),
        addend=to_words(addend),
        shift=to_words(shift),
    )
    values = {
        "more": [4 * s.sums * index for index in range(1, s.segments)],
        "epilogue": scaling.epilogue,
    }
    part = Part(_SOURCE, "finish", "_finish", MappingProxyType(values))
    return Table("scaling", words, "a channel: twice the bias, multiplier, addend, shift"), part
