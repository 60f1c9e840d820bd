"""Larq Compute Engine's operators as layers that quantize their input and their kernel.

A tensor of words stands for the reals whose signs it holds: what reads it takes their signs.
"""

from __future__ import annotations

import math

import keras
import numpy as np

from tinyq.importers.tflite.custom import read_numbers
from tinyq.importers.tflite.rebuilding.layer import Layer, activate, rebuilds
from tinyq.importers.tflite.signs import read_signs
from tinyq.training import sign_layers

_PADDINGS = ("same", "valid")
_FUSED = ("NONE", "RELU", "RELU_N1_TO_1", "RELU6")
_EPSILON = 1e-3


@rebuilds("CUSTOM:LceQuantize")
def rebuild_signs(layer: Layer) -> None:
    """Nothing: the layer behind it takes the signs."""
    layer.known[layer.result().index] = layer.input()


@rebuilds("CUSTOM:LceBMaxPool2d")
def rebuild_largest_signs(layer: Layer) -> None:
    """MaxPooling2D of the reals, as the sign of the largest is the largest sign."""
    height, width, down, right, padding = read_numbers(
        layer, "filter_height", "filter_width", "stride_height", "stride_width", "padding"
    )
    layer.require(padding in (0, 1) and min(down, right) >= 1, f"padding {padding}")
    pool = keras.layers.MaxPooling2D(
        (height, width), strides=(down, right), padding=_PADDINGS[padding], name=layer.name()
    )
    layer.known[layer.result().index] = pool(layer.input())


@rebuilds("CUSTOM:LceBconv2d")
def rebuild_binary_convolution(layer: Layer) -> None:
    """A convolution of signs, its activation, and a scale and an offset for each channel.

    Of an output of signs the offset is such that the sum has the threshold at 0.
    """
    depth, *steps, activation, ones, padding = read_numbers(
        layer,
        "channels_in",
        *("stride_height", "stride_width", "dilation_height_factor", "dilation_width_factor"),
        *("fused_activation_function", "pad_values", "padding"),
    )
    x = layer.input()
    layer.require(
        len(x.shape) == 4 and x.shape[-1] == depth,
        f"{layer.source()} is no image of one sample with {depth} channels",
    )
    layer.require(
        padding in (0, 1) and ones in (0, 1) and min(steps) >= 1 and 0 <= activation < len(_FUSED),
        f"padding {padding} with {ones}, steps {steps} or activation {activation} make no sense",
    )
    weights = read_signs(layer, 1, depth)
    filters, height, width, inner = weights.shape
    convolution = sign_layers.CLASSES["QuantConv2D"](
        filters,
        (height, width),
        strides=(steps[0], steps[1]),
        dilation_rate=(steps[2], steps[3]),
        padding=_PADDINGS[padding],
        groups=depth // inner,
        use_bias=False,
        input_quantizer="ste_sign",
        kernel_quantizer="ste_sign",
        pad_values=float(ones),
        name=layer.name(),
    )
    value = convolution(x)
    convolution.set_weights([weights.transpose(1, 2, 3, 0).astype(np.float32)])
    to_signs = layer.result().type == "INT32"
    if to_signs:
        tensor = layer.source(4)
        layer.require(
            tensor.type == "INT32" and tensor.elements == filters,
            f"thresholds {tensor} are not int32 with {filters} values",
        )
        taps = math.prod(weights.shape[1:])
        thresholds = layer.constant(4).reshape(-1).astype(np.float64)
        gain = np.ones(filters)
        offset = np.clip(2.0 * thresholds - taps, -2.0 * taps - 2.0, 2.0 * taps + 2.0)
    else:
        layer.require(layer.result().type == "FLOAT32", f"computes {layer.result()}")
        gain, offset = (layer.constant(place).reshape(-1).astype(np.float64) for place in (2, 3))
        layer.require(gain.size == offset.size == filters, f"no {filters} scales and offsets")
        value = activate(_FUSED[activation], value)
    norm = keras.layers.BatchNormalization(epsilon=_EPSILON, name=layer.name("scale"))
    value = norm(value)
    norm.set_weights([gain, offset, np.zeros(filters), np.full(filters, 1.0 - _EPSILON)])
    if to_signs:
        layer.known[layer.result().index] = value
    else:
        layer.finish(value)
