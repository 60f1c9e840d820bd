"""Binary convolution with a threshold: counters of 32 channels in slices."""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType

from tinyq.kernels.base import Bound, Refusal
from tinyq.kernels.common.slices import (
    THRESHOLD,
    Counters,
    Inside,
    Slices,
    find_block,
    list_parts,
    pack_counters,
    refuse_counters,
    refuse_inputs,
)
from tinyq.kernels.geometry import WindowGeometry, read_window
from tinyq.kernels.layer import LayerSpec
from tinyq.kernels.leads import lead_lines

_EXPAND_COST = 2  # instructions of an input


@dataclass(frozen=True, slots=True)
class Sizes:
    """What the kernel's memory and loops come to.

    Attributes:
        g: The layer.
        counters: Its constants.
    """

    g: WindowGeometry
    counters: Counters

    @property
    def inside(self) -> Inside:
        """Numbers of taps inside the image."""
        return self.counters.inside

    @property
    def levels(self) -> int:
        """Slices of a counter."""
        return self.counters.levels

    @property
    def groups(self) -> int:
        """Of 32 channels."""
        return self.g.out_channels // 32

    @property
    def start_words(self) -> int:
        """Words of the starts of all channels."""
        return self.groups * (self.levels + 1)

    @property
    def pixel_words(self) -> int:
        """Words of a pixel of x."""
        return self.g.in_channels // 32

    @property
    def blocks(self) -> int:
        """What is counted at once in a pixel."""
        return self.g.in_channels // find_block(self.g.in_channels)

    @property
    def line_blocks(self) -> int:
        """What is counted at once in a line of a window."""
        return self.g.line_taps // find_block(self.g.in_channels)

    @property
    def places(self) -> int:
        """Places of a window."""
        return self.g.kernel_height * self.g.line_taps


def bind_sliced_windows(layer: LayerSpec, slices: Slices) -> Bound | Refusal:
    """A convolution by the micro-kernels of a core."""
    g = read_window(layer)
    if reason := _refuse(layer, g, slices) or refuse_counters(layer):
        return Refusal(reason)
    sizes = Sizes(g, pack_counters(layer))
    each = _EXPAND_COST + g.out_channels * slices.product_cost
    return Bound(
        layer,
        int(g.out_pixels * sizes.places * each),
        tables=sizes.counters.tables,
        scratch_bytes=sizes.places * 4,
        leads=lead_lines(layer),
        parts=MappingProxyType(list_parts(slices, g.in_channels, sizes.levels)),
        values=MappingProxyType({"s": sizes}),
    )


def _refuse(layer: LayerSpec, g: WindowGeometry, slices: Slices) -> str:
    if layer.epilogue != THRESHOLD:
        return f"the epilogue is {layer.epilogue}"
    if g.dilation_width != 1:
        return "taps lie apart"
    return refuse_inputs(slices, g.in_channels)
