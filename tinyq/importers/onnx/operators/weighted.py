"""Operators with weights: convolutions and matrix products."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from tinyq.graph import Op
from tinyq.graph.epilogues import Epilogue
from tinyq.graph.ops.concatenate import Concatenate
from tinyq.graph.ops.conv2d import Conv2D
from tinyq.graph.ops.dense import Dense
from tinyq.graph.ops.depthwise_conv2d import DepthwiseConv2D
from tinyq.graph.ops.transpose_conv2d import TransposeConv2D
from tinyq.graph.ops.window import Window
from tinyq.importers.onnx.arrangement import View
from tinyq.importers.onnx.grouped import grouped_weights, twice_rows
from tinyq.importers.onnx.layer import ONNX, Layer
from tinyq.importers.onnx.operators.quantization import dequantized, finish
from tinyq.importers.onnx.registry import imports
from tinyq.importers.onnx.sums import Sum, reach_of, span_of
from tinyq.importers.onnx.values import Fixed, Pending, Real, Value
from tinyq.importers.onnx.weights import Bias, Weights, bias_of, factors_of, weights_of
from tinyq.importers.onnx.windows import image_of, numbers, window_of


@imports("Conv")
def import_conv(layer: Layer) -> None:
    """Convolution of reals that the file quantizes before and behind."""
    bias = layer.value(2) if layer.has(2) else None
    layer.give(convolve(layer, layer.real(), weights_of(layer, layer.value(1), 0), bias))


@imports("QLinearConv")
def import_qlinear_conv(layer: Layer) -> None:
    """Convolution of codes."""
    layer.require(not layer.attribute("channels_last", 0), "channels come last already")
    weights = weights_of(layer, dequantized(layer, 3), 0)
    bias = layer.value(8) if layer.has(8) else None
    x = layer.as_real(dequantized(layer, 0), "the input")
    finish(layer, convolve(layer, x, weights, bias), 6)


def convolve(layer: Layer, x: Real, weights: Weights, bias: Value | None) -> Sum:
    """Accumulators of a convolution of one or two axes, grouped or not."""
    image = image_of(layer, x.coded.name, x.view)
    codes = weights.codes
    layer.require(codes.ndim == image.rank, f"weights {codes.shape} do not fit {x.shape}")
    found = layer.builder.type(image.name)
    groups, channels = int(layer.attribute("group", 1)), found.shape[2]
    fits = groups >= 1 and channels == groups * codes.shape[1] and codes.shape[0] % groups == 0
    layer.require(fits, f"weights {codes.shape} of {groups} groups do not fit {x.shape}")
    size = codes.shape[2:]
    layer.require(
        tuple(layer.attribute("kernel_shape", size)) == size, "kernel_shape is not of the weights"
    )
    window = window_of(layer, found.shape, size, image.rank)
    if image.rank == 3:
        codes = codes[..., None]
    # (outputs, inputs of a group, height, width) with the inputs last
    wide = Weights(codes.transpose(0, 2, 3, 1), weights.scales)
    height, width = window.output_size(found.shape)
    view = image.view((height, width, codes.shape[0]))
    bound = Factors(x, wide, bias_of(layer, bias, x, weights), view)
    if groups == channels:
        return _depthwise(layer, bound, image.name, window)
    if groups > 1:
        wide = grouped_weights(layer, wide, groups)
        bound = replace(bound, weights=wide)
    halves = wide.halves
    name = image.name
    for _ in halves[1:]:
        name = layer.apply(Concatenate(), name, image.name, suffix="twice")
    joined = np.concatenate(halves, axis=3)
    number = layer.number("weights", joined, wide.format(found.format.name))
    return _sum(layer, bound, lambda output: Conv2D(output, window, x.zero_point), (name, number))


def _depthwise(layer: Layer, factors: Factors, name: str, window: Window) -> Sum:
    """Every input channel has outputs of its own."""
    weights, zero = factors.weights, factors.x.zero_point
    halves = [half[..., 0].transpose(1, 2, 0) for half in weights.halves]
    codes = halves[0]
    if len(halves) > 1:
        name, window, codes = twice_rows(layer, name, window, halves)
    form = weights.format(layer.builder.type(name).format.name)
    number = layer.number("weights", codes, form)
    return _sum(
        layer, factors, lambda output: DepthwiseConv2D(output, window, zero), (name, number)
    )


@dataclass(frozen=True, slots=True, eq=False)
class Factors:
    """What a layer with weights multiplies and adds.

    Attributes:
        x: The data.
        weights: Output channels first.
        bias: Its bias.
        view: Where the elements of the result will lie.
    """

    x: Real
    weights: Weights
    bias: Bias
    view: View


def _sum(
    layer: Layer,
    factors: Factors,
    make: Callable[[Epilogue], Op],
    operands: tuple[str, ...],
) -> Sum:
    x, weights, bias = factors.x, factors.weights, factors.bias
    least, most = reach_of(weights.codes, span_of(*x.span, x.zero_point))
    units = x.scale * weights.scales.astype(np.float64)
    exact = bias.is_exact or (bias.is_rounded and layer.rounding == ONNX)
    return Sum(
        layer,
        factors.view,
        make,
        operands,
        units,
        least,
        most,
        biases=bias.codes if exact else np.zeros_like(bias.codes),
        offsets=np.zeros_like(units) if exact else bias.reals,
        beside=None if bias.is_exact or not exact else bias.reals,
        scales=factors_of(x, weights) if exact else None,
        sources=(x.coded.name,),
    )


@imports("ConvTranspose")
def import_conv_transpose(layer: Layer) -> None:
    """Transposed convolution of one or two axes."""
    x = layer.real()
    layer.require(int(layer.attribute("group", 1)) == 1, "groups are not supported")
    weights = weights_of(layer, layer.value(1), 1)
    image = image_of(layer, x.coded.name, x.view)
    codes, axes = weights.codes, image.rank - 2  # (outputs, inputs, ...)
    found = layer.builder.type(image.name)
    layer.require(
        codes.ndim == image.rank and codes.shape[1] == found.shape[2],
        f"weights {codes.shape} do not fit {x.shape}",
    )
    steps, gaps = (numbers(layer, name, axes, 1) for name in ("strides", "dilations"))
    extra = numbers(layer, "output_padding", axes, 0)
    pads = _transposed_pads(layer, found.shape, codes.shape[2:], steps, extra)
    layer.require(gaps == [1] * axes, "dilations are not supported", "use an Upsample and a Conv")
    sizes = [
        steps[axis] * (found.shape[axis] - 1)
        + codes.shape[2 + axis]
        + extra[axis]
        - sum(pads[axis])
        for axis in range(axes)
    ]
    if axes == 1:
        codes, steps, sizes, pads = codes[..., None], [*steps, 1], [*sizes, 1], [*pads, (0, 0)]
    (top, bottom), (left, right) = pads
    layer.require(min(top, bottom, left, right) >= 0 and min(sizes) > 0, f"padding {pads}")
    window = Window(
        (codes.shape[2], codes.shape[3]), (steps[0], steps[1]), (1, 1), (top, bottom, left, right)
    )
    wide = Weights(codes.transpose(0, 2, 3, 1), weights.scales)
    layer.require(len(wide.halves) == 1, "weights of 9 bits are not supported", "use int8 weights")
    number = layer.number("weights", wide.codes, "s8")
    size = (sizes[0], sizes[1])
    bias = bias_of(layer, layer.value(2) if layer.has(2) else None, x, weights)
    view = image.view((*size, codes.shape[0]))
    layer.give(
        _sum(
            layer,
            Factors(x, wide, bias, view),
            lambda output: TransposeConv2D(output, window, size, x.zero_point),
            (layer.widened(image.name), number),
        )
    )


def _transposed_pads(
    layer: Layer, shape: Sequence[int], kernel: Sequence[int], steps: list[int], extra: list[int]
) -> list[tuple[int, int]]:
    """Rows and columns that are cut off before and behind."""
    axes = len(kernel)
    wanted = layer.attribute("output_shape")
    mode = layer.attribute("auto_pad", "NOTSET")
    if wanted is None and not mode.startswith("SAME"):
        found = numbers(layer, "pads", 2 * axes, 0)
        return list(zip(found[:axes], found[axes:], strict=True))
    result = []
    for axis in range(axes):
        full = steps[axis] * (shape[axis] - 1) + kernel[axis] + extra[axis]
        goal = int(wanted[axis - axes]) if wanted else shape[axis] * steps[axis]
        total = full - goal
        small, large = total // 2, total - total // 2
        result.append((small, large) if mode != "SAME_UPPER" else (large, small))
    return result


@imports("Gemm")
def import_gemm(layer: Layer) -> None:
    """Matrix product with a bias."""
    layer.require(not layer.attribute("transA", 0), "the data are transposed")
    alpha, beta = layer.attribute("alpha", 1.0), layer.attribute("beta", 1.0)
    bias = layer.value(2) if layer.has(2) else None
    layer.require(
        alpha == 1.0 and (beta == 1.0 or bias is None),
        f"factors {alpha} and {beta} are not supported",
        "fold them into the weights",
    )
    axis = 0 if layer.attribute("transB", 0) else 1
    layer.give(multiply(layer, layer.real(), weights_of(layer, layer.value(1), axis), bias))


@imports("QGemm")
def import_qgemm(layer: Layer) -> None:
    """Matrix product of codes with a bias of int32."""
    layer.require(not layer.attribute("transA", 0), "the data are transposed")
    layer.require(layer.attribute("alpha", 1.0) == 1.0, "a factor is not supported")
    axis = 0 if layer.attribute("transB", 0) else 1
    weights = weights_of(layer, dequantized(layer, 3, axis), axis)
    bias = layer.value(6) if layer.has(6) else None
    x = layer.as_real(dequantized(layer, 0), "the input")
    found = multiply(layer, x, weights, bias)
    layer.give(found) if not layer.has(7) else finish(layer, found, 7)


def multiply(layer: Layer, x: Real, weights: Weights, bias: Value | None) -> Sum:
    """Accumulators of a product with a matrix of weights (outputs, inputs) over the last axis."""
    layer.require(weights.codes.ndim == 2, f"weights {weights.codes.shape} are no matrix")
    shape, depth = x.shape, weights.codes.shape[1]
    layer.require(bool(shape) and shape[-1] == depth, f"a matrix of depth {depth} for {shape}")
    outputs = weights.codes.shape[0]
    rows = x.view.elements // depth
    name, order = x.coded.name, np.arange(depth)
    held = layer.builder.type(name).shape
    size = int(np.prod(held, dtype=np.int64))
    if rows == 1 and size == depth:  # any order will do: the weights take it over
        order = np.argsort(x.view.indices().reshape(-1))
        name = layer.reshape(name, (depth,))
    else:
        inner = (rows, depth) if rows > 1 else (depth,)
        name = layer.arrange(name, x.view, range(len(shape)), inner)
    ordered = Weights(weights.codes[:, order], weights.scales)
    halves = ordered.halves
    single = name
    for _ in halves[1:]:
        name = layer.apply(Concatenate(), name, single, suffix="twice")
    form = ordered.format(layer.builder.type(name).format.name)
    number = layer.number("weights", np.concatenate(halves, axis=1), form)
    view = View.of((*shape[:-1], outputs))
    return _sum(
        layer,
        Factors(x, ordered, bias_of(layer, bias, x, weights), view),
        lambda output: Dense(output, x.zero_point),
        (name, number),
    )


@imports("MatMul")
def import_matmul(layer: Layer) -> None:
    """Product with a matrix of weights, or of two computed matrices."""
    layer.give(_matmul(layer, layer.value(0), layer.value(1)))


@imports("QLinearMatMul")
def import_qlinear_matmul(layer: Layer) -> None:
    """Product of codes."""
    axis = max(len(layer.value(3).shape) - 1, 0)
    finish(layer, _matmul(layer, dequantized(layer, 0), dequantized(layer, 3, axis)), 6)


def _matmul(layer: Layer, x: Value, w: Value) -> Pending:
    real = layer.as_real(x, "the first matrix")
    if isinstance(w, Real):
        from tinyq.importers.onnx.operators.matrices import multiply_computed

        return multiply_computed(layer, real, w)
    layer.require(not isinstance(w, Fixed), "the weights are not quantized")
    layer.require(len(w.shape) == 2, f"weights {w.shape} are no matrix")
    return multiply(layer, real, weights_of(layer, w, 1), None)
