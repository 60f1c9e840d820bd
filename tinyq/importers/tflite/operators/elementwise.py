"""Sums, differences and products of two tensors."""

from __future__ import annotations

import math

import numpy as np

from tinyq.graph import Shape
from tinyq.graph.ops.add import Add
from tinyq.graph.ops.multiply import Multiply
from tinyq.graph.ops.strided_copy import StridedCopy
from tinyq.graph.ops.tflite_add import TfliteAdd
from tinyq.importers.tflite.epilogues import epilogue
from tinyq.importers.tflite.layer import CODES, Layer, graph_shape
from tinyq.importers.tflite.registry import imports
from tinyq.numerics.fixed_point import quantize_multiplier


@imports("ADD", "SUB")
def import_add(layer: Layer) -> None:
    """Sum or difference."""
    x, y = (layer.type_of(layer.source(place), *CODES) for place in (0, 1))
    scales = layer.scale(layer.source(0)), layer.scale(layer.source(1))
    sign = 1 if layer.operator.name == "ADD" else -1
    operands = broadcast(layer)
    channels = layer.builder.type(operands[0]).shape[-1]
    wide = layer.type_of(layer.result(), *CODES).format.name == "s16"
    if layer.twice or wide:
        bits = 15 if wide else 20
        largest = 2 * max(scales)
        pairs = [quantize_multiplier(scale / largest) for scale in scales]
        gain = largest / (2.0**bits * layer.scale(layer.result()))
        output, constants = epilogue(layer, gain, channels=channels)
        operation = TfliteAdd(output, *pairs[0], *pairs[1], sign, bits, x.zero_point, y.zero_point)
        layer.finish(layer.apply(operation, *operands, *constants))
        return
    power = 14 - math.frexp(max(scales))[1]
    factors = [math.floor(math.ldexp(scale, power) + 0.5) for scale in scales]
    gain = math.ldexp(1.0, -power) / layer.scale(layer.result())
    output, constants = epilogue(layer, gain, channels=channels)
    total = Add(output, factors[0], sign * factors[1], x.zero_point, y.zero_point)
    layer.finish(layer.apply(total, *operands, *constants))


@imports("MUL")
def import_mul(layer: Layer) -> None:
    """Product."""
    x, y = (layer.type_of(layer.source(place), *CODES) for place in (0, 1))
    scales = [np.float32(layer.scale(layer.source(place))) for place in (0, 1)]
    gain = float(scales[0] * scales[1] / np.float32(layer.scale(layer.result())))
    operands = broadcast(layer)
    channels = layer.builder.type(operands[0]).shape[-1]
    output, constants = epilogue(layer, gain, channels=channels)
    operation = Multiply(output, x.zero_point, y.zero_point)
    layer.finish(layer.apply(operation, *operands, *constants))


def broadcast(layer: Layer) -> tuple[str, str]:
    """Both operands under the output's shape; the smaller one is repeated.

    Raises:
        ModelError: The shapes cannot be broadcast.
    """
    shape = layer.result().shape
    names = tuple(_stretch(layer, position, shape) for position in (0, 1))
    return names[0], names[1]


def _stretch(layer: Layer, position: int, shape: Shape) -> str:
    own = layer.source(position).shape
    name = layer.activation(position)
    target = graph_shape(shape)
    if own == shape:
        return name
    aligned = (1,) * (len(shape) - len(own)) + own
    fits = len(own) <= len(shape) and all(
        size in (1, full) for size, full in zip(aligned, shape, strict=True)
    )
    layer.require(fits, f"cannot broadcast {own} to {shape}")
    if math.prod(own) == math.prod(shape):
        return layer.reshape(name, target, f"in_{position}")
    strides = []
    step = 1
    for size in reversed(aligned):
        strides.append(step if size > 1 else 0)
        step *= size
    kept = tuple(reversed(strides))[len(shape) - len(target) :]
    return layer.apply(StridedCopy(target, kept), name, suffix=f"stretch_{position}")
