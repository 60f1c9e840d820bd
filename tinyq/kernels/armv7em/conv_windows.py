"""Convolution of any window on Arm v7E-M, four windows at a time."""

from __future__ import annotations

from tinyq.kernels.armv7em.quads import Quads, QuadSums
from tinyq.kernels.base import INT8, Bound, Refusal
from tinyq.kernels.common.windows import bind_windows
from tinyq.kernels.layer import LayerSpec
from tinyq.kernels.registry import kernel

_TEXT = "common/windows"


@kernel("conv2d", ("s8", "u4"), INT8, variant="rows", text=_TEXT)
def bind_rows(layer: LayerSpec) -> Bound | Refusal:
    """Blocks that lie on one line of outputs."""
    return bind_windows(layer, Quads(), whole=False)


@kernel("conv2d", ("s8", "u4"), INT8, variant="image", text=_TEXT)
def bind_image(layer: LayerSpec) -> Bound | Refusal:
    """Blocks that may lie on two lines of outputs."""
    return bind_windows(layer, Quads(), whole=True)


@kernel("conv2d", ("s8", "u4"), (INT8, "b1"), variant="sumsrows", text=_TEXT)
def bind_sums_of_rows(layer: LayerSpec) -> Bound | Refusal:
    """Blocks on one line, whose sums are left to the epilogue's own function."""
    return bind_windows(layer, QuadSums(), whole=False)


@kernel("conv2d", ("s8", "u4"), (INT8, "b1"), variant="sumsimage", text=_TEXT)
def bind_sums_of_image(layer: LayerSpec) -> Bound | Refusal:
    """Blocks on any lines, whose sums are left to the epilogue's own function."""
    return bind_windows(layer, QuadSums(), whole=True)
