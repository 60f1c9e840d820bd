"""Convolutions, matrix products and normalizations as Keras layers."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from tinyq.importers.onnx.arrangement import View
from tinyq.importers.onnx.floats.build import converts
from tinyq.importers.onnx.floats.layers.windows import padded
from tinyq.importers.onnx.floats.node import Flow, Node


@converts("Conv")
def convert_conv(node: Node) -> None:
    """Convolution of one or two axes, grouped or depthwise."""
    flow, weights = node.flow(), node.constant(1)
    x, axes = node.image(flow), len(flow.shape) - 2
    node.require(weights.ndim == axes + 2, f"weights {weights.shape} for {flow.shape}")
    groups, channels = int(node.attribute("group", 1)), flow.shape[1]
    node.require(channels == groups * weights.shape[1], f"{groups} groups of {channels} channels")
    size = weights.shape[2:]
    x, padding = padded(node, x, size, node.attribute("auto_pad", "NOTSET"), 0.0)
    steps = _numbers(node, "strides", axes)
    gaps = _numbers(node, "dilations", axes)
    bias = [node.constant(2)] if node.has(2) else []
    options: dict[str, Any] = {
        "kernel_size": size,
        "strides": steps if axes == 2 else steps[0],
        "padding": padding,
        "dilation_rate": gaps if axes == 2 else gaps[0],
        "use_bias": bool(bias),
    }
    # (outputs, inputs, ...) with the spatial axes first
    kernel = np.moveaxis(weights, (0, 1), (-1, -2))
    if groups == channels > 1 and weights.shape[0] % channels == 0:
        times = weights.shape[0] // channels
        kind = keras.layers.DepthwiseConv2D if axes == 2 else keras.layers.DepthwiseConv1D
        kernel = kernel.reshape(*size, channels, times)
        y = node.with_weights(kind, x, [kernel, *bias], depth_multiplier=times, **options)
    else:
        kind = keras.layers.Conv2D if axes == 2 else keras.layers.Conv1D
        y = node.with_weights(
            kind, x, [kernel, *bias], filters=weights.shape[0], groups=groups, **options
        )
    node.give(node.of_image(y))


@converts("ConvTranspose")
def convert_conv_transpose(node: Node) -> None:
    """Transposed convolution of two axes, cut to its padding."""
    flow, weights = node.flow(), node.constant(1)
    x, axes = node.image(flow), len(flow.shape) - 2
    node.require(axes == 2 and weights.ndim == 4, "transposed convolutions have two axes here")
    node.require(int(node.attribute("group", 1)) == 1, "groups are not supported")
    node.require(_numbers(node, "dilations", 2) == (1, 1), "dilations are not supported")
    extra = tuple(node.attribute("output_padding", (0, 0)))
    pads = tuple(node.attribute("pads", (0, 0, 0, 0)))
    known = node.attribute("auto_pad", "NOTSET") in ("NOTSET", "VALID")
    node.require(known and node.attribute("output_shape") is None, "says no padding")
    bias = [node.constant(2)] if node.has(2) else []
    kernel = weights.transpose(2, 3, 1, 0)  # (inputs, outputs, height, width)
    y = node.with_weights(
        keras.layers.Conv2DTranspose,
        x,
        [kernel, *bias],
        filters=weights.shape[1],
        kernel_size=weights.shape[2:],
        strides=_numbers(node, "strides", 2),
        padding="valid",
        use_bias=bool(bias),
    )
    cut = ((pads[0], pads[2] - extra[0]), (pads[1], pads[3] - extra[1]))
    node.require(min(cut[0] + cut[1]) >= 0, f"padding {pads} with output_padding {extra}")
    if any(cut[0] + cut[1]):
        y = node.add(keras.layers.Cropping2D, y, cropping=cut)
    node.give(node.of_image(y))


def _numbers(node: Node, name: str, count: int) -> tuple[int, ...]:
    found = tuple(int(it) for it in node.attribute(name, (1,) * count))
    node.require(len(found) == count, f"{name} {found}")
    return found


@converts("Gemm")
def convert_gemm(node: Node) -> None:
    """Fully connected layer."""
    node.require(not node.attribute("transA", 0), "the data are transposed")
    weights = node.constant(1) * np.float32(node.attribute("alpha", 1.0))
    weights = weights.T if node.attribute("transB", 0) else weights
    bias = None
    if node.has(2):
        beta = np.float32(node.attribute("beta", 1.0))
        bias = np.broadcast_to(node.constant(2).reshape(-1) * beta, weights.shape[1])
    node.give(dense(node, node.flow(), weights, bias))


@converts("MatMul")
def convert_matmul(node: Node) -> None:
    """Product with a matrix of weights over the last axis."""
    node.give(dense(node, node.flow(), node.constant(1), None))


def dense(node: Node, flow: Flow, weights: Any, bias: Any) -> Flow:
    """A Dense layer whose weights take over the order of what was flattened."""
    node.require(
        weights.ndim == 2 and flow.shape[-1] == weights.shape[0],
        f"weights {weights.shape} do not fit {flow.shape}",
    )
    depth, outputs = weights.shape
    if flow.view.elements == depth:
        size = int(np.prod(flow.inner, dtype=np.int64))
        node.require(size == depth, "part of a tensor")
        weights = weights[np.argsort(flow.view.indices().reshape(-1))]
        x = flow.tensor
        if len(flow.inner) > 1:
            x = node.add(keras.layers.Flatten, x)
    else:
        rows = flow.shape[1:-1]
        x = node.arrange(flow, range(len(flow.shape)), (*rows, depth))
    arrays = [weights] if bias is None else [weights, bias]
    y = node.with_weights(keras.layers.Dense, x, arrays, units=outputs, use_bias=bias is not None)
    return Flow(y, View.of((*flow.shape[:-1], outputs)))


@converts("BatchNormalization")
def convert_batch_normalization(node: Node) -> None:
    """Batch normalization with its averages."""
    flow = node.flow()
    is_image = len(flow.shape) > 2
    x = node.image(flow) if is_image else flow.tensor
    arrays = [node.constant(place) for place in (1, 2, 3, 4)]
    y = node.with_weights(
        keras.layers.BatchNormalization,
        x,
        arrays,
        epsilon=float(node.attribute("epsilon", 1e-5)),
        momentum=float(node.attribute("momentum", 0.9)),
    )
    node.give(node.of_image(y) if is_image else node.same(flow, y))
