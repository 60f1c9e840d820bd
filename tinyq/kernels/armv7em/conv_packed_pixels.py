"""Convolution of one tap without padding on Arm v7E-M, weights packed.

Several times four pixels by a pair of channels whose weights were unpacked for them.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType

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
from tinyq.kernels.base import INT8, Bound, Refusal
from tinyq.kernels.geometry import WindowGeometry, divide_up, read_window
from tinyq.kernels.layer import LayerSpec
from tinyq.kernels.leads import lead_pixels
from tinyq.kernels.registry import kernel


@dataclass(frozen=True, slots=True)
class Sizes:
    """What the kernel's memory and loops come to.

    Attributes:
        g: The layer.
    """

    g: WindowGeometry

    @property
    def pixels(self) -> int:
        """Pixels of the image."""
        return self.g.out_pixels

    @property
    def pairs(self) -> int:
        """Pairs of places."""
        return self.g.in_channels // 2

    @property
    def words(self) -> int:
        """Words of a pixel."""
        return self.g.in_channels // 4

    @property
    def whole(self) -> int:
        """Panels of four pixels of their own."""
        return self.pixels // 4

    @property
    def all(self) -> int:
        """Panels, the last of which may overlap."""
        return divide_up(self.pixels, 4)

    @property
    def rest(self) -> int:
        """Pixels behind the whole panels."""
        return self.pixels % 4

    @property
    def blocks(self) -> int:
        """Blocks, as equal in number of panels as can be."""
        return divide_up(self.all, limit_panels(self.pairs * 16))

    @property
    def per(self) -> int:
        """Panels of a block."""
        return divide_up(self.all, self.blocks)


@kernel("conv2d", "s8", (INT8, "b1"), variant="packedpixels")
def bind(layer: LayerSpec) -> Bound | Refusal:
    """Weights of 1, 2, 4 or 8 bits in flash."""
    g = read_window(layer)
    if reason := _refuse(g) or refuse_packed(layer):
        return Refusal(reason)
    sizes, form = Sizes(g), find_form(layer)
    fold = fold_gain(layer, form.gain)
    blocks = divide_up(sizes.all, sizes.per)
    room = form.listed * 4 + count_unpacked(sizes.pairs)
    return Bound(
        layer,
        int(estimate_panels(layer, sizes.pairs, sizes.all, blocks, sizes.words)),
        tables=(pack_packed(layer, form, fold),),
        scratch_bytes=room + sizes.per * g.in_channels * 8,
        # Pixels of a block are copied before they are written; the last must not overlap others.
        in_place=() if sizes.rest else (0,),
        leads=lead_pixels(layer, 4 * sizes.per),
        parts=MappingProxyType(list_parts(layer, form, fold)),
        values=MappingProxyType(
            {
                "s": sizes,
                "loop_": describe_loop(layer, sizes.pairs, form, fold),
                "stride": g.out_channels // (2 if layer.output.format.bits == 4 else 1),
                "listed": form.listed * 4,
                "unpacked": count_unpacked(sizes.pairs),
                "epilogue": fold.epilogue,
            }
        ),
    )


def _refuse(g: WindowGeometry) -> str:
    steps = g.kernel_height * g.kernel_width, g.stride_height * g.stride_width
    if steps != (1, 1) or (g.out_width, g.out_height) != (g.in_width, g.in_height):
        return "the window is more than one pixel without padding"
    if g.in_channels % 4:
        return "the channels of a pixel fill no words"
    return "there are less than four pixels" if g.out_pixels < 4 else ""
