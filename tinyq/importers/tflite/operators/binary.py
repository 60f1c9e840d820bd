"""Larq Compute Engine's operators: signs, 32 of them in a word of the file, products of signs.

A bit of a word is 1 where the sign is -1. In the graph such a tensor has the format b1 and its
true channels.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from tinyq.graph import TensorType
from tinyq.graph.epilogues import Epilogue, Requantize, Steps, Threshold
from tinyq.graph.ops.conv2d import Conv2D
from tinyq.graph.ops.depthwise_conv2d import DepthwiseConv2D
from tinyq.graph.ops.max_pool2d import MaxPool2D
from tinyq.graph.ops.pad2d import Pad2D
from tinyq.graph.ops.rescale import Rescale
from tinyq.graph.ops.strided_copy import StridedCopy
from tinyq.graph.ops.window import Window
from tinyq.importers.tflite.custom import read_numbers
from tinyq.importers.tflite.layer import Layer
from tinyq.importers.tflite.operators.convolution import MAX_GROUPS, join_parts
from tinyq.importers.tflite.registry import imports
from tinyq.importers.tflite.signs import count_words, read_signs
from tinyq.importers.tflite.step_epilogue import step_epilogue
from tinyq.importers.tflite.view import View
from tinyq.importers.tflite.window import make_window
from tinyq.numerics.rounding import INT32_MAX

Arrays = tuple[npt.NDArray[np.int64], ...]
_ACTIVATIONS = {0: (-math.inf, math.inf), 1: (0, math.inf), 2: (-1, 1), 3: (0, 6)}
_MOST_CLAMPED = 2**15 - 1
_REMEDY_FLOATS = (
    "quantize the network with some inputs: `tinyq quantize MODEL.tflite --data DATA.npz`"
)


@imports("CUSTOM:LceQuantize")
def import_signs(layer: Layer) -> None:
    """Signs of codes: -1 below the zero point; -1 for false."""
    tensor = layer.source()
    layer.require(tensor.type in ("INT8", "BOOL"), f"signs of {tensor}", _REMEDY_FLOATS)
    x = layer.conversion.type_of(tensor)
    _check_words(layer, x.shape)
    threshold = 1 if tensor.type == "BOOL" else 0
    output, channels = Threshold(), x.shape[-1]
    constants = _add(layer, output, _fill((threshold, 0), channels))
    layer.hand_on(layer.apply(Rescale(output, x.zero_point), layer.activation(), *constants))


@imports("CUSTOM:LceDequantize")
def import_values(layer: Layer) -> None:
    """Codes of +1 and -1, as far as the scale reaches them.

    y = clip(zero_point +- round_away(float32(1) / scale))
    """
    name, x = _signs_of(layer)
    y = layer.type_of(layer.result())
    step = np.float32(1.0) / np.float32(y.scale)
    layer.require(float(step) < 2.0**30, f"the scale of {layer.result()} is out of proportion")
    one = math.floor(float(step) + 0.5)
    levels = (max(y.zero_point - one, y.format.lo), min(y.zero_point + one, y.format.hi))
    output = Steps(y.format.name, float(y.scale or 1.0), y.zero_point, levels)
    layer.finish(_tell_apart(layer, name, output))


@imports("CUSTOM:LceBMaxPool2d")
def import_largest_signs(layer: Layer) -> None:
    """Largest sign of each window."""
    height, width, down, right, padding = read_numbers(
        layer, "filter_height", "filter_width", "stride_height", "stride_width", "padding"
    )
    name, x = _signs_of(layer)
    window = make_window(layer, x.shape, Window((height, width), (down, right)), padding)
    _check_words(layer, (*window.output_size(x.shape), x.shape[2]))
    layer.hand_on(layer.apply(MaxPool2D(window), name))


@imports("CUSTOM:LceBconv2d")
def import_binary_conv2d(layer: Layer) -> None:
    """Convolution of signs with signs; outside of the image there are zeros, or ones.

    Its output are signs of sums against a threshold for each channel, or codes of

        y = clip(round_away(float32(clamp(acc)) * multiplier + bias))
    """
    depth, *steps, activation, ones, padding = read_numbers(
        layer,
        "channels_in",
        *("stride_height", "stride_width", "dilation_height_factor", "dilation_width_factor"),
        *("fused_activation_function", "pad_values", "padding"),
    )
    name, x = _signs_of(layer)
    layer.require(x.shape[-1] == depth, f"{layer.source()} has no {depth} channels")
    weights = read_signs(layer, 1, depth)
    layer.conversion.spend(weights.size // 8)
    size = (weights.shape[1], weights.shape[2])
    plain = Window(size, (steps[0], steps[1]), (steps[2], steps[3]))
    window = make_window(layer, x.shape, plain, padding)
    layer.require(ones in (0, 1), f"padding with {ones} is not supported")
    layer.require(
        bool(ones) or not any(window.padding) or weights.shape[3] % 2 == 0,
        "padding with zeros needs an even number of channels",
    )
    _check_words(layer, (*window.output_size(x.shape), weights.shape[0]))
    if ones and any(window.padding):
        name = layer.apply(Pad2D(window.padding, 1), name, suffix="ones")
        window = Window(window.size, window.stride, window.dilation, (0, 0, 0, 0))
    layer.require(activation in _ACTIVATIONS, f"unknown fused activation {activation}")
    if layer.result().type == "INT32":
        layer.hand_on(_compare(layer, name, weights, window))
    else:
        layer.require(layer.result().type == "INT8", f"computes {layer.result()}", _REMEDY_FLOATS)
        layer.finish(_scale(layer, name, weights, window, _ACTIVATIONS[activation]))


def _compare(layer: Layer, name: str, weights: npt.NDArray[np.int8], window: Window) -> str:
    """Signs: -1 where more than a threshold of the products are -1, which count twice in a sum."""
    channels, taps = len(weights), math.prod(weights.shape[1:])
    tensor = layer.source(4)
    layer.require(
        tensor.type == "INT32" and tensor.elements == channels,
        f"thresholds {tensor} are not int32 with {channels} values",
    )
    least = taps - 2 * layer.constant(4).reshape(-1)
    constants = (np.clip(least, -INT32_MAX, INT32_MAX), np.zeros(channels, np.int64))
    return _convolve(layer, name, weights, Conv2D(Threshold(), window), constants)


def _scale(
    layer: Layer,
    name: str,
    weights: npt.NDArray[np.int8],
    window: Window,
    limits: tuple[float, float],
) -> str:
    """Codes of int8 from sums, which Larq scales in float32."""
    channels, taps = len(weights), math.prod(weights.shape[1:])
    gain, bias = (_read_reals(layer, place, channels) for place in (2, 3))
    y = layer.type_of(layer.result())
    falling = gain < 0  # of these the sum is turned round, so that codes rise with it
    turn = np.where(falling, -1, 1)
    low, high = (int(np.clip(limit, -taps, taps)) for limit in limits)
    held = np.unique(np.clip(np.arange(-taps, taps + 1, 2), low, high))
    codes = _find_codes(held, taps, gain, bias, y)
    codes = np.where(falling[:, None], codes[:, ::-1], codes)
    sums = np.where(falling[:, None], -held[::-1], held)
    estimate = np.abs(gain) / float(y.scale or 1.0)
    if (low, high) == (-taps, taps):
        turned = (weights * turn[:, None, None, None]).astype(np.int8)
        output, arrays = step_epilogue(layer, sums, codes, estimate)
        return _convolve(layer, name, turned, Conv2D(output, window), arrays)
    layer.require(taps <= _MOST_CLAMPED, f"sums of {taps:,} products are clamped")
    clamp = Requantize("s16", 1.0, 0, low, high)
    same = _fill((0, 2, 1), channels)
    clamped = _convolve(layer, name, weights, Conv2D(clamp, window), same, "clamped")
    signs = layer.number("signs", turn.reshape(1, 1, channels), "s8")
    output, arrays = step_epilogue(layer, sums, codes, estimate)
    single = DepthwiseConv2D(output, Window((1, 1)), 0)
    return layer.apply(single, clamped, signs, *_add(layer, output, arrays))


def _find_codes(
    sums: npt.NDArray[np.int64],
    taps: int,
    gain: npt.NDArray[np.float64],
    bias: npt.NDArray[np.float64],
    y: TensorType,
) -> npt.NDArray[np.int64]:
    """Codes that Larq's reference kernel computes for each sum, shape (channels, sums)."""
    scale = float(y.scale or 1.0)
    flipped = (taps - sums).astype(np.float32)
    factor = np.asarray(-gain / scale, np.float32)[:, None]
    offset = np.asarray((bias + taps * gain) / scale + y.zero_point, np.float32)[:, None]
    value = (flipped[None, :] * factor + offset).astype(np.float64)
    away = np.copysign(np.floor(np.abs(value) + 0.5), value)
    return np.clip(away, y.format.lo, y.format.hi).astype(np.int64)


def _convolve(
    layer: Layer,
    name: str,
    weights: npt.NDArray[np.int8],
    operation: Conv2D,
    constants: Arrays,
    suffix: str = "",
) -> str:
    """A convolution of signs; one of groups is one for each group, side by side."""
    shape, depth = layer.builder.type(name).shape, weights.shape[3]
    groups, output = shape[2] // depth, operation.output
    if groups == 1:
        kernel = layer.number(f"{suffix}weights", weights, "b1")
        own = _add(layer, output, constants, suffix)
        return layer.apply(operation, name, kernel, *own, suffix=suffix)
    layer.require(groups <= MAX_GROUPS, f"{groups} groups, at most {MAX_GROUPS} are supported")
    values = _tell_apart(layer, name, Steps("s8", 1.0, 0, (-1, 1)), "spread")
    parts, size = [], len(weights) // groups
    for group in range(groups):
        rows, place = slice(group * size, (group + 1) * size), f"group_{group}"
        view = View.of(shape).sliced(2, group * depth, 1, depth)
        copy = StridedCopy(view.shape, view.strides, view.start)
        data = layer.apply(copy, values, suffix=f"{place}_input")
        kernel = layer.number(f"{place}_weights", weights[rows], "s8")
        own = _add(layer, output, tuple(one[rows] for one in constants), f"{suffix}{place}_")
        parts.append(layer.apply(operation, data, kernel, *own, suffix=f"{suffix}{place}"))
    return join_parts(layer, parts, suffix)


def _tell_apart(layer: Layer, name: str, output: Steps, suffix: str = "") -> str:
    """Signs as codes of int8."""
    channels = layer.builder.type(name).shape[-1]
    constants = (np.zeros((1, channels), np.int64), np.zeros(channels, np.int64))
    own = _add(layer, output, constants, f"{suffix}_" if suffix else "")
    return layer.apply(Rescale(output), name, *own, suffix=suffix)


def _signs_of(layer: Layer) -> tuple[str, TensorType]:
    """The input, which an operator of Larq has made."""
    name = layer.activation()
    kind = layer.builder.type(name)
    layer.require(kind.format.name == "b1", f"{layer.source()} holds no signs of a Larq operator")
    return name, kind


def _check_words(layer: Layer, shape: tuple[int, ...]) -> None:
    """Check that an output of words has room for the signs of a shape, and no more.

    An output of codes has its shape checked when it is finished.
    """
    tensor = layer.result()
    words = (*shape[:-1], count_words(shape[-1]))
    layer.require(
        tensor.type != "INT32" or math.prod(tensor.shape) == math.prod(words),
        f"computes signs {shape}, the file says {tensor}",
    )


def _read_reals(layer: Layer, position: int, channels: int) -> npt.NDArray[np.float64]:
    """A number for each channel, float32 in the file."""
    tensor = layer.source(position)
    layer.require(
        tensor.type == "FLOAT32" and tensor.elements == channels,
        f"{tensor} is not float32 with {channels} values",
    )
    found = layer.constant(position).reshape(-1).astype(np.float64)
    layer.require(bool(np.isfinite(found).all()), f"{tensor} is not finite")
    return found


def _fill(values: tuple[int, ...], channels: int) -> Arrays:
    """Constants that are the same for all channels."""
    return tuple(np.full(channels, value, np.int64) for value in values)


def _add(layer: Layer, output: Epilogue, constants: Arrays, prefix: str = "") -> tuple[str, ...]:
    """Add the constants of an epilogue."""
    return tuple(
        layer.number(f"{prefix}{name}", values, "s32")
        for name, values in zip(output.names, constants, strict=True)
    )
