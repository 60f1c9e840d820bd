"""Pooling on Arm v7E-M: a block of codes of a pixel stays in registers while its taps go by.

The largest of four codes is a comparison of all of them (SSUB8) and a choice (SEL). Sums of bytes
are two to a register (SXTAB16), at most 255 codes each; what a window has more is added up in
memory. The last block of a pixel overlaps the one before it.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from types import MappingProxyType

from tinyq.kernels.base import Bound, Part, Refusal
from tinyq.kernels.common.epilogue import estimate_epilogue
from tinyq.kernels.epilogues import find_accumulator
from tinyq.kernels.geometry import divide_up
from tinyq.kernels.layer import LayerSpec
from tinyq.kernels.leads import lead_lines
from tinyq.kernels.registry import kernel

_SOURCE, _TEXT = "armv7em/pools.j2", "armv7em/pools"
_WORDS = 4  # of a block
_MOST_TAPS = 255  # of sums of bytes in a halfword
_PIXEL_COST, _BLOCK_COST, _MEAN_COST = 25, 14, 13
_TAP_COST, _LARGEST_COST, _SUM_COST = 3, 2, 6  # of a word: each tap, the rest
_PAIRS = (("r4", "r5"), ("r6", "r7"), ("r8", "r9"), ("r10", "r11"))


@dataclass(frozen=True, slots=True)
class PoolGeometry:
    """Windows over an image; sizes, steps and padding in codes."""

    in_height: int
    in_width: int
    in_channels: int
    out_height: int
    out_width: int
    kernel_height: int
    kernel_width: int
    stride_height: int
    stride_width: int
    dilation_height: int
    dilation_width: int
    pad_top: int
    pad_left: int


@dataclass(frozen=True, slots=True)
class Blocks:
    """How the codes of a pixel are taken.

    Attributes:
        channels: Codes of a pixel.
        each: Codes of a word.
    """

    channels: int
    each: int

    @property
    def size(self) -> int:
        """Codes of a block."""
        return min(self.channels, _WORDS * self.each)

    @property
    def last(self) -> int:
        """The first code of the last block."""
        return self.channels - self.size

    @property
    def count(self) -> int:
        """Blocks of a pixel."""
        return divide_up(self.channels, self.size)

    @property
    def words(self) -> tuple[int, ...]:
        """The first code of each word of a block; the last word may overlap."""
        ends = range(self.each, self.size + self.each, self.each)
        return tuple(min(end, self.size) - self.each for end in ends)


@kernel("maxpool2d", ("s8", "s16"), variant="blocks", text=_TEXT)
def bind_largest(layer: LayerSpec) -> Bound | Refusal:
    """The largest code of a window."""
    return _bind(layer, "largest", "")


@kernel("averagepool2d", "s8", variant="blocks", text=_TEXT)
def bind_mean(layer: LayerSpec) -> Bound | Refusal:
    """The mean, half rounded up."""
    return _bind(layer, "sums", "tq_divide_half_up(sums[i], taps)")


@kernel("tfliteaveragepool2d", "s8", variant="blocks", text=_TEXT)
def bind_mean_away(layer: LayerSpec) -> Bound | Refusal:
    """The mean, half rounded away from zero."""
    low, high = layer.geometry["lo"], layer.geometry["hi"]
    return _bind(layer, "sums", f"tq_mean_away(sums[i], taps, {low}, {high})")


@kernel("sumpool2d", "s8", variant="blocks", text=_TEXT)
def bind_sums(layer: LayerSpec) -> Bound | Refusal:
    """Sums that are left to the epilogue's own function."""
    if not layer.epilogue or find_accumulator(layer.epilogue) != "int32_t":
        return Refusal(f"the epilogue {layer.epilogue or 'nothing'} takes no int32")
    return _bind(layer, "sums", "")


def _bind(layer: LayerSpec, kind: str, mean: str) -> Bound | Refusal:
    g = PoolGeometry(**{it.name: layer.geometry[it.name] for it in fields(PoolGeometry)})
    code_bytes = layer.inputs[0].format.bits // 8
    blocks = Blocks(g.in_channels, 4 // code_bytes)
    if g.in_channels < blocks.each:
        return Refusal("the codes of a pixel fill no word")
    largest = kind == "largest"
    if (largest or mean) and layer.output.format != layer.inputs[0].format:
        return Refusal("the outputs are codes of fewer bits, as the inputs were")
    taps = g.kernel_height * g.kernel_width
    whole = largest or taps <= _MOST_TAPS
    # Without an epilogue a pixel's sums are those of one block.
    kept = 0 if largest else g.in_channels if not mean else blocks.size
    sums_to_scratch = not largest and not mean
    step = g.dilation_width * g.in_channels * code_bytes
    part = _take_largest(blocks, step, code_bytes) if largest else _add_up(blocks, step)
    return Bound(
        layer,
        _estimate(layer, g, blocks, kind, mean),
        scratch_bytes=4 * kept,
        leads=lead_lines(layer),
        parts=MappingProxyType({"take": part}),
        values=MappingProxyType(
            {
                "g": g,
                "blocks": blocks,
                "largest": largest,
                "mean": mean,
                "whole": whole,
                "most_taps": _MOST_TAPS,
                "line_bytes": g.in_width * g.in_channels * code_bytes * g.dilation_height,
                "step": step,
                "out_words": layer.output.words // (g.out_height * g.out_width),
                "y_format": layer.output.format.name,
                "x_zero": layer.geometry.get("x_zero", 0),
            }
        ),
        calls_epilogue=sums_to_scratch,
    )


def _take_largest(blocks: Blocks, step: int, code_bytes: int) -> Part:
    """``(x, y, rows, columns, line)``: the largest codes of a block."""
    values = {
        "words": [(f"r{4 + place}", code_bytes * at) for place, at in enumerate(blocks.words)],
        "step": step,
        "bits": 8 * code_bytes,
    }
    name = f"tq_largest_{8 * code_bytes}_{blocks.size}_{step}"
    return Part(_SOURCE, "largest", name, MappingProxyType(values), shared=True)


def _add_up(blocks: Blocks, step: int) -> Part:
    """``(x, sums, rows, columns, line)``: sums of the codes of a block."""
    pairs = zip(blocks.words, _PAIRS, strict=False)
    values = {"words": [(at, *pair) for at, pair in pairs], "step": step}
    name = f"tq_add_up_{blocks.size}_{step}"
    return Part(_SOURCE, "add_up", name, MappingProxyType(values), shared=True)


def _estimate(layer: LayerSpec, g: PoolGeometry, blocks: Blocks, kind: str, mean: str) -> int:
    words, pixels = len(blocks.words), g.out_height * g.out_width
    rest = _LARGEST_COST if kind == "largest" else _SUM_COST
    taps = layer.work.taps / max(layer.work.elements, 1)
    block = taps * (_TAP_COST * words + 3) + 5 * g.kernel_height + _BLOCK_COST + rest * words
    finish = 0.0
    if kind != "largest":
        finish = _MEAN_COST if mean else estimate_epilogue(layer) + 4
    return round(pixels * (blocks.count * block + g.in_channels * finish + _PIXEL_COST))
