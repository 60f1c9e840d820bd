"""Convolution on Arm v7E-M, a dense layer of each pixel's window: few pixels, weights as bytes.

Blocks of pixels compute pixels that do not exist where there are few.
"""

from __future__ import annotations

from dataclasses import replace
from types import MappingProxyType

from tinyq.kernels.armv7em import dense_lanes, dense_sums
from tinyq.kernels.armv7em.columns import estimate_column, list_column_parts
from tinyq.kernels.base import INT8, Binder, Bound, Refusal
from tinyq.kernels.geometry import WindowGeometry, read_window, round_up
from tinyq.kernels.layer import LayerSpec
from tinyq.kernels.registry import kernel

_TEXT = "armv7em/dense_sums"
_FEW = 8  # pixels; with more of them blocks are faster


@kernel("conv2d", "s8", INT8, variant="lanes", text="armv7em/dense_lanes")
def bind_lanes(layer: LayerSpec) -> Bound | Refusal:
    """Windows whose codes lie one behind the other, so that each is a row as it is."""
    g = read_window(layer)
    if layer.weights is None:
        return Refusal("the weights are no constants")
    if g.out_pixels > _FEW:
        return Refusal(f"there are more than {_FEW} pixels")
    if not _is_row(g):
        return Refusal("the codes of a window do not lie one behind the other")
    flat = _flatten(layer, g)
    found = dense_lanes.bind(flat)
    if isinstance(found, Refusal):
        return found
    sizes = {key: flat.geometry[key] for key in ("rows", "in_channels", "out_channels")}
    return replace(found, layer=layer, values=MappingProxyType({**found.values, **sizes}))


def _is_row(g: WindowGeometry) -> bool:
    """Whether windows are single pixels, one after the other, or the only one is the image."""
    pixels = (g.kernel_height, g.kernel_width, g.stride_height, g.stride_width) == (1, 1, 1, 1)
    image = (g.kernel_height, g.kernel_width) == (g.in_height, g.in_width)
    same = (g.out_height, g.out_width) == (g.in_height, g.in_width)
    alone = g.out_pixels == 1 and not (g.pad_top or g.pad_left)
    return (pixels and same) or (image and alone)


@kernel("conv2d", "s8", INT8, variant="twicelanes", text=_TEXT)
def bind_twice(layer: LayerSpec) -> Bound | Refusal:
    """TFLite's two roundings, of outputs of bytes."""
    return _bind(layer, dense_sums.bind_twice, _FEW)


@kernel("conv2d", "s8", INT8, variant="sumslanes", text=_TEXT)
def bind_sums(layer: LayerSpec) -> Bound | Refusal:
    """Sums that are left to the epilogue's own function."""
    return _bind(layer, dense_sums.bind_sums, _FEW)


@kernel("conv2d", "s16", "s8", variant="widewords", text=_TEXT)
def bind_wide(layer: LayerSpec) -> Bound | Refusal:
    """Inputs of 16 bits whose sums stay within int32, rounded once by a mantissa of 63 bits."""
    return _bind(layer, dense_sums.bind_wide, 0)


@kernel("conv2d", "s16", "s8", variant="sumswords", text=_TEXT)
def bind_words(layer: LayerSpec) -> Bound | Refusal:
    """Inputs of 16 bits, whose sums are left to the epilogue's own function."""
    return _bind(layer, dense_sums.bind_words, 0)


def _bind(layer: LayerSpec, binder: Binder, most_pixels: int) -> Bound | Refusal:
    g = read_window(layer)
    if layer.weights is None:
        return Refusal("the weights are no constants")
    if most_pixels and g.out_pixels > most_pixels:
        return Refusal(f"there are more than {most_pixels} pixels")
    found = binder(_flatten(layer, g))
    if isinstance(found, Refusal):
        return found
    bits = layer.inputs[0].format.bits
    column = 0 if bits == 16 else round_up(g.kernel_height * g.line_taps, 4)
    assert found.instructions is not None
    return replace(
        found,
        layer=layer,
        instructions=found.instructions + round(g.out_pixels * estimate_column(g, bits)),
        scratch_bytes=found.scratch_bytes + column,
        parts=MappingProxyType({**list_column_parts(g, bits), **found.parts}),
        values=MappingProxyType(
            {**found.values, "window": g, "column_at": found.scratch_bytes // 4}
        ),
    )


def _flatten(layer: LayerSpec, g: WindowGeometry) -> LayerSpec:
    """The dense layer whose rows are windows."""
    assert layer.weights is not None
    rows = layer.weights.reshape(len(layer.weights), -1)
    sizes = {"rows": g.out_pixels, "in_channels": rows.shape[1]}
    return replace(
        layer,
        operands=(*layer.operands[:-1], rows),
        geometry=MappingProxyType({**layer.geometry, **sizes}),
    )
