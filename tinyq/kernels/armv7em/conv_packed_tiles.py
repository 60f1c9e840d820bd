"""Convolution 3 x 3 by Winograd's F(2 x 2, 3 x 3) on Arm v7E-M, weights packed.

As `conv_winograd2`, but weights lie in flash as they are. Those of a pair of channels are
transformed in RAM for several times four tiles, and stay there. Fewer panels at a time take less
RAM and unpack weights more often.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType

from tinyq.kernels.armv7em.assembly import copy_bytes
from tinyq.kernels.armv7em.conv_winograd2 import Sizes as TileSizes
from tinyq.kernels.armv7em.packed_blocks import list_levels
from tinyq.kernels.armv7em.packed_tiles import (
    PAIR,
    declare_job,
    loosen_weights,
    multiply_panels,
    pack_tiles,
    refuse_constants,
    transform_weights,
)
from tinyq.kernels.armv7em.packed_weights import Form, GainedFold, find_form, fold_gain
from tinyq.kernels.armv7em.winograd2 import GAIN, refuse_tiles, transform_columns, transform_lines
from tinyq.kernels.base import INT8, Bound, Part, Refusal
from tinyq.kernels.common.memory import fill_words
from tinyq.kernels.geometry import divide_up, read_window
from tinyq.kernels.layer import LayerSpec
from tinyq.kernels.leads import lead_lines
from tinyq.kernels.registry import kernel
from tinyq.kernels.thumb import largest_divisor

_SLOTS, _FEW_SLOTS = 4, 2
_ALIGNED = 252  # bytes that the panels' alignment may cost
# Instructions: of a pair of places, of a pair of channels, of a channel across four tiles, of a
# code downwards; of transforming a pair of places, from fields too, and a pair of channels.
_PAIR_COST, _FINISH_COST, _ACROSS_COST, _DOWN_COST = 176, 680, 35, 8
_TURN_COST, _LOOSE_TURN_COST, _TURNS_COST = 98, 125, 100


@dataclass(frozen=True, slots=True)
class Sizes(TileSizes):
    """What the kernel's memory and loops come to, in words where nothing else is said.

    Attributes:
        slots: Panels at a time, at most.
    """

    slots: int

    @property
    def across(self) -> int:
        """Panels of a line of tiles."""
        return self.g.in_width // 8

    @property
    def per(self) -> int:
        """Panels at a time: of a part of a line of tiles or of several lines; up to 16 KB."""
        most = max(min(128 // self.g.in_channels, self.slots), 1)
        if self.across * 2 <= most:
            return self.across * largest_divisor(self.g.in_height // 2, most // self.across)
        return divide_up(self.across, divide_up(self.across, most))

    @property
    def high(self) -> int:
        """Lines of tiles at a time."""
        return max(self.per // self.across, 1)

    @property
    def panels(self) -> int:
        """Bytes of all panels."""
        return self.per * self.panel

    @property
    def in_parts(self) -> bool:
        """Whether a line of tiles takes several blocks of panels."""
        return self.per < self.across

    @property
    def half_across(self) -> str:
        """Half the panels of a line, as C text."""
        return f"{self.across} / 2" if self.across % 2 else f"{self.across // 2}"

    @property
    def out_line(self) -> int:
        """Bytes of a line of y."""
        return self.g.out_width * self.g.out_channels

    @property
    def weights(self) -> int:
        """Transformed weights of a pair of channels."""
        return self.g.in_channels * 16

    @property
    def loose(self) -> int:
        """Unpacked weights of a pair of channels."""
        return self.g.in_channels * 9


@dataclass(frozen=True, slots=True)
class PairLoop:
    """Text of a loop over all pairs of channels; C names, and words of the stream."""

    count: int
    at: str
    pair_codes: int
    codes: int
    looked_up: bool
    head: int
    record: int
    loose: str
    transform: str
    multiply: str
    high: int
    pitch: int
    lines: int


@kernel("conv2d", "s8", (INT8, "b1"), variant="packedtiles")
def bind(layer: LayerSpec) -> Bound | Refusal:
    """Up to four panels at a time."""
    return _bind(layer, _SLOTS)


@kernel("conv2d", "s8", (INT8, "b1"), variant="slimtiles")
def bind_slim(layer: LayerSpec) -> Bound | Refusal:
    """Up to two panels at a time."""
    return _bind(layer, _FEW_SLOTS)


def _bind(layer: LayerSpec, slots: int) -> Bound | Refusal:
    g = read_window(layer)
    sizes = Sizes(g, slots)
    if slots < _SLOTS and 128 // g.in_channels <= slots:
        return Refusal("there are no more panels at a time anyway")
    if reason := refuse_tiles(layer, g) or refuse_constants(layer):
        return Refusal(reason)
    form = find_form(layer)
    fold = fold_gain(layer, GAIN + form.gain)
    loose = _reserve_loose(g.in_channels, form)
    kept = sizes.transformed * 4 + 2 * sizes.line
    room = _ALIGNED + sizes.panels + kept + g.in_channels * 64 + loose
    return Bound(
        layer,
        _estimate(sizes, loose),
        tables=(pack_tiles(layer, form, fold),),
        scratch_bytes=room,
        # The last line of a block's inputs is kept for the next block.
        in_place=(0,) if g.in_channels == g.out_channels else (),
        leads=lead_lines(layer, 2 * sizes.high, ahead=True),
        parts=MappingProxyType(_list_parts(sizes, form, fold)),
        values=MappingProxyType(
            {
                "s": sizes,
                "loop_": _describe_loop(sizes, form, fold),
                "narrow": form.width < 8,
                "looked_up": bool(form.levels),
                "levels": 2**form.width,
                "epilogue": fold.epilogue,
            }
        ),
    )


def _reserve_loose(channels: int, form: Form) -> int:
    """Bytes of unpacked fields of less than eight bits, or of codes and the table that has them."""
    if form.levels:
        return channels * 36 + form.listed * 4
    return channels * 18 + 28 if form.width < 8 else 0


def _estimate(sizes: Sizes, loose: int) -> int:
    g, pairs = sizes.g, sizes.g.in_channels // 2
    panels, channels = g.out_pixels // 16, divide_up(g.out_channels, 2)
    transforming = pairs * (_LOOSE_TURN_COST if loose else _TURN_COST) + _TURNS_COST
    parts = g.in_height // 2 * divide_up(sizes.across, sizes.per)
    blocks = min(parts, divide_up(panels, sizes.per))
    own = panels * (channels * (pairs * _PAIR_COST + _FINISH_COST) + g.in_channels * _ACROSS_COST)
    return own + blocks * channels * transforming + g.in_height // 2 * sizes.line * _DOWN_COST


def _list_parts(sizes: Sizes, form: Form, fold: GainedFold) -> dict[str, Part]:
    g, pairs = sizes.g, sizes.g.in_channels // 2
    parts = {
        "down": transform_lines(g.in_width, g.in_channels),
        "cross": transform_columns(g.in_width, g.in_channels),
        "fill": fill_words(),
        "job": declare_job(),
        "copy": copy_bytes(sizes.line, loose=False),
        "transform": transform_weights(pairs, wide=bool(form.levels)),
    }
    if form.levels:
        parts["list_levels"] = list_levels()
    if form.width < 8:
        parts["loosen"] = loosen_weights(form)
    return {**parts, "multiply": multiply_panels(pairs, fold)}


def _describe_loop(sizes: Sizes, form: Form, fold: GainedFold) -> PairLoop:
    g, pairs = sizes.g, sizes.g.in_channels // 2
    count = divide_up(g.out_channels, 2)
    at = "2 * o" if g.out_channels % 2 == 0 else f"(o < {count - 1} ? 2 * o : {g.out_channels - 2})"
    counts = {"head": 1 + fold.tail.shape[1], "words": divide_up(pairs * 9 * form.width, 8)}
    return PairLoop(
        count,
        at,
        pairs * 9,
        form.codes,
        bool(form.levels),
        PAIR.locate("weights", **counts),
        PAIR.count_words(**counts),
        loosen_weights(form).name if form.width < 8 else "",
        transform_weights(pairs, wide=bool(form.levels)).name,
        multiply_panels(pairs, fold).name,
        1 if sizes.in_parts else sizes.high,
        sizes.across * sizes.panel,
        2 * sizes.out_line,
    )
