"""Convolution of one tap on Arm v7-M, four pixels at a time."""

from __future__ import annotations

from tinyq.kernels.armv7m.quads import PairedQuads
from tinyq.kernels.base import INT8, Bound, Refusal
from tinyq.kernels.common.pixels import bind_pixels
from tinyq.kernels.layer import LayerSpec
from tinyq.kernels.registry import kernel


@kernel("conv2d", "s8", INT8, variant="pixels", text="common/pixels")
def bind(layer: LayerSpec) -> Bound | Refusal:
    """Outputs of whole blocks."""
    return bind_pixels(layer, PairedQuads())
