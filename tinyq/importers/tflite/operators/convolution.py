"""Operators with weights: convolutions and fully connected layers."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from tinyq.graph import TensorType
from tinyq.graph.epilogues import Epilogue
from tinyq.graph.ops.concatenate import Concatenate
from tinyq.graph.ops.conv2d import Conv2D
from tinyq.graph.ops.dense import Dense
from tinyq.graph.ops.depthwise_conv2d import DepthwiseConv2D
from tinyq.graph.ops.strided_copy import StridedCopy
from tinyq.graph.ops.window import Window
from tinyq.importers.double_rows import double_window
from tinyq.importers.tflite.epilogues import (
    epilogue,
    exact_epilogue,
    exact_wide_epilogue,
    wide_epilogue,
)
from tinyq.importers.tflite.layer import CODES, Layer
from tinyq.importers.tflite.registry import imports
from tinyq.importers.tflite.view import View
from tinyq.importers.tflite.window import window_of
from tinyq.numerics.rounding import INT32_MAX

MAX_GROUPS = 64  # each is a slice, a convolution and a join of its own


@imports("CONV_2D")
def import_conv2d(layer: Layer) -> None:
    """Convolution, weights (out_channels, height, width, in_channels of a group)."""
    x = layer.type_of(layer.source(), *CODES)
    weights = weights_of(layer, rank=4)
    channels, depth = weights.shape[0], weights.shape[3]
    fits = len(x.shape) == 3 and x.shape[2] % depth == 0
    groups = x.shape[-1] // depth if fits else 1
    layer.require(fits and channels % groups == 0, f"weights {weights.shape} do not fit {x}")
    layer.require(groups <= MAX_GROUPS, f"{groups} groups, at most {MAX_GROUPS} are supported")
    window = window_of(layer, x.shape, weights.shape[1:3])
    gains, bias = scaling_of(layer, channels, axis=0)
    parts, size = [], channels // groups
    for group in range(groups):
        rows = slice(group * size, (group + 1) * size)
        prefix = f"group_{group}_" if groups > 1 else ""
        output, constants = weighted_epilogue(
            layer, x, gains[rows], bias[rows], sums_of(weights[rows], 0), prefix
        )
        data = layer.activation()
        if groups > 1:
            view = View.of(x.shape).sliced(2, group * depth, 1, depth)
            operation = StridedCopy(view.shape, view.strides, view.start)
            data = layer.apply(operation, data, suffix=f"{prefix}input")
        halves = split_weights(weights[rows])
        data = join_parts(layer, [data] * len(halves), f"{prefix}twice")
        codes = np.concatenate(halves, axis=3)
        name = layer.number(f"{prefix}weights", codes, weights_format(layer))
        convolution = Conv2D(output, window, x.zero_point)
        parts.append(layer.apply(convolution, data, name, *constants, suffix=prefix.strip("_")))
    layer.finish(join_parts(layer, parts))


def join_parts(layer: Layer, parts: list[str], last: str = "") -> str:
    """Tensors side by side along the last axis, pair by pair; ``last`` names the last join."""
    joined = parts[0]
    for place, part in enumerate(parts[1:], 1):
        suffix = last if place == len(parts) - 1 else f"join_{place}"
        joined = layer.apply(Concatenate(), joined, part, suffix=suffix)
    return joined


@imports("DEPTHWISE_CONV_2D")
def import_depthwise_conv2d(layer: Layer) -> None:
    """Depthwise convolution, weights (1, height, width, out_channels)."""
    x = layer.type_of(layer.source(), *CODES)
    weights = weights_of(layer, rank=4)
    layer.require(
        len(x.shape) == 3 and weights.shape[0] == 1 and weights.shape[3] % x.shape[2] == 0,
        f"weights {weights.shape} do not fit an input {x}",
    )
    window = window_of(layer, x.shape, weights.shape[1:3])
    gains, bias = scaling_of(layer, weights.shape[3], axis=3)
    output, constants = weighted_epilogue(layer, x, gains, bias, sums_of(weights, 3))
    data, codes = layer.activation(), weights[0]
    halves = split_weights(codes)
    if len(halves) > 1:
        data, window, codes = _double_rows(layer, data, window, halves)
    name = layer.number("weights", codes, weights_format(layer))
    operation = DepthwiseConv2D(output, window, x.zero_point)
    layer.finish(layer.apply(operation, data, name, *constants))


def _double_rows(
    layer: Layer, data: str, window: Window, halves: list[npt.NDArray[Any]]
) -> tuple[str, Window, npt.NDArray[Any]]:
    """A depthwise window over an image whose rows stand twice, one for each half of the weights."""
    height, width, channels = layer.builder.type(data).shape
    view = View((height, 2, width, channels), (width * channels, 0, channels, 1))
    data = layer.apply(StridedCopy(view.shape, view.strides), data, suffix="rows_twice")
    data = layer.reshape(data, (2 * height, width, channels), "twice")
    return data, *double_window(window, halves)


@imports("FULLY_CONNECTED")
def import_fully_connected(layer: Layer) -> None:
    """Matrix product; the input is read as rows of the weights' depth."""
    x = layer.type_of(layer.source(), *CODES)
    weights = weights_of(layer, rank=2)
    elements = layer.source().elements
    depth = weights.shape[1]
    layer.require(elements % depth == 0, f"weights {weights.shape} do not fit an input {x}")
    layer.require(layer.option("WeightsFormat", 0) == 0, "shuffled weights are not supported")
    gains, bias = scaling_of(layer, weights.shape[0], axis=0)
    _require_bias_scale(layer)
    sums = sums_of(weights, 0)
    if layer.twice and x.format.name == "s8":
        widest = max(x.format.hi - x.zero_point, x.zero_point - x.format.lo)
        output, constants = exact_epilogue(layer, gains, bias, sums * widest)
    elif layer.twice:
        output, constants = exact_wide_epilogue(layer, gains, bias, sums << 15)
    else:
        output, constants = weighted_epilogue(layer, x, gains, bias, sums)
    halves = split_weights(weights)
    name = layer.number("weights", np.concatenate(halves, axis=1), weights_format(layer))
    rows = (depth,) if elements == depth else (elements // depth, depth)
    data = layer.reshape(layer.activation(), rows, "rows")
    data = join_parts(layer, [data] * len(halves), "twice")
    layer.finish(layer.apply(Dense(output, x.zero_point), data, name, *constants))


def weighted_epilogue(
    layer: Layer,
    x: TensorType,
    gains: npt.NDArray[np.float64],
    bias: npt.NDArray[np.int64],
    sums: npt.NDArray[np.int64],
    prefix: str = "",
) -> tuple[Epilogue, tuple[str, ...]]:
    """Epilogue of a product with weights whose absolute values add up to ``sums``."""
    channels = len(sums)
    wide = layer.type_of(layer.result(), *CODES).format.name
    layer.require(wide == x.format.name, f"{layer.source()} goes to {layer.result()}")
    if wide == "s8":
        farthest = sums * max(x.format.hi - x.zero_point, x.zero_point - x.format.lo) + abs(bias)
        layer.require(int(farthest.max()) <= INT32_MAX, "an accumulator leaves int32")
        return epilogue(layer, gains, bias, channels=channels, prefix=prefix)
    layer.require(layer.source(1).type == "INT8", "16-bit activations take 8-bit weights")
    reach = sums << 15
    return wide_epilogue(layer, gains, bias, reach, channels=channels, prefix=prefix)


def sums_of(weights: npt.NDArray[Any], axis: int) -> npt.NDArray[np.int64]:
    """Sum of absolute weights per index of an axis."""
    others = tuple(place for place in range(weights.ndim) if place != axis)
    total: npt.NDArray[np.int64] = np.abs(weights).sum(axis=others, dtype=np.int64)
    return total


def weights_of(layer: Layer, rank: int) -> npt.NDArray[Any]:
    """Weight codes from input 1, less their zero point: -255 .. 255, see ``split_weights``.

    Raises:
        ModelError: They are no constant, or have zero points per channel.
    """
    tensor = layer.source(1)
    layer.require(
        tensor.type in ("INT8", "INT4") and len(tensor.shape) == rank,
        f"weights {tensor} are not int8 or int4 with {rank} axes",
        "convert with full-integer quantization (int8 weights and activations)",
    )
    meaning = tensor.quantization
    layer.require(meaning is not None, f"weights {tensor} have no scale")
    assert meaning is not None  # noqa: S101  # said above, for the type checker
    zeros = {*meaning.zero_points}
    layer.require(
        zeros == {0} or (len(meaning.scales) == 1 and tensor.type == "INT8"),
        f"weights {tensor} have zero points per channel",
    )
    return layer.constant(1) - meaning.zero_points[0]


def split_weights(weights: npt.NDArray[Any]) -> list[npt.NDArray[Any]]:
    """Weights as a sum of codes of int8: themselves, or two parts for asymmetric ones."""
    inside = np.clip(weights, -128, 127)
    rest = weights - inside
    return [inside, rest] if rest.any() else [inside]


def weights_format(layer: Layer) -> str:
    """Format of the weights of input 1."""
    return "s4" if layer.source(1).type == "INT4" else "s8"


def scaling_of(
    layer: Layer, channels: int, axis: int
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]:
    """Gain and bias per output channel."""
    return gains_of(layer, channels, axis), bias_of(layer, channels)


def gains_of(layer: Layer, channels: int, axis: int, data: int = 0) -> npt.NDArray[np.float64]:
    """Output codes per unit of the accumulator, for each output channel.

        gain = s_x * s_w / s_y

    TFLite multiplies the scales of uint8 operators in float32, those of int8 ones in float64.

    Args:
        layer: The operator, whose input 1 are the weights.
        channels: How many.
        axis: That of the weights along which they lie.
        data: Input with the activations.

    Raises:
        ModelError: The weights have other scales.
    """
    meaning = layer.source(1).quantization
    scales = np.asarray(meaning.scales if meaning else (1.0,), np.float64)
    layer.require(
        len(scales) == 1
        or (len(scales) == channels and meaning is not None and meaning.axis == axis),
        f"{len(scales)} weight scales along axis {meaning.axis if meaning else 0}, "
        f"expected {channels} along axis {axis}",
    )
    x_scale, y_scale = layer.scale(layer.source(data)), layer.scale(layer.result())
    product = x_scale * scales
    if layer.source(1).is_unsigned:
        product = (np.float32(x_scale) * scales.astype(np.float32)).astype(np.float64)
    return np.broadcast_to(product / y_scale, channels)


def _require_bias_scale(layer: Layer) -> None:
    """Check a bias under weights of one scale as TFLite does.

        |s_bias - s_x * s_w| <= 0.02 * s_y

    Raises:
        ModelError: The bias is not in units of the accumulator.
    """
    meaning = layer.source(1).quantization
    if not layer.has(2) or meaning is None or len(meaning.scales) != 1:
        return
    bias = layer.source(2).quantization
    stated = bias.scales[0] if bias else 0.0
    unit = float(np.float32(layer.scale(layer.source())) * np.float32(meaning.scales[0]))
    layer.require(
        abs(unit - stated) <= 0.02 * layer.scale(layer.result()),
        f"the scale {stated} of bias {layer.source(2)} is not that of the products, {unit}",
        "give the bias the scale of the input times that of the weights",
    )


def bias_of(layer: Layer, channels: int, position: int = 2) -> npt.NDArray[np.int64]:
    """Bias per output channel in accumulator units, zeros where there is none."""
    if not layer.has(position):
        return np.zeros(channels, np.int64)
    tensor = layer.source(position)
    kind = "INT64" if layer.result().type == "INT16" else "INT32"
    layer.require(
        tensor.type == kind and tensor.elements == channels,
        f"bias {tensor} is not {kind.lower()} with {channels} values",
    )
    return layer.constant(position).reshape(-1)
