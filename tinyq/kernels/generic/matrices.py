"""Layers with weights, and products of matrices, in C99."""

from __future__ import annotations

from tinyq.kernels.base import Bound
from tinyq.kernels.ctext import COLUMNS
from tinyq.kernels.generic.products import (
    ACTIVATIONS,
    GROUPED,
    WEIGHTS,
    WIDE,
    bind_shared,
    count_groups,
    describe_codes,
    describe_rows,
    multiply_codes,
    multiply_rows,
)
from tinyq.kernels.layer import LayerSpec
from tinyq.kernels.leads import lead_lines
from tinyq.kernels.registry import kernel


@kernel("conv2d", ACTIVATIONS, (*WEIGHTS, GROUPED), text="generic/conv2d", shared=True)
@kernel("conv2d", *WIDE, text="generic/conv2d", shared=True)
def bind_conv2d(layer: LayerSpec) -> Bound:
    """Convolution: rows of taps that touch are multiplied as one."""
    codes, weights = (entry.format for entry in layer.inputs[:2])
    groups = count_groups(layer)
    step = max(codes.codes_per_word, weights.codes_per_word)
    joined = f"dilation_width == 1 && in_channels % {step} == 0"
    product = multiply_rows(layer, "x + x_at", "w + w_at", "length", "w_at / w_tap")
    if groups:
        product = product.replace(", scales", f",\n{' ' * 44}scales")
        joined += " && in_channels % group == 0"
    return bind_shared(
        layer,
        lead_lines(layer),
        about=describe_rows(layer),
        locals=groups,
        joined=joined,
        product=product,
    )


@kernel("dense", ACTIVATIONS, (*WEIGHTS, GROUPED), text="generic/dense", shared=True)
@kernel("dense", *WIDE, text="generic/dense", shared=True)
def bind_dense(layer: LayerSpec) -> Bound:
    """Fully connected layer."""
    product = multiply_rows(layer, "x", "w_row", "in_channels", "o")
    accumulator = layer.finisher.accumulator if layer.finisher else "int32_t"
    total = f"            const {accumulator} acc = {product};"
    if len(total) > COLUMNS:
        total = total.replace(" = ", f" =\n{' ' * 16}", 1)
    return bind_shared(layer, about=describe_rows(layer), locals=count_groups(layer), sum=total)


@kernel("depthwise2d", ACTIVATIONS, WEIGHTS, text="generic/depthwise2d", shared=True)
@kernel("depthwise2d", *WIDE, text="generic/depthwise2d", shared=True)
def bind_depthwise2d(layer: LayerSpec) -> Bound:
    """Depthwise convolution."""
    return bind_shared(
        layer, lead_lines(layer), about=describe_codes(layer), product=multiply_codes(layer)
    )


@kernel("transposeconv2d", "s8", ("s4", "s8"), text="generic/transposeconv2d", shared=True)
@kernel("transposeconv2d", *WIDE, text="generic/transposeconv2d", shared=True)
def bind_transposeconv2d(layer: LayerSpec) -> Bound:
    """Transposed convolution, by the input pixels that reach an output pixel."""
    product = multiply_rows(layer, "x + x_at", "w + w_at", "in_channels", "o")
    return bind_shared(layer, product=product)
