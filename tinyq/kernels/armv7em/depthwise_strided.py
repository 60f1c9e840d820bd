"""Depthwise convolution 3 x 3 with stride 2 on Arm v7E-M: four channels at a time.

Lines as for stride 1, see `depthwise_rows`; one line of outputs at a time. The third column of a
window is the first of the next and stays in registers.
"""

from __future__ import annotations

from tinyq.kernels.armv7em.depthwise_rows import (
    MOST_LINE,
    MOST_WIDTH,
    Sizes,
    bind_sizes,
    list_parts,
    refuse_output,
    refuse_window,
)
from tinyq.kernels.armv7em.rowpairs import filter_strided, pack_constants, refuse_constants
from tinyq.kernels.base import INT8, Bound, Refusal
from tinyq.kernels.geometry import WindowGeometry, read_window
from tinyq.kernels.layer import LayerSpec
from tinyq.kernels.registry import kernel

_COST = 27  # instructions of an output


@kernel("depthwise2d", "s8", INT8, variant="rowpairs2")
def bind(layer: LayerSpec) -> Bound | Refusal:
    """Stride 2, padding below and to the right."""
    return _bind(layer, packed=False)


@kernel("depthwise2d", "s8", (INT8, "b1"), variant="packedrowpairs2")
def bind_packed(layer: LayerSpec) -> Bound | Refusal:
    """Stride 2, padding below and to the right; a byte a weight in flash."""
    return _bind(layer, packed=True)


def _bind(layer: LayerSpec, *, packed: bool) -> Bound | Refusal:
    g = read_window(layer)
    if reason := _refuse(layer, g) or refuse_constants(layer):
        return Refusal(reason)
    constants = pack_constants(layer, packed=packed)
    parts = list_parts(g, constants)
    parts["row"] = filter_strided(g.out_width, g.in_width, g.in_channels, constants.epilogue)
    return bind_sizes(layer, Sizes(g), constants, parts, (_COST, ()))


def _refuse(layer: LayerSpec, g: WindowGeometry) -> str:
    steps = (g.stride_height, g.stride_width, g.pad_top, g.pad_left)
    if reason := refuse_window(layer, g):
        return reason
    halves = g.out_height * 2, g.out_width * 2
    if steps != (2, 2, 0, 0) or halves != (g.in_height, g.in_width):
        return "the output is not half as large as the input, with padding below and to the right"
    if g.in_channels < 4:
        return "there are less than four channels"
    if g.in_width * g.in_channels > MOST_LINE or g.in_width > MOST_WIDTH:
        return "lines are too long"
    return refuse_output(layer)
