"""Convolution of any window: a block of windows at a time, from padded lines in RAM.

By rows, the lines under one line of outputs are kept, and a block lies on one line; by image, the
whole padded image is, and a block may lie on two lines.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType

from tinyq.kernels.base import Bound, Part, Refusal
from tinyq.kernels.common.blocks import Block, Outputs, Stream
from tinyq.kernels.common.epilogue import estimate_epilogue, finish_pixels
from tinyq.kernels.common.memory import fill_words
from tinyq.kernels.geometry import WindowGeometry, divide_up, read_window, round_up
from tinyq.kernels.layer import LayerSpec
from tinyq.kernels.leads import lead_freely, lead_lines

MOST_CHANNELS = 1364  # three pixels are an immediate offset
_MOST_LINES = 200
_MOST_STEP = 60_000  # bytes from line to line of a window
_MOST_IMAGE = 8192  # bytes of a padded image where rows would do
_ALL_BYTES = 0x01010101


@dataclass(frozen=True, slots=True)
class Sizes:
    """What the kernel's memory and loops come to; bytes where nothing else is said.

    Attributes:
        g: The layer.
        block: The micro-kernels.
        in_bits: Bits of an input.
        nibbles: Whether two outputs share a byte.
        whole: Whether the whole padded image is kept.
    """

    g: WindowGeometry
    block: Block
    in_bits: int
    nibbles: bool
    whole: bool

    @property
    def sums_to_scratch(self) -> bool:
        """Whether sums are left to the epilogue's own function."""
        return self.block.calls_epilogue

    @property
    def at_once(self) -> int:
        """Pixels of a block."""
        return self.block.pixels

    @property
    def packed(self) -> bool:
        """Whether two inputs share a byte."""
        return self.in_bits == 4

    @property
    def words(self) -> int:
        """Words of a line of a window."""
        return round_up(self.g.line_taps, 32 // self.in_bits) // 4

    @property
    def window_words(self) -> int:
        """Words of a window."""
        return self.g.kernel_height * self.words

    @property
    def panel(self) -> int:
        """The panel of a block."""
        return self.window_words * self.block.word_bytes

    @property
    def before(self) -> int:
        """What lies before the image in a padded line, so that copies are aligned."""
        return round_up(self.g.pad_left * self.g.in_channels, 4)

    @property
    def first(self) -> int:
        """The first window in a padded line."""
        return self.before - self.g.pad_left * self.g.in_channels

    @property
    def row(self) -> int:
        """A padded line."""
        g = self.g
        windows = self.first + (g.out_width - 1) * self.pixel + self.words * 4
        return round_up(max(windows, self.before + g.in_width * g.in_channels), 4)

    @property
    def lines(self) -> int:
        """Padded lines that are kept."""
        g = self.g
        if not self.whole:
            return g.window_height
        below = (g.out_height - 1) * g.stride_height + g.window_height
        return max(below, g.pad_top + g.in_height)

    @property
    def padded(self) -> int:
        """All padded lines."""
        return self.row * self.lines

    @property
    def pixel(self) -> int:
        """From window to window."""
        return self.g.stride_width * self.g.in_channels

    @property
    def step(self) -> int:
        """From line to line of a window."""
        return self.row * self.g.dilation_height

    @property
    def bytes(self) -> int:
        """A line of x."""
        codes = self.g.in_width * self.g.in_channels
        return codes // 2 if self.packed else codes

    @property
    def stride(self) -> int:
        """From pixel to pixel of y."""
        return self.g.out_channels // 2 if self.nibbles else self.g.out_channels

    @property
    def moves(self) -> bool:
        """Whether each line of outputs needs one more line of inputs: the others move up."""
        g = self.g
        steps = g.stride_height == 1 and g.dilation_height == 1
        return not self.whole and g.kernel_height > 1 and steps and g.pad_top < g.kernel_height

    @property
    def moved(self) -> int:
        """What moves up."""
        return (self.lines - 1) * self.row if self.moves else 0

    @property
    def early(self) -> int:
        """Lines that are copied before the first line of outputs, where lines move up."""
        return min(self.lines - 1, self.g.pad_top + self.g.in_height) - self.g.pad_top

    @property
    def sums(self) -> int:
        """Sums of a block: no channel is without its neighbour."""
        return self.at_once * round_up(self.g.out_channels, 2) * 4

    @property
    def sums_at(self) -> int:
        """Words before the sums in scratch."""
        return (self.panel + self.padded) // 4

    @property
    def panel_words(self) -> int:
        """Words of the panel."""
        return self.panel // 4

    @property
    def padded_words(self) -> int:
        """Words of all padded lines."""
        return self.padded // 4

    @property
    def row_words(self) -> int:
        """Words of a padded line."""
        return self.row // 4

    @property
    def moved_words(self) -> int:
        """Words that move up."""
        return self.moved // 4

    @property
    def zeros(self) -> int:
        """A word of zero points."""
        return self.g.x_zero % 256 * _ALL_BYTES

    @property
    def scratch(self) -> int:
        """Scratch memory."""
        last = self.at_once * self.g.out_channels if self.whole else 0
        return self.panel + self.padded + (self.sums if self.sums_to_scratch else last)

    @property
    def in_place(self) -> bool:
        """Whether a line of outputs is written when the inputs up to that line are copied."""
        g = self.g
        alone = self.moves or g.kernel_height * g.stride_height == 1
        return self.whole or (g.out_height == g.in_height and alone)


def bind_windows(layer: LayerSpec, block: Block, *, whole: bool) -> Bound | Refusal:
    """A convolution of any window by the micro-kernels of a core."""
    g = read_window(layer)
    sizes = Sizes(g, block, layer.inputs[0].format.bits, layer.output.format.bits == 4, whole)
    if reason := _refuse(sizes) or block.refuse(layer):
        return Refusal(reason)
    stream = block.pack(layer)
    pairs = divide_up(g.out_channels, 2)
    return Bound(
        layer,
        int(_estimate(layer, sizes)),
        tables=(stream.table,),
        scratch_bytes=sizes.scratch,
        in_place=(0,) if sizes.in_place else (),
        leads=lead_freely(layer) if whole else lead_lines(layer, ahead=True),
        parts=MappingProxyType(_list_parts(layer, sizes, stream)),
        values=MappingProxyType(
            {"s": sizes, "end": pairs * stream.pair_words, "y_format": layer.output.format.name}
        ),
        calls_epilogue=sizes.sums_to_scratch,
    )


def _refuse(s: Sizes) -> str:
    g = s.g
    if g.dilation_width != 1:
        return "taps lie apart"
    if g.out_channels > MOST_CHANNELS and not s.sums_to_scratch:
        return "pixels are too long for an immediate offset"
    if not s.whole and g.out_width < s.at_once:
        return "lines of outputs are shorter than a block"
    dear = g.out_width % s.at_once == 0 or s.padded > _MOST_IMAGE
    if s.whole and g.out_width >= s.at_once and dear:
        return "the padded image takes too much RAM for what it saves"
    if g.kernel_height > _MOST_LINES or s.step > _MOST_STEP:
        return "the window is too large"
    if s.packed and g.in_channels % 8:
        return "the channels of a pixel fill no words"
    return ""


def _list_parts(layer: LayerSpec, s: Sizes, stream: Stream) -> dict[str, Part]:
    g, block = s.g, s.block
    parts: dict[str, Part] = {}
    if s.moved:
        parts["move"] = block.copy(s.moved, loose=False)
    if s.packed:
        parts["copy"] = block.spread(s.bytes // 4)
    else:
        parts["copy"] = block.copy(s.bytes, loose=s.bytes % 4 != 0)
    parts["collect"] = block.collect(g.kernel_height, s.words, s.step)
    parts["fill"] = fill_words()
    outputs = Outputs(s.stride, s.nibbles, g.out_channels % 2 == 1)
    parts["product"] = block.product(stream, s.window_words, outputs)
    if s.sums_to_scratch:
        parts["finish"] = finish_pixels(layer, s.at_once)
    return parts


def _estimate(layer: LayerSpec, s: Sizes) -> float:
    g, block = s.g, s.block
    if s.whole:
        blocks, around = divide_up(g.out_pixels, s.at_once), 90
    else:
        blocks, around = g.out_height * divide_up(g.out_width, s.at_once), 50
    copied = s.lines if s.whole else g.out_height * g.kernel_height
    k = s.window_words
    pair = k * block.word_cost + block.finish_cost
    each = estimate_epilogue(layer) * g.out_channels + 15 if s.sums_to_scratch else 0
    products = blocks * (divide_up(g.out_channels, 2) * pair + k * block.collect_cost + around)
    return g.out_pixels * each + products + copied * (g.in_width * g.in_channels * 0.7 + 30)
