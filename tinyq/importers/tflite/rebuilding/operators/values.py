"""Layers without weights that compute values: sums, products, functions, pools."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import keras
import numpy as np
from keras import ops

from tinyq.importers.tflite.rebuilding.layer import Layer, activate, rebuilds

_BINARY: Mapping[str, Callable[[Any, Any], Any]] = MappingProxyType(
    {
        "ADD": ops.add,
        "DIV": ops.divide,
        "MAXIMUM": ops.maximum,
        "MINIMUM": ops.minimum,
        "MUL": ops.multiply,
        "POW": ops.power,
        "SUB": ops.subtract,
        "SQUARED_DIFFERENCE": lambda a, b: ops.square(ops.subtract(a, b)),
    }
)
_UNARY: Mapping[str, Callable[[Any], Any]] = MappingProxyType(
    {
        "ABS": ops.absolute,
        "CEIL": ops.ceil,
        "COS": ops.cos,
        "ELU": ops.elu,
        "EXP": ops.exp,
        "FLOOR": ops.floor,
        "HARD_SWISH": lambda x: keras.layers.Activation("hard_silu")(x),
        "LOG": ops.log,
        "LOGISTIC": ops.sigmoid,
        "NEG": ops.negative,
        "ROUND": ops.round,
        "RSQRT": ops.rsqrt,
        "SIGN": ops.sign,
        "SIN": ops.sin,
        "SQRT": ops.sqrt,
        "SQUARE": ops.square,
        "TANH": ops.tanh,
    }
)


@rebuilds(*_BINARY)
def rebuild_binary(layer: Layer) -> None:
    """Of two tensors, or of one and a constant."""
    constants = [layer.is_constant(place) for place in (0, 1)]
    layer.require(not all(constants), "both operands are constants that are too large to fold")
    rank = len(layer.result().shape)
    operands = [
        _constant_operand(layer.constant(place)) if constant else _aligned(layer, place, rank)
        for place, constant in enumerate(constants)
    ]
    layer.finish_activated(_BINARY[layer.operator.name](*operands))


def _constant_operand(values: Any) -> Any:
    """A constant without leading ones: a number, a vector of channels, or a tensor."""
    if values.size == 1:
        return float(values.reshape(()))
    while values.shape[0] == 1:
        values = values[0]
    return np.asarray(values)


def _aligned(layer: Layer, place: int, rank: int) -> Any:
    """An operand with the leading ones that broadcasting to the result's rank needs."""
    shape = layer.source(place).shape
    padded = (1,) * (rank - len(shape)) + shape
    inner = padded[1:] if len(padded) > 1 and layer.result().shape[0] == 1 else padded
    return layer.under(layer.input(place), inner)


@rebuilds("ADD_N")
def rebuild_sum(layer: Layer) -> None:
    """Sum of any number of tensors."""
    tensors = [layer.input(place) for place in range(len(layer.operator.inputs))]
    layer.finish(keras.layers.Add(name=layer.name())(tensors) if len(tensors) > 1 else tensors[0])


@rebuilds(*_UNARY)
def rebuild_unary(layer: Layer) -> None:
    """A function of each value."""
    layer.finish(_UNARY[layer.operator.name](layer.input()))


@rebuilds("RELU", "RELU6", "RELU_N1_TO_1", "RELU_0_TO_1")
def rebuild_relu(layer: Layer) -> None:
    """A clip."""
    layer.finish(activate(layer.operator.name, layer.input()))


@rebuilds("LEAKY_RELU")
def rebuild_leaky_relu(layer: Layer) -> None:
    """A slope below 0; Keras has negative ones in PReLU alone."""
    slope = float(layer.option("Alpha", 0.0))
    if slope < 0.0:
        _finish_sloped(layer, np.full(1, slope))
        return
    layer.finish(keras.layers.LeakyReLU(slope, name=layer.name())(layer.input()))


@rebuilds("GELU")
def rebuild_gelu(layer: Layer) -> None:
    """Exact or approximate."""
    layer.finish(ops.gelu(layer.input(), bool(layer.option("Approximate", False))))


@rebuilds("PRELU")
def rebuild_prelu(layer: Layer) -> None:
    """A slope for each channel."""
    x, slopes = layer.input(), layer.constant(1)
    layer.require(
        slopes.size in (1, x.shape[-1]) and slopes.shape[-1] == slopes.size,
        f"slopes {layer.source(1)} are not one for each channel",
        "share the slopes over the spatial axes (PReLU(shared_axes=[1, 2]))",
    )
    _finish_sloped(layer, slopes)


def _finish_sloped(layer: Layer, slopes: Any) -> None:
    x = layer.input()
    shared = list(range(1, len(x.shape) - 1))
    prelu = keras.layers.PReLU(shared_axes=shared or None, name=layer.name())
    value = prelu(x)
    shape = tuple(prelu.get_weights()[0].shape)
    prelu.set_weights([np.broadcast_to(slopes.reshape(-1), shape)])
    layer.finish(value)


@rebuilds("SOFTMAX")
def rebuild_softmax(layer: Layer) -> None:
    """Over the last axis; beta scales the values before."""
    x, beta = layer.input(), float(layer.option("Beta", 1.0))
    x = x if beta == 1.0 else ops.multiply(x, beta)
    layer.finish(keras.layers.Softmax(name=layer.name())(x))


@rebuilds("LOG_SOFTMAX")
def rebuild_log_softmax(layer: Layer) -> None:
    """Over the last axis."""
    layer.finish(ops.log_softmax(layer.input(), axis=-1))


@rebuilds("AVERAGE_POOL_2D", "MAX_POOL_2D")
def rebuild_pool(layer: Layer) -> None:
    """Windows of an image."""
    kind = {"AVERAGE_POOL_2D": keras.layers.AveragePooling2D}.get(
        layer.operator.name, keras.layers.MaxPooling2D
    )
    x = layer.input()
    layer.require(len(x.shape) == 4, "no image of one sample")
    pool = kind(
        (layer.option("FilterHeight", 0), layer.option("FilterWidth", 0)),
        strides=(layer.option("StrideH", 1), layer.option("StrideW", 1)),
        padding=("same", "valid")[layer.option("Padding", 0)],
        name=layer.name(),
    )
    layer.finish_activated(pool(x))


_REDUCTIONS: Mapping[str, Callable[..., Any]] = MappingProxyType(
    {"MEAN": ops.mean, "REDUCE_MAX": ops.max, "REDUCE_MIN": ops.min, "SUM": ops.sum}
)
_GLOBAL: Mapping[tuple[str, int], Any] = MappingProxyType(
    {
        ("MEAN", 3): keras.layers.GlobalAveragePooling1D,
        ("MEAN", 4): keras.layers.GlobalAveragePooling2D,
        ("REDUCE_MAX", 3): keras.layers.GlobalMaxPooling1D,
        ("REDUCE_MAX", 4): keras.layers.GlobalMaxPooling2D,
    }
)


@rebuilds(*_REDUCTIONS)
def rebuild_reduction(layer: Layer) -> None:
    """Over any axes but the batch; over all pixels it is a global pool."""
    shape, x = layer.source().shape, layer.input()
    axes = sorted({axis % len(shape) for axis in layer.integers(1)})
    kind = _GLOBAL.get((layer.operator.name, len(x.shape)))
    inner = [axis for axis in axes if shape[axis] > 1]
    if kind is not None and len(shape) == len(x.shape) and axes == [*range(1, len(shape) - 1)]:
        keep = bool(layer.option("KeepDims", False))
        layer.finish(kind(keepdims=keep, name=layer.name())(x))
        return
    if len(shape) == len(x.shape):
        places = tuple(inner)
    else:
        x, places = layer.under(x, shape), tuple(axis + 1 for axis in inner)
    reduce = _REDUCTIONS[layer.operator.name]
    layer.finish(reduce(x, axis=places, keepdims=True) if places else x)


@rebuilds("ARG_MAX")
def rebuild_arg_max(layer: Layer) -> None:
    """Index of the largest value along an axis."""
    x, place = layer.along(0, layer.integers(1)[0])
    layer.finish(ops.argmax(x, axis=place))


@rebuilds("L2_NORMALIZATION")
def rebuild_normalization(layer: Layer) -> None:
    """Rows of length 1."""
    layer.finish(keras.layers.UnitNormalization(name=layer.name())(layer.input()))


@rebuilds("CAST", "DEQUANTIZE", "QUANTIZE")
def rebuild_cast(layer: Layer) -> None:
    """Integers that are looked up stay what they are; other casts are floats anyway."""
    kinds = {layer.source().type, layer.result().type}
    layer.require(
        kinds <= {"FLOAT32", "INT32", "INT64"} and layer.source().quantization is None,
        f"a cast from {layer.source()} to {layer.result()}",
    )
    if kinds == {"FLOAT32", "INT32"} or kinds == {"FLOAT32", "INT64"}:
        layer.finish(ops.cast(layer.input(), layer.result().type.lower()))
        return
    layer.finish(layer.input())
