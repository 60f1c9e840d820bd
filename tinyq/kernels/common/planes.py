"""Depthwise convolution 3 x 3 from a padded plane of words in RAM.

A word has the codes of some channels. All of x that they need is copied before their outputs are
written. A channel of the table:

+------+------+---------+
| bias | tail | weights |
| 1    | tail | 9       |
+------+------+---------+

The tail is the multiplier, or (multiplier, addend, shift) where the epilogue rounds twice.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from types import MappingProxyType
from typing import ClassVar

from tinyq.kernels.base import Bound, Part, Refusal
from tinyq.kernels.common.memory import fill_words
from tinyq.kernels.geometry import WindowGeometry, read_window
from tinyq.kernels.layer import LayerSpec
from tinyq.kernels.packing.epilogue import Epilogue, Fold, Folding, grow_weights, sum_reach
from tinyq.kernels.packing.order import taps_by_channel
from tinyq.kernels.packing.record import Record, Table
from tinyq.kernels.packing.words import to_words

CHANNEL = Record("bias:1", "tail:tail", "weights:9")

_MOST_PLANE, _MOST_WIDTH = 4096, 300  # words
_WEIGHT = 2**31 - 1
_ALL_BYTES, _ALL_CODES = 0x01010101, 2**32


@dataclass(frozen=True, slots=True)
class Strips:
    """What a micro-kernel needs to know of the outputs of a channel.

    Attributes:
        across: Words of a line of the plane.
        stride_height: Lines from output to output.
        stride_width: Words from output to output.
        out_height: Lines of outputs.
        out_width: Outputs of a line.
        apart: Bytes from output to output.
    """

    across: int
    stride_height: int
    stride_width: int
    out_height: int
    out_width: int
    apart: int


@dataclass(frozen=True, slots=True, eq=False)
class Taps:
    """Constants of a layer for a plane.

    Attributes:
        table: Channel by channel.
        channel_words: Words of a channel.
        epilogue: Integers for the text.
    """

    table: Table
    channel_words: int
    epilogue: Epilogue


class Plane(ABC):
    """Micro-kernels of a core.

    Attributes:
        channels: Whose codes are in a word.
        folding: How the epilogue is folded.
        output_cost: Instructions of an output.
    """

    channels: ClassVar[int]
    folding: ClassVar[Folding]
    output_cost: ClassVar[int]

    def refuse(self, layer: LayerSpec) -> str:
        """Why the constants do not fit, empty where they do."""
        weights = layer.weights
        if weights is None or "bias" not in layer.constants:
            return "the constants are no constants"
        return self.folding.refuse(layer, sum_reach(layer, taps_by_channel(weights)))

    def pack(self, layer: LayerSpec) -> Taps:
        """The constants of a layer that is not refused."""
        return _pack_taps(layer, self.folding.fold)

    @abstractmethod
    def pick(self, columns: int, channels: int) -> Part:
        """``(x, plane)``: words of a line of columns, whose pixels have so many channels."""

    @abstractmethod
    def channel(self, strips: Strips, epilogue: Epilogue) -> Part:
        """``(plane, y, w)``: the outputs of one channel."""


@dataclass(frozen=True, slots=True)
class Sizes:
    """What the kernel's memory and loops come to.

    Attributes:
        g: The layer.
        some: Channels whose codes are in a word.
    """

    g: WindowGeometry
    some: int

    @property
    def down(self) -> int:
        """Lines of the plane."""
        return (self.g.out_height - 1) * self.g.stride_height + 3

    @property
    def across(self) -> int:
        """Words of a line of the plane."""
        return (self.g.out_width - 1) * self.g.stride_width + 3

    @property
    def words(self) -> int:
        """Words of the plane."""
        return self.down * self.across

    @property
    def columns(self) -> int:
        """Pixels of a line of x that are read."""
        return min(self.g.in_width, self.across - self.g.pad_left)

    @property
    def rows(self) -> int:
        """Lines of x that are read."""
        return min(self.g.in_height, self.down - self.g.pad_top)

    @property
    def partial(self) -> bool:
        """Whether the last channels overlap others, because they fill no word."""
        return self.g.in_channels % self.some != 0

    @property
    def zeros(self) -> int:
        """A word of zero points."""
        zero = self.g.x_zero
        return zero % 256 * _ALL_BYTES if self.some == 4 else zero % _ALL_CODES

    @property
    def in_place(self) -> bool:
        """Whether the outputs of channels may take the place of their inputs."""
        g = self.g
        same = (g.out_width, g.out_height) == (g.in_width, g.in_height)
        return same and not self.partial


def bind_planes(layer: LayerSpec, plane: Plane) -> Bound | Refusal:
    """A depthwise convolution by the micro-kernels of a core."""
    g = read_window(layer)
    sizes = Sizes(g, plane.channels)
    if reason := _refuse(layer, sizes) or plane.refuse(layer):
        return Refusal(reason)
    taps = plane.pack(layer)
    strips = Strips(
        sizes.across,
        g.stride_height,
        g.stride_width,
        g.out_height,
        g.out_width,
        g.in_channels,
    )
    outputs = g.out_pixels * g.out_channels
    return Bound(
        layer,
        outputs * plane.output_cost + g.in_height * g.in_width * g.in_channels,
        tables=(taps.table,),
        scratch_bytes=sizes.words * 4,
        in_place=(0,) if sizes.in_place else (),
        parts=MappingProxyType(
            {
                "fill": fill_words(),
                "pick": plane.pick(sizes.columns, g.in_channels),
                "channel": plane.channel(strips, taps.epilogue),
            }
        ),
        values=MappingProxyType({"s": sizes, "channel_words": taps.channel_words}),
    )


def _pack_taps(layer: LayerSpec, fold: Fold) -> Taps:
    """Constants of a layer with those of the epilogue as ``fold`` makes them."""
    weights = layer.weights
    assert weights is not None
    flat = taps_by_channel(weights)
    flat, folded = grow_weights(flat, fold(layer, flat.sum(1)), _WEIGHT)
    tail = folded.tail[:, [1, 2, 0]] if folded.epilogue.twice else folded.tail
    words = CHANNEL.pack(
        {"tail": tail.shape[1]},
        bias=to_words(folded.bias),
        tail=to_words(tail),
        weights=to_words(flat),
    )
    table = Table("weights", words, "a channel: bias, multiplier, nine weights", "w")
    return Taps(table, CHANNEL.count_words(tail=tail.shape[1]), folded.epilogue)


def _refuse(layer: LayerSpec, s: Sizes) -> str:
    g = s.g
    if layer.geometry["multiplicity"] != 1:
        return "a channel has several outputs"
    if (g.kernel_height, g.kernel_width, g.dilation_height, g.dilation_width) != (3, 3, 1, 1):
        return "the window is not 3 x 3"
    if g.in_channels < s.some:
        return "the channels fill no word"
    if s.words > _MOST_PLANE or s.across > _MOST_WIDTH:
        return "the padded plane takes too much RAM"
    if layer.output.format.bits != 8:
        return "outputs are no bytes"
    return ""
