"""Transposed convolution, product of matrices."""

from __future__ import annotations

import math

import numpy as np

from tinyq.graph.ops.matrix_multiply import MatrixMultiply
from tinyq.graph.ops.strided_copy import StridedCopy
from tinyq.graph.ops.transpose_conv2d import TransposeConv2D
from tinyq.graph.ops.window import Window, same_padding
from tinyq.importers.tflite.epilogues import epilogue, wide_epilogue
from tinyq.importers.tflite.layer import CODES, Layer
from tinyq.importers.tflite.operators.convolution import (
    bias_of,
    gains_of,
    join_parts,
    split_weights,
    sums_of,
    weighted_epilogue,
    weights_format,
    weights_of,
)
from tinyq.importers.tflite.registry import imports
from tinyq.importers.tflite.view import View, copy_view
from tinyq.importers.tflite.window import MAX_TAPS


@imports("TRANSPOSE_CONV")
def import_transpose_conv(layer: Layer) -> None:
    """Inputs: output shape, weights (out_channels, height, width, in_channels), x, bias."""
    x = layer.type_of(layer.source(2), *CODES)
    y = layer.type_of(layer.result(), *CODES)
    weights = weights_of(layer, rank=4)
    channels = weights.shape[0]
    layer.require(len(x.shape) == 3 and len(y.shape) == 3, "the input is no image of one sample")
    stride = (layer.option("StrideH", 1), layer.option("StrideW", 1))
    size = (weights.shape[1], weights.shape[2])
    layer.require(min(stride) >= 1 and max(*stride, *size) < 1 << 14, f"stride {stride}")
    border = same_padding(y.shape, size, stride, (1, 1))
    window = Window(size, stride, (1, 1), border if layer.option("Padding", 0) == 0 else (0,) * 4)
    taps = x.shape[0] * x.shape[1] * weights.size
    layer.require(taps < MAX_TAPS, f"weights {weights.shape} over {x} are too large")
    gains = gains_of(layer, channels, axis=0, data=2)
    bias = bias_of(layer, channels, position=3)
    output, constants = weighted_epilogue(layer, x, gains, bias, sums_of(weights, 0))
    halves = split_weights(weights)
    name = layer.number("weights", np.concatenate(halves, axis=3), weights_format(layer))
    operation = TransposeConv2D(output, window, (y.shape[0], y.shape[1]), x.zero_point)
    data = join_parts(layer, [layer.activation(2)] * len(halves), "twice")
    layer.finish(layer.apply(operation, data, name, *constants))


@imports("BATCH_MATMUL")
def import_batch_matmul(layer: Layer) -> None:
    """Products of the last two axes; the axes before are broadcast."""
    types = [layer.type_of(layer.source(position), *CODES) for position in (0, 1)]
    shapes = [layer.source(position).shape for position in (0, 1)]
    want = layer.result().shape
    layer.require(min(map(len, (*shapes, want))) >= 2, "a matrix has two axes")
    views = []
    for position, option in enumerate(("AdjX", "AdjY")):
        shape = shapes[position]
        order = list(range(len(shape)))
        # The operation wants x as rows and y as columns: y is transposed where x is not.
        if bool(layer.option(option, False)) != (position == 1):
            order[-2:] = order[:-3:-1]
        views.append(_broadcast(layer, View.of(shape).transposed(order), want[:-2]))
    groups = math.prod(want[:-2])
    names = []
    for position, view in enumerate(views):
        name = _matrix(layer, position, view)
        names.append(layer.reshape(name, (groups, *view.shape[-2:]), f"matrix_{position}"))
    scales = [np.float32(layer.scale(layer.source(position))) for position in (0, 1)]
    gain = float(scales[0] * scales[1]) / layer.scale(layer.result())
    columns, depth = views[1].shape[-2:]
    if types[0].format.name == "s16":
        output, constants = wide_epilogue(layer, gain, 0, depth << 30, channels=columns)
    else:
        output, constants = epilogue(layer, gain, channels=columns, activation="NONE")
    operation = MatrixMultiply(output, types[0].zero_point, types[1].zero_point)
    layer.finish(layer.apply(operation, *names, *constants))


def _broadcast(layer: Layer, view: View, outer: tuple[int, ...]) -> View:
    """A view whose axes before the last two are ``outer``."""
    missing = len(outer) + 2 - len(view.shape)
    shape = (1,) * max(missing, 0) + view.shape
    strides = (0,) * max(missing, 0) + view.strides
    fits = missing >= 0 and all(
        size in (1, full) for size, full in zip(shape[:-2], outer, strict=True)
    )
    layer.require(fits, f"cannot broadcast {view.shape} to {outer}")
    kept = tuple(
        step if size == full else 0
        for size, step, full in zip(shape[:-2], strides[:-2], outer, strict=True)
    )
    return View((*outer, *shape[-2:]), (*kept, *strides[-2:]), view.start)


def _matrix(layer: Layer, position: int, view: View) -> str:
    if any(stride == 0 and size > 1 for size, stride in zip(view.shape, view.strides, strict=True)):
        operation = StridedCopy(view.shape, view.strides, view.start)
        return layer.apply(operation, layer.activation(position), suffix=f"in_{position}")
    return copy_view(layer, layer.activation(position), view, f"in_{position}")
