"""Convolution of any window on Arm v7E-M, weights packed.

Several times four windows, from padded lines in RAM, by a pair of channels whose weights were
unpacked for them. By rows, the lines under some lines of outputs are kept, four outputs of a line
at a time; by image, the whole padded image is, and four outputs may lie on two lines. Fewer
windows at a time take less RAM and unpack weights more often.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from types import MappingProxyType

from tinyq.kernels.armv7em.assembly import copy_bytes, spread_nibbles
from tinyq.kernels.armv7em.packed_blocks import (
    count_unpacked,
    describe_loop,
    estimate_panels,
    limit_panels,
    list_parts,
)
from tinyq.kernels.armv7em.packed_weights import (
    find_form,
    fold_gain,
    pack_packed,
    refuse_packed,
)
from tinyq.kernels.armv7em.quads import Quads
from tinyq.kernels.base import INT8, Bound, Part, Refusal
from tinyq.kernels.common import windows
from tinyq.kernels.common.memory import fill_words
from tinyq.kernels.geometry import divide_up, read_window
from tinyq.kernels.layer import LayerSpec
from tinyq.kernels.leads import lead_freely, lead_lines
from tinyq.kernels.registry import kernel

_MOST_IMAGE = 8192  # bytes of a padded image where lines would do
_BYTE_COST, _LINE_COST = 0.7, 30  # instructions of copying
_WINDOW_LINE_COST, _ROW_COST, _IMAGE_COST = 13, 10, 40  # of collecting a panel


@dataclass(frozen=True, slots=True)
class Sizes(windows.Sizes):
    """What the kernel's memory and loops come to; bytes where nothing else is said.

    Attributes:
        slim: Whether half as many panels at a time are enough.
    """

    slim: bool

    @property
    def pairs(self) -> int:
        """Pairs of places of a window."""
        return self.window_words * 2

    @property
    def panel(self) -> int:
        """A panel of four windows."""
        return self.pairs * 16

    @property
    def across(self) -> int:
        """Panels of a line of outputs, the last of which may overlap."""
        return divide_up(self.g.out_width, 4)

    @property
    def quads(self) -> int:
        """Panels of the flat image, or of a line of outputs."""
        return divide_up(self.g.out_pixels, 4) if self.whole else self.across

    @property
    def per(self) -> int:
        """Panels of a block: parts of a line of outputs, or several lines, or of the image."""
        most, quads = limit_panels(self.panel) // (2 if self.slim else 1), self.quads
        if not self.whole and self.g.out_width % 4 == 0 and quads * 2 <= most:
            return quads * min(most // quads, self.g.out_height)
        return divide_up(quads, divide_up(quads, most))

    @property
    def high(self) -> int:
        """Lines of outputs of a block."""
        return max(self.per // self.across, 1)

    @property
    def lines(self) -> int:
        """Padded lines that are kept."""
        g = self.g
        outputs = g.out_height if self.whole else self.high
        least = (outputs - 1) * g.stride_height + g.window_height
        return max(least, g.pad_top + g.in_height) if self.whole else least

    @property
    def moves(self) -> bool:
        """Whether lines of a block serve the next: the last ones move up."""
        g = self.g
        steps = g.stride_height == 1 and g.dilation_height == 1
        return not self.whole and g.kernel_height > 1 and steps

    @property
    def moved(self) -> int:
        """What moves up."""
        return (self.lines - self.high) * self.row if self.moves else 0

    @property
    def kept(self) -> int:
        """Lines that move up."""
        return self.lines - self.high

    @property
    def above(self) -> int:
        """From a line to the one that takes its place."""
        return self.high * self.row

    @property
    def in_place(self) -> bool:
        """Whether lines of outputs are written when the inputs up to them are copied."""
        g = self.g
        alone = self.moves or g.kernel_height * g.stride_height == 1
        same = g.out_height == g.in_height and g.pad_top < g.kernel_height
        return self.whole or (same and alone)

    @property
    def gap(self) -> int:
        """From the end of a line of a window to the next."""
        return self.step - self.words * 4

    @property
    def panels(self) -> int:
        """All panels of a block."""
        return self.per * self.panel

    @property
    def ragged(self) -> bool:
        """Whether the last block has fewer lines of outputs."""
        return self.high > 1 and self.g.out_height % self.high != 0

    @property
    def row_width(self) -> int:
        """From line to line of what windows are read from, by the stride."""
        return self.row * self.g.stride_height

    @property
    def out_line(self) -> int:
        """A line of y."""
        return self.g.out_width * self.stride

    @property
    def whole_quads(self) -> int:
        """Panels of the image that do not lack windows."""
        return self.g.out_pixels // 4

    @property
    def rest(self) -> int:
        """Windows behind them."""
        return self.g.out_pixels % 4

    @property
    def line_quads(self) -> int:
        """Panels of a line of outputs that do not overlap."""
        return self.g.out_width // 4

    @property
    def line_rest(self) -> int:
        """Windows of a line behind them."""
        return self.g.out_width % 4


@kernel("conv2d", ("s8", "u4"), (INT8, "b1"), variant="packedrows")
def bind_rows(layer: LayerSpec) -> Bound | Refusal:
    """Four outputs of a line at a time."""
    return _bind(layer, whole=False)


@kernel("conv2d", ("s8", "u4"), (INT8, "b1"), variant="packedimage")
def bind_image(layer: LayerSpec) -> Bound | Refusal:
    """Four outputs that may lie on two lines."""
    return _bind(layer, whole=True)


@kernel("conv2d", ("s8", "u4"), (INT8, "b1"), variant="slimrows")
def bind_slim(layer: LayerSpec) -> Bound | Refusal:
    """Four outputs of a line at a time, half as many of them as by rows."""
    return _bind(layer, whole=False, slim=True)


def _bind(layer: LayerSpec, *, whole: bool, slim: bool = False) -> Bound | Refusal:
    g = read_window(layer)
    bits, nibbles = layer.inputs[0].format.bits, layer.output.format.bits == 4
    sizes = Sizes(g, Quads(), bits, nibbles, whole, slim)
    if reason := _refuse(sizes) or refuse_packed(layer):
        return Refusal(reason)
    if slim and sizes.per == replace(sizes, slim=False).per:
        return Refusal("there are no more panels at a time anyway")
    form = find_form(layer)
    fold = fold_gain(layer, form.gain)
    unpacked = count_unpacked(sizes.pairs)
    images = 4 * form.listed + unpacked + sizes.panels
    last = 4 * g.out_channels if whole else 0
    parts = {**list_parts(layer, form, fold), **_list_memory(sizes)}
    return Bound(
        layer,
        int(_estimate(layer, sizes)),
        tables=(pack_packed(layer, form, fold),),
        scratch_bytes=images + sizes.padded + last,
        in_place=(0,) if sizes.in_place else (),
        leads=lead_freely(layer) if whole else lead_lines(layer, sizes.high, ahead=True),
        parts=MappingProxyType(parts),
        values=MappingProxyType(
            {
                "s": sizes,
                "loop_": describe_loop(layer, sizes.pairs, form, fold),
                "listed": 4 * form.listed,
                "unpacked": unpacked,
                "images": images,
                "image_words": images // 4,
                "epilogue": fold.epilogue,
            }
        ),
    )


def _refuse(sizes: Sizes) -> str:
    g = sizes.g
    if g.dilation_width != 1:
        return "taps lie apart"
    if not sizes.whole and g.out_width < 4:
        return "lines of outputs are shorter than four"
    aligned = g.out_width % 4 == 0
    if sizes.whole and g.out_width > 3 and (aligned or sizes.padded > _MOST_IMAGE):
        return "the padded image takes too much RAM for what it saves"
    if sizes.packed and g.in_channels % 8:
        return "the channels of a pixel fill no words"
    return ""


def _list_memory(sizes: Sizes) -> dict[str, Part]:
    """Functions that move memory, in the order of their text."""
    loose = sizes.bytes % 4 != 0
    copy = (
        spread_nibbles(sizes.bytes // 4) if sizes.packed else copy_bytes(sizes.bytes, loose=loose)
    )
    parts = {"copy": copy}
    if sizes.moved:
        parts["move"] = copy_bytes(sizes.moved, loose=False)
    return {**parts, "fill": fill_words()}


def _estimate(layer: LayerSpec, sizes: Sizes) -> float:
    g, per = sizes.g, sizes.per
    quads = sizes.quads if sizes.whole else g.out_height * sizes.across
    if sizes.whole or sizes.high > 1:
        parts = divide_up(quads, per)
    else:
        parts = g.out_height * divide_up(sizes.across, per)
    panels = estimate_panels(layer, sizes.pairs, quads, parts, sizes.window_words)
    collecting = quads * (
        g.kernel_height * _WINDOW_LINE_COST + (_IMAGE_COST if sizes.whole else _ROW_COST)
    )
    copied = _count_copies(sizes) * (g.in_width * g.in_channels * _BYTE_COST + _LINE_COST)
    return panels + collecting + copied


def _count_copies(sizes: Sizes) -> int:
    """Lines that are copied."""
    g = sizes.g
    if sizes.whole:
        return sizes.lines
    if sizes.moves:
        return g.out_height + g.kernel_height
    return divide_up(g.out_height, sizes.high) * sizes.lines
