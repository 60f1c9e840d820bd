"""Convolution of one tap on Arm v7E-M, four pixels at a time."""

from __future__ import annotations

from tinyq.kernels.armv7em.quads import Quads, QuadSums
from tinyq.kernels.base import INT8, Bound, Refusal
from tinyq.kernels.common.pixels import bind_pixels
from tinyq.kernels.layer import LayerSpec
from tinyq.kernels.registry import kernel

_TEXT = "common/pixels"


@kernel("conv2d", "s8", INT8, variant="pixels", text=_TEXT)
def bind(layer: LayerSpec) -> Bound | Refusal:
    """Outputs of whole blocks."""
    return bind_pixels(layer, Quads())


@kernel("conv2d", "s8", (INT8, "b1"), variant="sumspixels", text=_TEXT)
def bind_sums(layer: LayerSpec) -> Bound | Refusal:
    """Sums that are left to the epilogue's own function."""
    return bind_pixels(layer, QuadSums())
