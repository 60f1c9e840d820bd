"""Layers with weights."""

from __future__ import annotations

import warnings
from typing import Any

import keras
import numpy as np
from keras import ops

from tinyq.graph.ops.window import same_padding
from tinyq.importers.tflite.rebuilding.layer import Layer, rebuilds
from tinyq.importers.tflite.window import EXPLICIT_PADDING

_PADDINGS = ("same", "valid")
_TANH = 4


@rebuilds("CONV_2D")
def rebuild_convolution(layer: Layer) -> None:
    """Conv2D; fewer channels of weights than of the input make groups."""
    weights, x = layer.constant(1), layer.input()
    layer.require(weights.ndim == 4 and len(x.shape) == 4, "no image of one sample")
    filters, height, width, depth = weights.shape
    channels = x.shape[-1]
    layer.require(channels % depth == 0, f"{depth} channels of weights, {channels} of the input")
    groups = channels // depth
    padded, options = _windowed(layer, x, (height, width))
    convolution = keras.layers.Conv2D(filters, groups=groups, **options)
    _apply(layer, convolution, padded, weights.transpose(1, 2, 3, 0), filters)


@rebuilds("DEPTHWISE_CONV_2D")
def rebuild_depthwise(layer: Layer) -> None:
    """DepthwiseConv2D; of one channel it is a Conv2D, which has any strides."""
    weights, x = layer.constant(1), layer.input()
    layer.require(weights.ndim == 4 and len(x.shape) == 4, "no image of one sample")
    _, height, width, filters = weights.shape
    channels = x.shape[-1]
    layer.require(filters % channels == 0, f"{filters} filters for {channels} channels")
    padded, options = _windowed(layer, x, (height, width))
    if channels == 1:
        convolution: Any = keras.layers.Conv2D(filters, **options)
        kernel = weights.reshape(height, width, 1, filters)
    else:
        stride = options["strides"]
        layer.require(stride[0] == stride[1], f"strides {stride} of a depthwise convolution")
        multiplier = filters // channels
        convolution = keras.layers.DepthwiseConv2D(depth_multiplier=multiplier, **options)
        kernel = weights.reshape(height, width, channels, multiplier)
    _apply(layer, convolution, padded, kernel, filters)


@rebuilds("TRANSPOSE_CONV")
def rebuild_transposed(layer: Layer) -> None:
    """Conv2DTranspose: output shape, weights (out, height, width, in), x, bias."""
    weights, x = layer.constant(1), layer.input(2)
    layer.require(weights.ndim == 4 and len(x.shape) == 4, "no image of one sample")
    filters, height, width, _ = weights.shape
    stride = (layer.option("StrideH", 1), layer.option("StrideW", 1))
    want, size = layer.result().shape[1:3], (height, width)
    is_same = layer.option("Padding", 0) == 0
    whole = (x.shape[1] * stride[0], x.shape[2] * stride[1]) == tuple(want)
    convolution = keras.layers.Conv2DTranspose(
        filters,
        size,
        strides=stride,
        padding="same" if is_same and whole else "valid",
        name=layer.name(),
    )
    value = convolution(x)
    border = same_padding((*want, 1), size, stride, (1, 1)) if is_same and not whole else (0,) * 4
    crops = [
        (before, value.shape[axis] - before - want[axis - 1])
        for axis, before in ((1, border[0]), (2, border[2]))
    ]
    layer.require(min(map(min, crops)) >= 0, f"an output of {want} reaches beyond the input")
    if any(map(any, crops)):
        value = keras.layers.Cropping2D(tuple(crops), name=layer.name("cropped"))(value)
    _finish_weighted(layer, convolution, value, weights.transpose(1, 2, 0, 3), filters, 3)


@rebuilds("FULLY_CONNECTED")
def rebuild_dense(layer: Layer) -> None:
    """Dense over rows as long as the weights."""
    x = layer.input()
    layer.require(layer.is_constant(1), "the weights are computed")
    weights = layer.constant(1)
    layer.require(weights.ndim == 2, f"weights {layer.source(1)}")
    units, depth = weights.shape
    layer.require(layer.source().elements % depth == 0, f"rows of {depth} do not fit the input")
    rows = layer.source().elements // depth
    if not (layer.option("KeepNumDims", False) and x.shape[-1] == depth and len(x.shape) > 2):
        x = layer.under(x, (depth,) if rows == 1 else (rows, depth))
    dense = keras.layers.Dense(units, name=layer.name())
    _apply(layer, dense, x, weights.T, units)


@rebuilds("UNIDIRECTIONAL_SEQUENCE_LSTM")
def rebuild_lstm(layer: Layer) -> None:
    """LSTM over the steps of one inference, gates in the order of Keras: i, f, c, o."""
    layer.require(
        not any(map(layer.has, (9, 10, 11, 16, 17, 20, 21, 22, 23))) and layer.has(1),
        "an LSTM with peephole connections, a projection or layer normalization",
    )
    layer.require(
        layer.option("FusedActivationFunction", _TANH) == _TANH,
        "an LSTM with another activation than tanh",
    )
    clip = float(layer.option("CellClip", 0.0))
    if clip > 0.0:
        warnings.warn(
            f"{layer.model.path}, {layer.operator}: the layer of Keras does not clip its cells at "
            f"{clip:g}, as the file does",
            stacklevel=2,
        )
    kernel = np.concatenate([layer.constant(place).T for place in (1, 2, 3, 4)], axis=1)
    recurrent = np.concatenate([layer.constant(place).T for place in (5, 6, 7, 8)], axis=1)
    bias = np.concatenate([layer.constant(place).reshape(-1) for place in (12, 13, 14, 15)])
    depth, cells = kernel.shape[0], recurrent.shape[0]
    steps = layer.source().elements // depth
    lstm = keras.layers.LSTM(cells, return_sequences=True, name=layer.name())
    value = lstm(layer.under(layer.input(), (steps, depth)))
    lstm.set_weights([kernel, recurrent, bias])
    layer.finish(value)


@rebuilds("BATCH_MATMUL")
def rebuild_product(layer: Layer) -> None:
    """Product of two computed matrices, or of one with constant weights."""
    x = layer.input()
    if layer.option("AdjX", False):
        x = ops.swapaxes(x, -1, -2)
    if not layer.is_constant(1):
        y = layer.input(1)
        y = ops.swapaxes(y, -1, -2) if layer.option("AdjY", False) else y
        layer.finish(ops.matmul(x, y))
        return
    weights = layer.constant(1)
    weights = weights.swapaxes(-1, -2) if layer.option("AdjY", False) else weights
    layer.require(
        weights.ndim >= 2 and weights.size == weights.shape[-1] * weights.shape[-2],
        f"constant matrices {layer.source(1)}, one for each sample",
    )
    dense = keras.layers.Dense(weights.shape[-1], use_bias=False, name=layer.name())
    value = dense(x)
    dense.set_weights([weights.reshape(weights.shape[-2:])])
    layer.finish(value)


def _windowed(layer: Layer, x: Any, size: tuple[int, int]) -> tuple[Any, dict[str, Any]]:
    """The padded input, and the options of a convolution."""
    stride = (layer.option("StrideH", 1), layer.option("StrideW", 1))
    dilation = (layer.option("DilationHFactor", 1), layer.option("DilationWFactor", 1))
    padding = layer.option("Padding", 0)
    layer.require(padding in (0, 1) and min(*stride, *dilation) >= 1, f"stride {stride}")
    border = layer.option(EXPLICIT_PADDING, None)
    if border is not None and any(border):
        x = keras.layers.ZeroPadding2D((tuple(border[:2]), tuple(border[2:])))(x)
    return x, {
        "kernel_size": size,
        "strides": stride,
        "dilation_rate": dilation,
        "padding": "valid" if border is not None else _PADDINGS[padding],
        "name": layer.name(),
    }


def _apply(layer: Layer, weighted: Any, x: Any, kernel: Any, channels: int) -> None:
    """Call a layer, give it the file's weights, finish behind the fused activation."""
    _finish_weighted(layer, weighted, weighted(x), kernel, channels, 2)


def _finish_weighted(
    layer: Layer, weighted: Any, value: Any, kernel: Any, channels: int, bias: int
) -> None:
    offsets = layer.constant(bias).reshape(-1) if layer.has(bias) else np.zeros(channels)
    layer.require(offsets.size == channels, f"{offsets.size} biases for {channels} channels")
    weighted.set_weights([kernel, offsets])
    layer.finish_activated(value)
