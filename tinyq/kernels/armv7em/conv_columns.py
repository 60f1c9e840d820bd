"""Convolution of any window on Arm v7E-M from columns, four pixels at a time.

Sums of codes of 16 bits leave int32 where a window has many taps: segments of it are summed one by
one then.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from types import MappingProxyType

import numpy as np

from tinyq.kernels.armv7em.columns import collect_wide, estimate_column, list_column_parts
from tinyq.kernels.armv7em.quads import Quads, QuadSums, pack_pairs
from tinyq.kernels.armv7em.wide import FINISH_COST, finish_wide, pack_wide, refuse_wide
from tinyq.kernels.base import INT8, Bound, Part, Refusal
from tinyq.kernels.common.blocks import Outputs
from tinyq.kernels.common.epilogue import estimate_epilogue
from tinyq.kernels.common.windows import MOST_CHANNELS
from tinyq.kernels.epilogues import find_accumulator
from tinyq.kernels.geometry import WindowGeometry, divide_up, read_window, round_up
from tinyq.kernels.layer import LayerSpec
from tinyq.kernels.leads import lead_lines
from tinyq.kernels.packing.epilogue import Epilogue
from tinyq.kernels.packing.order import by_channel
from tinyq.kernels.packing.record import Table
from tinyq.kernels.packing.words import Int64s
from tinyq.kernels.registry import kernel

_TEXT = "armv7em/conv_columns"
_BLOCK_COST, _PIXEL_COST, _WIDE_COST = 60, 12, 5.5


@dataclass(frozen=True, slots=True)
class Columns:
    """What the kernel's memory and loops come to.

    Attributes:
        g: The layer.
        bits: Of an input.
        pixels: Of a block.
        segment: Taps of a segment, whole words.
        stride: Units from pixel to pixel of y.
    """

    g: WindowGeometry
    bits: int
    pixels: int
    segment: int
    stride: int

    @property
    def taps(self) -> int:
        """Codes of a window."""
        return self.g.kernel_height * self.g.line_taps

    @property
    def segments(self) -> int:
        """How many there are."""
        return divide_up(self.taps, self.segment)

    @property
    def column(self) -> int:
        """Codes from column to column."""
        return self.segments * self.segment

    @property
    def words(self) -> int:
        """Words of codes of eight bits of a segment, which four pixels have in a panel."""
        return self.segment // 4

    @property
    def columns_at(self) -> int:
        """Words before the columns in scratch: the panel, a halfword a code."""
        return self.column // 2 * self.pixels

    @property
    def panel_words(self) -> int:
        """Words of the panel of a segment."""
        return self.segment // 2 * self.pixels

    @property
    def sums_at(self) -> int:
        """Words before the sums in scratch."""
        return self.columns_at + divide_up(self.column * self.pixels * self.bits, 32)

    @property
    def sums(self) -> int:
        """Sums of a block; no channel is without its neighbour."""
        return self.pixels * round_up(self.g.out_channels, 2)


@dataclass(frozen=True, slots=True)
class Segment:
    """Where a segment lies, in the text's terms.

    Attributes:
        weights: Its weights.
        panel: Its codes.
        sums: Its sums.
        end: Where its weights end.
    """

    weights: str
    panel: str
    sums: str
    end: str


@kernel("conv2d", "s8", INT8, variant="columns", text=_TEXT)
def bind(layer: LayerSpec) -> Bound | Refusal:
    """Outputs of bytes that are requantized by SMMLA."""
    g, block = read_window(layer), Quads()
    if layer.output.format.bits != 8:
        return Refusal("outputs are no bytes")
    if g.out_channels > MOST_CHANNELS:
        return Refusal("pixels are too long for an immediate offset")
    if reason := block.refuse(layer):
        return Refusal(reason)
    s = _measure(g, 8, g.out_channels)
    stream = block.pack(_flatten(layer))
    product = block.product(
        stream, s.words, Outputs(g.out_channels, False, g.out_channels % 2 == 1)
    )
    scratch = 4 * s.sums_at + s.pixels * g.out_channels
    return _bound(layer, s, stream.table, product, (scratch, stream.pair_words))


@kernel("conv2d", "s8", (INT8, "b1"), variant="sumscolumns", text=_TEXT)
def bind_sums(layer: LayerSpec) -> Bound | Refusal:
    """Sums that are left to the epilogue's own function."""
    g, block = read_window(layer), QuadSums()
    if reason := block.refuse(layer):
        return Refusal(reason)
    s = _measure(g, 8, layer.output.words // g.out_pixels)
    stream = block.pack(_flatten(layer))
    product = block.product(stream, s.words, Outputs(0, False, False))
    return _bound(layer, s, stream.table, product, (4 * (s.sums_at + s.sums), stream.pair_words))


@kernel("conv2d", "s16", "s8", variant="widecolumns", text=_TEXT)
def bind_wide(layer: LayerSpec) -> Bound | Refusal:
    """Codes of 16 bits whose sums stay within int32, rounded once by a mantissa of 63 bits."""
    if layer.weights is None:
        return Refusal("the weights are no constants")
    entry, zero = layer.inputs[0].format, layer.geometry["x_zero"]
    reach = max(entry.hi - zero, zero - entry.lo, -entry.lo)
    if reason := refuse_wide(layer, np.abs(by_channel(layer.weights)).sum(1) * reach):
        return Refusal(reason)
    return _bind_wide(layer, finish_wide(layer, 4 * Quads.pixels, _bytes(layer), same=False))


@kernel("conv2d", "s16", "s8", variant="sumscolumns", text=_TEXT)
def bind_wide_sums(layer: LayerSpec) -> Bound | Refusal:
    """Codes of 16 bits, whose sums are left to the epilogue's own function."""
    if layer.weights is None or not layer.epilogue:
        return Refusal("the constants are no constants")
    return _bind_wide(layer, None)


def _bytes(layer: LayerSpec) -> int:
    return layer.output.format.bits // 8


def _bind_wide(layer: LayerSpec, finish: Part | None) -> Bound | Refusal:
    assert layer.weights is not None
    g, entry = read_window(layer), layer.inputs[0].format
    rows = by_channel(layer.weights)
    reach = max(entry.hi - g.x_zero, g.x_zero - entry.lo, -entry.lo)
    segment = _shorten(rows, reach)
    s = Columns(g, 16, QuadSums.pixels, segment, layer.output.words // g.out_pixels)
    if s.segments > 1 and find_accumulator(layer.epilogue) == "int32_t":
        return Refusal("sums leave int32")
    padded = np.pad(rows, ((0, 0), (0, s.column - rows.shape[1])))
    nothing = np.zeros((len(rows), 0), np.int64)
    streams = [
        pack_pairs(layer, part, -g.x_zero * part.sum(1), nothing, (Epilogue(), ""))
        for part in np.split(padded, s.segments, axis=1)
    ]
    words = np.concatenate([it.table.words for it in streams])
    comment = "two channels: -zero point * sum of weights, weights as int16"
    product = QuadSums().product(streams[0], s.words, Outputs(0, False, False))
    rest = 4 * (s.sums_at + s.segments * s.sums), streams[0].pair_words
    table = Table("weights", words, comment, "w")
    return _bound(layer, s, table, product, rest, finish)


def _measure(g: WindowGeometry, bits: int, stride: int) -> Columns:
    return Columns(g, bits, Quads.pixels, round_up(g.kernel_height * g.line_taps, 4), stride)


def _flatten(layer: LayerSpec) -> LayerSpec:
    """The layer with the taps of a window in one line."""
    assert layer.weights is not None
    flat = layer.weights.reshape(len(layer.weights), -1)
    return replace(layer, operands=(*layer.operands[:-1], flat))


def _shorten(rows: Int64s, reach: int) -> int:
    """Taps of the longest segments, all of one length, whose sums stay within int32."""
    count = rows.shape[1]
    for segments in range(1, count + 1):
        length = round_up(divide_up(count, segments), 4)
        padded = np.pad(np.abs(rows), ((0, 0), (0, -count % length)))
        if int(padded.reshape(len(rows), -1, length).sum(2).max()) * reach < 2**31:
            return length
    return 4


def _bound(
    layer: LayerSpec,
    s: Columns,
    table: Table,
    product: Part,
    rest: tuple[int, int],
    finish: Part | None = None,
) -> Bound:
    scratch, pair_words = rest
    sums_to_scratch = product.macro == "sums"
    parts = list_column_parts(s.g, s.bits)
    if s.bits == 16:
        parts["collect"] = collect_wide(s.column // 2)
    else:
        parts["collect"] = Quads().collect(1, s.words, 4 * s.words)
    parts["product"] = product
    if finish:
        parts["finish"] = finish
    each = 0 if not sums_to_scratch else FINISH_COST if finish else estimate_epilogue(layer) + 4
    end = divide_up(s.g.out_channels, 2) * pair_words
    return Bound(
        layer,
        round(_estimate(s, each, sums_to_scratch=sums_to_scratch)),
        tables=(table, pack_wide(layer)) if finish else (table,),
        scratch_bytes=scratch,
        leads=lead_lines(layer),
        parts=MappingProxyType(parts),
        values=MappingProxyType(
            {
                "s": s,
                "g": s.g,
                "sums_to_scratch": sums_to_scratch,
                "finished": finish is not None,
                "end": end,
                "segments": _list_segments(s, end),
                "y_format": layer.output.format.name,
                "acc_type": find_accumulator(layer.epilogue),
            }
        ),
        calls_epilogue=sums_to_scratch and finish is None,
    )


def _list_segments(s: Columns, end: int) -> tuple[Segment, ...]:
    """Segments whose weights are ``end`` words each."""
    return tuple(
        Segment(
            _move("w", index * end),
            _move("panel", index * s.panel_words),
            _move("sums", index * s.sums),
            _move("w", (index + 1) * end),
        )
        for index in range(s.segments)
    )


def _move(pointer: str, count: int) -> str:
    return f"{pointer} + {count}" if count else pointer


def _estimate(s: Columns, each: float, *, sums_to_scratch: bool) -> float:
    g, block = s.g, QuadSums() if sums_to_scratch else Quads()
    words = s.segments * s.words
    pairs = divide_up(g.out_channels, 2)
    products = pairs * (words * block.word_cost + s.segments * block.finish_cost)
    collected = words * (block.collect_cost if s.bits == 8 else 2 * _WIDE_COST)
    columns = s.pixels * (estimate_column(g, s.bits) + _PIXEL_COST)
    finish = each * g.out_channels * g.out_pixels
    return (
        divide_up(g.out_pixels, s.pixels) * (products + collected + columns + _BLOCK_COST) + finish
    )
