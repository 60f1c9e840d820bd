"""Convolution of any window on Arm v7-M, four windows at a time."""

from __future__ import annotations

from tinyq.kernels.armv7m.quads import PairedQuads
from tinyq.kernels.base import INT8, Bound, Refusal
from tinyq.kernels.common.windows import bind_windows
from tinyq.kernels.layer import LayerSpec
from tinyq.kernels.registry import kernel

_TEXT = "common/windows"


@kernel("conv2d", ("s8", "u4"), INT8, variant="rows", text=_TEXT)
def bind_rows(layer: LayerSpec) -> Bound | Refusal:
    """Blocks that lie on one line of outputs."""
    return bind_windows(layer, PairedQuads(), whole=False)


@kernel("conv2d", ("s8", "u4"), INT8, variant="image", text=_TEXT)
def bind_image(layer: LayerSpec) -> Bound | Refusal:
    """Blocks that may lie on two lines of outputs."""
    return bind_windows(layer, PairedQuads(), whole=True)
