"""Convolution of any window on cores with MVE: two neighbouring windows at a time.

Windows lie in padded lines in RAM, or in x itself where there is no padding and a line of a window
is whole vectors. Where that takes fewer vectors, the lines of a window are put side by side first.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from tinyq.kernels.base import INT8, Bound, Part, Refusal
from tinyq.kernels.geometry import WindowGeometry, divide_up, read_window, round_up
from tinyq.kernels.layer import LayerSpec
from tinyq.kernels.mve import vectors
from tinyq.kernels.mve.packing import (
    BLOCK,
    LANES,
    VectorFold,
    fold_vectors,
    pack_groups,
    pack_scales,
    refuse_finish,
    refuse_weights,
)
from tinyq.kernels.packing.order import by_channel
from tinyq.kernels.packing.record import Table
from tinyq.kernels.registry import kernel

_MOST_OFFSET = 112  # of a vector load
_MOST_LINES = 60
_MOST_STEP = 60_000  # bytes from line to line of a window


@dataclass(frozen=True, slots=True)
class Sizes:
    """What the kernel's memory and loops come to; bytes where nothing else is said.

    Attributes:
        g: The layer.
        groups: Channels of each group.
    """

    g: WindowGeometry
    groups: tuple[int, ...]

    @property
    def vectors(self) -> int:
        """A line of a window in whole vectors."""
        return round_up(self.g.line_taps, BLOCK)

    @property
    def direct(self) -> bool:
        """Whether windows are read from x itself."""
        g = self.g
        height = (g.out_height - 1) * g.stride_height + (g.kernel_height - 1) * g.dilation_height
        width = (g.out_width - 1) * g.stride_width + g.kernel_width
        unpadded = g.pad_top + g.pad_left == 0 and height < g.in_height and width <= g.in_width
        return unpadded and g.line_taps % BLOCK == 0

    @property
    def joined(self) -> bool:
        """Whether pixels follow each other as in one long line."""
        g = self.g
        steps = g.kernel_height * g.kernel_width * g.stride_height * g.stride_width
        return self.direct and steps == 1

    @property
    def collected(self) -> bool:
        """Whether the lines of a window are put side by side, because that takes fewer vectors."""
        line, rows = self.g.line_taps, self.g.kernel_height
        return line <= _MOST_OFFSET and divide_up(rows * line, BLOCK) < rows * divide_up(
            line, BLOCK
        )

    @property
    def rows(self) -> int:
        """Lines of a window as the products see it."""
        return 1 if self.collected else self.g.kernel_height

    @property
    def blocks(self) -> int:
        """Vectors of such a line."""
        return divide_up(self.g.kernel_height * self.g.line_taps // self.rows, BLOCK)

    @property
    def row(self) -> int:
        """A padded line."""
        g = self.g
        windows = (g.out_width - 1) * g.stride_width * g.in_channels + self.vectors
        return round_up(max(windows, (g.pad_left + g.in_width) * g.in_channels), 4)

    @property
    def line(self) -> int:
        """From line to line of what windows are read from."""
        return self.bytes if self.direct else self.row

    @property
    def bytes(self) -> int:
        """A line of x."""
        return self.g.in_width * self.g.in_channels

    @property
    def pixel(self) -> int:
        """From window to window."""
        return self.g.stride_width * self.g.in_channels

    @property
    def window(self) -> int:
        """One window whose lines are side by side."""
        return round_up((self.g.kernel_height - 1) * self.g.line_taps + self.vectors, BLOCK)

    @property
    def panel(self) -> int:
        """Sums of two pixels."""
        return (self.g.out_channels + 5) * 8

    @property
    def image(self) -> int:
        """What lies in scratch before the padded lines."""
        return self.panel + (2 * self.window if self.collected else 0)

    @property
    def padded(self) -> int:
        """The padded lines in scratch, and what the last vector reads behind them."""
        return self.row * self.g.window_height + BLOCK

    @property
    def out_height(self) -> int:
        """Lines of outputs."""
        return 1 if self.joined else self.g.out_height

    @property
    def out_width(self) -> int:
        """Pixels of a line of outputs."""
        return self.g.out_pixels if self.joined else self.g.out_width

    @property
    def scratch(self) -> int:
        """Scratch memory."""
        return self.image + (0 if self.direct else self.padded)


@kernel("conv2d", "s8", INT8, variant="triples")
def bind(layer: LayerSpec) -> Bound | Refusal:
    """Two windows by three channels at a time."""
    g = read_window(layer)
    sizes = Sizes(g, split_channels(g.out_channels))
    if reason := _refuse(layer, sizes):
        return Refusal(reason)
    weights = layer.weights
    assert weights is not None
    fold = fold_vectors(layer, by_channel(weights).sum(1))
    lines = weights.reshape(g.out_channels, sizes.rows, -1).astype(np.int64) << fold.power
    stream = pack_groups(lines, fold.bias, sizes.groups)
    comment = "groups of channels: biases, weights as bytes"
    return Bound(
        layer,
        _count(sizes),
        tables=(Table("weights", stream, comment, "w"), pack_scales(fold)),
        scratch_bytes=sizes.scratch,
        parts=MappingProxyType(_list_parts(sizes, fold)),
        values=MappingProxyType({"sizes": sizes}),
    )


def _refuse(layer: LayerSpec, sizes: Sizes) -> str:
    g = sizes.g
    if g.dilation_width != 1:
        return "taps lie apart"
    if g.out_width < 2 and not (sizes.joined and g.out_height > 1):
        return "a line of outputs is one pixel"
    if g.kernel_height > _MOST_LINES or sizes.row * g.dilation_height > _MOST_STEP:
        return "the window is too large"
    if reason := refuse_weights(layer):
        return reason
    assert layer.weights is not None
    return refuse_finish(layer, by_channel(layer.weights))


def _list_parts(sizes: Sizes, fold: VectorFold) -> dict[str, Part]:
    g = sizes.g
    parts: dict[str, Part] = {}
    step = sizes.line * g.dilation_height
    if not sizes.direct:
        parts |= {"copy": vectors.copy_bytes(), "fill": vectors.fill_bytes()}
    line, pixel = step, sizes.pixel
    if sizes.collected:
        parts["collect"] = vectors.collect_windows(
            g.kernel_height, g.line_taps, step, pixel, sizes.window
        )
        line, pixel = 0, sizes.window
    parts["sum"] = vectors.sum_two_pixels(sizes.groups, sizes.rows, sizes.blocks, line, pixel)
    assert fold.epilogue is not None
    room = sum(sizes.groups) * 4
    parts["finish"] = vectors.finish_sums(fold.epilogue, g.out_channels, 2, room)
    return parts


def _count(sizes: Sizes) -> int:
    g = sizes.g
    pairs = divide_up(sizes.out_width, 2) * sizes.out_height
    blocks = (sizes.window if sizes.collected else sizes.vectors) // BLOCK
    group = 14 + sizes.rows * (4 + blocks * 12)
    finish = 30 + divide_up(g.out_channels, LANES) * 15
    gather = g.kernel_height * (sizes.vectors // BLOCK * 4 + 4) if sizes.collected else 0
    line = sizes.bytes // BLOCK * 3 + 20
    copied = 0 if sizes.direct else g.out_height * g.kernel_height * line
    return pairs * (divide_up(g.out_channels, 3) * group + finish + gather + 30) + copied


def split_channels(channels: int) -> tuple[int, ...]:
    """Sizes of the groups of channels: threes, then at most two twos; one more where need be."""
    twos = {0: 0, 1: 2, 2: 1}[channels % 3]
    threes = (channels - 2 * twos) // 3
    return (3,) * threes + (2,) * twos if threes >= 0 else (2,)
