"""Binary layers on Arm v7-M: the micro-kernels of Arm v7E-M, which need no DSP."""

from __future__ import annotations

from tinyq.kernels.armv7em.slices import WordSlices
from tinyq.kernels.base import Bound, Refusal
from tinyq.kernels.common.sliced_rows import bind_sliced_rows
from tinyq.kernels.common.sliced_windows import bind_sliced_windows
from tinyq.kernels.layer import LayerSpec
from tinyq.kernels.registry import kernel


@kernel("conv2d", "b1", "b1", variant="slices", text="common/sliced_windows")
def bind_windows(layer: LayerSpec) -> Bound | Refusal:
    """Windows whose taps outside the image are left out."""
    return bind_sliced_windows(layer, WordSlices())


@kernel("dense", "b1", "b1", variant="slices", text="common/sliced_rows")
def bind_rows(layer: LayerSpec) -> Bound | Refusal:
    """Rows of signs."""
    return bind_sliced_rows(layer, WordSlices())
