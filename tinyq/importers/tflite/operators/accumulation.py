"""Sums of many values: along an axis, and of many tensors; and quotients."""

from __future__ import annotations

import math

import numpy as np

from tinyq.graph.ops.cumulative_sum import CumulativeSum
from tinyq.graph.ops.integers import IntegerDivide
from tinyq.graph.ops.tflite_divide import MAX_EXPONENT, TfliteDivide
from tinyq.importers.tflite.epilogues import FilledEpilogue, epilogue
from tinyq.importers.tflite.integers import import_integers, is_plain
from tinyq.importers.tflite.layer import Layer
from tinyq.importers.tflite.operators.convolution import join_parts
from tinyq.importers.tflite.registry import imports
from tinyq.importers.tflite.view import View, copy_view
from tinyq.numerics.fixed_point import quantize_multiplier

_SHIFT = 19  # of 20 bits by which TFLite raises codes, half is the scale of the operand
_MOST_TERMS = 16  # raised codes, whose sum stays in int32


@imports("CUMSUM")
def import_cumulative_sum(layer: Layer) -> None:
    """Sums along an axis, in the arithmetic of TFLite's int8 kernel for microcontrollers."""
    shape = layer.source().shape
    axes = layer.integers(1)
    layer.require(len(axes) == 1, f"axes {axes}")
    axis = layer.axis(axes[0], len(shape))
    rows = (math.prod(shape[:axis]), shape[axis], math.prod(shape[axis + 1 :]))
    image = layer.reshape(layer.activation(), rows, "image")
    directions = [int(bool(layer.option(name, False))) for name in ("Exclusive", "Reverse")]
    layer.finish(_sum(layer, image, directions[0], directions[1]))


@imports("ADD_N")
def import_sum(layer: Layer) -> None:
    """Sum of tensors of one scale: the last of the sums of all so far."""
    tensors = [layer.source(place) for place in range(len(layer.operator.inputs))]
    types = {(layer.type_of(it).scale, layer.type_of(it).zero_point, it.elements) for it in tensors}
    layer.require(len(types) == 1, "the operands differ in scale or size")
    size = tensors[0].elements
    parts = [
        layer.reshape(layer.activation(place), (1, size), f"term_{place}")
        for place in range(len(tensors))
    ]
    stack = layer.reshape(join_parts(layer, parts, "stack"), (1, len(parts), size), "stacked")
    total = _sum(layer, stack, 0, 0)
    view = View.of((1, len(parts), size)).sliced(1, len(parts) - 1, 1, 1)
    layer.finish(copy_view(layer, total, view, "last"))


def _sum(layer: Layer, image: str, exclusive: int, backwards: int) -> str:
    """Sums along the middle axis."""
    x = layer.type_of(layer.source())
    _, depth, channels = layer.builder.type(image).shape
    layer.require(
        not layer.twice or depth <= _MOST_TERMS,
        f"a sum of {depth} values leaves TFLite's int32",
        "import with rounding half_up",
    )
    shift = _SHIFT if layer.twice else 0
    output, constants = _stage(layer, shift, channels)
    operation = CumulativeSum(output, shift, exclusive, backwards, x.zero_point)
    return layer.apply(operation, image, *constants, suffix="sums")


def _stage(layer: Layer, shift: int, channels: int) -> FilledEpilogue:
    gain = layer.scale(layer.source()) / (2.0**shift * layer.scale(layer.result()))
    return epilogue(layer, gain, channels=channels, activation="NONE")


@imports("DIV")
def import_division(layer: Layer) -> None:
    """Quotient, with TFLite's reciprocal under both rounding rules.

    Where TFLite shifts by more than 31 bits (small numerators, scales whose ratio is below 128), C
    leaves open what it does; here the quotient is 0 then, which is right.
    """
    if is_plain(layer):
        import_integers(layer, IntegerDivide())
        return
    x, y = (layer.type_of(layer.source(place)) for place in (0, 1))
    z = layer.type_of(layer.result())
    scales = [
        np.float32(layer.scale(tensor))
        for tensor in (layer.source(0), layer.source(1), layer.result())
    ]
    ratio = float(scales[0] / (scales[1] * scales[2]))
    layer.require(math.isfinite(ratio), "a scale ratio is not finite")
    multiplier, exponent = quantize_multiplier(ratio)
    layer.require(exponent <= MAX_EXPONENT, "a scale ratio is too large")
    lo, hi = layer.limits(layer.result())
    zeros = x.zero_point, y.zero_point, z.zero_point
    scale = layer.scale(layer.result())
    operation = TfliteDivide(multiplier, exponent, *zeros, scale, lo, hi)
    layer.finish(layer.apply(operation, *layer.broadcast()))
