"""Depthwise convolution of any window on Arm v7E-M: four channels of some lines at a time.

The lines under a band of outputs are spread to strips, a channel after the other, with their
padding; lines that the next band needs as well move up. An image of one column is a line.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from types import MappingProxyType

from tinyq.kernels.armv7em.assembly import copy_bytes
from tinyq.kernels.armv7em.strips import (
    Lines,
    StripWeights,
    count_expanded,
    estimate_call,
    expand_weights,
    filter_lines,
    lay_lines,
    pack_strips,
    pair_words_of,
    spread_line,
)
from tinyq.kernels.armv7em.wide import FINISH_COST, finish_wide, pack_wide, refuse_wide
from tinyq.kernels.base import INT8, Bound, Part, Refusal
from tinyq.kernels.common.epilogue import estimate_epilogue
from tinyq.kernels.common.memory import fill_words
from tinyq.kernels.epilogues import find_accumulator
from tinyq.kernels.geometry import WindowGeometry, divide_up, read_window, round_up
from tinyq.kernels.layer import LayerSpec
from tinyq.kernels.leads import NONE, lead_lines
from tinyq.kernels.packing.epilogue import (
    TWICE,
    refuse_scaling,
    refuse_scaling_twice,
    sum_reach,
)
from tinyq.kernels.packing.order import taps_by_channel
from tinyq.kernels.packing.words import Int64s
from tinyq.kernels.registry import kernel

_TEXT = "armv7em/depthwise_strips"
_GROUP = 4  # channels
_SCRATCH = 4096  # bytes of strips where a band may be as high as it likes
_BOTH_HALVES = 0x00010001
_FINISH, _FINISH_TWICE = 3, 6  # instructions of an output


@dataclass(frozen=True, slots=True)
class Sizes:
    """What the kernel's memory and loops come to; bytes where nothing else is said.

    Attributes:
        g: The layer, with an image of one column as a line.
        bits: Of an input.
        multiplicity: Outputs of a channel.
        by_bands: Whether all channels of a band are done before the next band, so that outputs may
            lie over lines of the input; lines that two bands need are copied twice.
    """

    g: WindowGeometry
    bits: int
    multiplicity: int
    by_bands: bool

    @property
    def group(self) -> int:
        """Channels at a time."""
        return min(_GROUP, self.g.in_channels)

    @property
    def before(self) -> int:
        """Columns before the image, so that words are aligned."""
        return round_up(self.g.pad_left, 2)

    @property
    def first(self) -> int:
        """The column that windows begin at."""
        return self.before - self.g.pad_left

    @property
    def columns(self) -> int:
        """Columns of a line of a strip."""
        g = self.g
        windows = self.first + (g.out_width - 1) * g.stride_width + 2 * pair_words_of(g)
        return round_up(max(windows, self.before + g.in_width), 2)

    @property
    def row(self) -> int:
        """A line of a strip."""
        return self.columns * 2

    @property
    def row_words(self) -> int:
        """Words of it."""
        return self.row // 4

    @property
    def band(self) -> int:
        """Lines of outputs at a time."""
        g = self.g
        room = _SCRATCH // (self.group * self.row) - g.window_height
        return max(1, min(g.out_height, room // g.stride_height + 1))

    @property
    def lines(self) -> int:
        """Lines of a strip."""
        return (self.band - 1) * self.g.stride_height + self.g.window_height

    @property
    def kept(self) -> int:
        """Lines that the next band needs, too."""
        return max(self.g.window_height - self.g.stride_height, 0)

    @property
    def moved(self) -> int:
        """What moves up, of each strip."""
        keeps = self.band < self.g.out_height and not self.by_bands
        return self.kept * self.row if keeps else 0

    @property
    def rows_between(self) -> int:
        """Lines of inputs from band to band."""
        return self.band * self.g.stride_height

    @property
    def moved_from(self) -> int:
        """Where it lies."""
        return self.rows_between * self.row

    @property
    def moved_from_codes(self) -> int:
        """Codes before it."""
        return self.rows_between * self.columns

    @property
    def strip(self) -> int:
        """A strip."""
        return self.lines * self.row

    @property
    def strip_codes(self) -> int:
        """Codes of it, a halfword each."""
        return self.lines * self.columns

    @property
    def channel_words(self) -> int:
        """Words of it."""
        return self.lines * self.row_words

    @property
    def strip_words(self) -> int:
        """Words of all strips."""
        return self.group * self.channel_words

    @property
    def line(self) -> int:
        """Codes of a line of x."""
        return self.g.in_width * self.g.in_channels

    @property
    def out_line(self) -> int:
        """Codes of a line of y."""
        return self.g.out_width * self.g.out_channels

    @property
    def sums(self) -> int:
        """Sums of a channel of a band."""
        return self.band * self.g.out_width * 4

    @property
    def zeros(self) -> int:
        """Two zero points."""
        return self.g.x_zero % 65536 * _BOTH_HALVES

    @property
    def partial(self) -> bool:
        """Whether the last channels overlap others."""
        return self.g.in_channels % self.group != 0

    @property
    def in_place(self) -> bool:
        """Whether channels are read as a whole before their outputs are written."""
        g = self.g
        smaller = g.out_height * g.out_width <= g.in_height * g.in_width
        alone = self.band >= g.out_height and self.multiplicity == 1
        return alone and smaller and not self.partial


@kernel("depthwise2d", "s8", (INT8, "b1"), variant="strips", text=_TEXT)
def bind(layer: LayerSpec) -> Bound | Refusal:
    """Any window whose outputs are requantized by SMMLA."""
    return _bind(layer, sums_to_scratch=False)


@kernel("depthwise2d", "s8", (INT8, "b1"), variant="bands", text=_TEXT)
def bind_bands(layer: LayerSpec) -> Bound | Refusal:
    """The same, some lines of outputs at a time with all their channels."""
    return _bind(layer, sums_to_scratch=False, by_bands=True)


@kernel("depthwise2d", "s8", (INT8, "b1"), variant="sumsstrips", text=_TEXT)
@kernel("depthwise2d", "s16", "s8", variant="sumsstrips", text=_TEXT)
def bind_sums(layer: LayerSpec) -> Bound | Refusal:
    """Any window, whose sums are left to the epilogue's own function."""
    return _bind(layer, sums_to_scratch=True)


@kernel("depthwise2d", "s16", "s8", variant="widestrips", text=_TEXT)
def bind_wide(layer: LayerSpec) -> Bound | Refusal:
    """Codes of 16 bits, rounded once by a mantissa of 63 bits."""
    if layer.weights is None:
        return Refusal("the weights are no constants")
    entry, zero = layer.inputs[0].format, layer.geometry["x_zero"]
    reach = max(entry.hi - zero, zero - entry.lo, -entry.lo)
    if reason := refuse_wide(layer, abs(taps_by_channel(layer.weights)).sum(1) * reach):
        return Refusal(reason)
    each = layer.geometry["out_channels"] * layer.output.format.bits // 8
    return _bind(layer, sums_to_scratch=True, finish=finish_wide(layer, 4, each, same=True))


def _bind(
    layer: LayerSpec,
    *,
    sums_to_scratch: bool,
    by_bands: bool = False,
    finish: Part | None = None,
) -> Bound | Refusal:
    if reason := _refuse_constants(layer, sums_to_scratch=sums_to_scratch):
        return Refusal(reason)
    g = _turn(read_window(layer))
    sizes = Sizes(g, layer.inputs[0].format.bits, layer.geometry["multiplicity"], by_bands)
    if by_bands and sizes.band >= g.out_height:
        return Refusal("there is one band")
    weights = pack_strips(layer, g, sums_to_scratch=sums_to_scratch)
    lines = lay_lines(g, sizes.row, _finish_cost(layer, sums_to_scratch=sums_to_scratch))
    expanded = count_expanded(weights) * 4
    sums_at = expanded + sizes.group * sizes.strip
    parts = _list_parts(sizes, lines, weights, sums_to_scratch=sums_to_scratch)
    each = 0 if not sums_to_scratch else FINISH_COST if finish else estimate_epilogue(layer)
    return Bound(
        layer,
        round(
            _estimate(layer, sizes, lines, weights, sums_to_scratch=sums_to_scratch)
            + each * layer.work.elements
        ),
        tables=(weights.table, pack_wide(layer)) if finish else (weights.table,),
        scratch_bytes=sums_at + (sizes.sums if sums_to_scratch else 0),
        leads=lead_lines(layer, sizes.band) if by_bands else NONE,
        in_place=(0,) if sizes.in_place and sizes.bits == layer.output.format.bits else (),
        parts=MappingProxyType({**parts, "finish": finish} if finish else parts),
        values=MappingProxyType(
            {
                "s": sizes,
                "g": g,
                "weights": weights,
                "sums_to_scratch": sums_to_scratch,
                "finished": finish is not None,
                "strips_at": expanded // 4,
                "sums_at": sums_at // 4,
                "y_format": layer.output.format.name,
            }
        ),
        calls_epilogue=sums_to_scratch and finish is None,
    )


def _turn(g: WindowGeometry) -> WindowGeometry:
    """An image of one column, and windows of one column on it, as lines: they lie the same way."""
    if (g.in_width, g.kernel_width, g.out_width, g.pad_left) != (1, 1, 1, 0):
        return g
    return replace(
        g,
        in_height=1,
        in_width=g.in_height,
        out_height=1,
        out_width=g.out_height,
        kernel_height=1,
        kernel_width=g.kernel_height,
        stride_height=1,
        stride_width=g.stride_height,
        dilation_height=1,
        dilation_width=g.dilation_height,
        pad_top=0,
        pad_left=g.pad_top,
    )


def _refuse_constants(layer: LayerSpec, *, sums_to_scratch: bool) -> str:
    if layer.weights is None or not layer.epilogue:
        return "the constants are no constants"
    wide = layer.inputs[0].format.bits == 16
    reach = sum_reach(layer, taps_by_channel(layer.weights)) if "bias" in layer.constants else None
    refused = _refuse_scaling(layer, reach) if reach is not None else "there is no bias"
    if not sums_to_scratch:
        return refused
    if not wide and not refused:
        return "another kernel finishes these outputs without a call"
    if layer.output.format.bits < 8:
        return "outputs are smaller than a byte"
    if find_accumulator(layer.epilogue) != "int32_t" and not wide:
        return f"the epilogue {layer.epilogue} takes no int32"
    largest = abs(taps_by_channel(layer.weights)).sum(1).max(initial=0)
    entry, zero = layer.inputs[0].format, layer.geometry["x_zero"]
    if int(largest) * max(entry.hi - zero, zero - entry.lo, -entry.lo) >= 2**31:
        return "sums leave int32"
    return ""


def _refuse_scaling(layer: LayerSpec, reach: Int64s) -> str:
    if layer.output.format.bits != 8:
        return "outputs are no bytes"
    if layer.epilogue == TWICE:
        return refuse_scaling_twice(layer, reach)
    return refuse_scaling(layer, reach)


def _finish_cost(layer: LayerSpec, *, sums_to_scratch: bool) -> int:
    if sums_to_scratch:
        return 1
    return _FINISH_TWICE if layer.epilogue == TWICE else _FINISH


def _list_parts(
    s: Sizes, lines: Lines, weights: StripWeights, *, sums_to_scratch: bool
) -> dict[str, Part]:
    g = s.g
    parts: dict[str, Part] = {"fill": fill_words(), "expand": expand_weights(weights)}
    if s.group == _GROUP:
        parts["spread"] = spread_line(g.in_width, g.in_channels, s.bits, s.strip)
    if s.moved:
        parts["move"] = copy_bytes(s.moved, loose=False)
    parts["filter"] = filter_lines(
        g, lines, weights, s.row, 0 if sums_to_scratch else g.out_channels
    )
    return parts


def _estimate(
    layer: LayerSpec, s: Sizes, lines: Lines, weights: StripWeights, *, sums_to_scratch: bool
) -> float:
    g, bands = s.g, divide_up(s.g.out_height, s.band)
    groups = divide_up(g.in_channels, s.group)
    line = lines.estimate(_finish_cost(layer, sums_to_scratch=sums_to_scratch))
    channel = g.out_height * line + bands * (estimate_call() + 14)
    expand = 20 + weights.packed * (6 if weights.bits >= 8 else 4 + 160 // weights.bits)
    outputs = groups * s.group * s.multiplicity
    spread = 2.1 * s.group if s.group == _GROUP else 7.0 * s.group
    lines_read = g.in_height * (g.in_width * spread + 40) + (bands - 1) * s.kept * s.row * 0.7
    padded = max((s.lines - g.in_height), 0) * s.group * (s.row_words * 3 + 12)
    fixed = 3 * s.strip_words + 60
    return outputs * (channel + expand * bands) + groups * (lines_read + padded) + fixed
