"""Pools and means."""

from __future__ import annotations

import math

import numpy as np

from tinyq.errors import ModelError
from tinyq.graph.epilogues import Epilogue, Requantize, RequantizeTwice
from tinyq.graph.ops.average_pool2d import AveragePool2D
from tinyq.graph.ops.extremum import Extremum
from tinyq.graph.ops.lookup import Lookup
from tinyq.graph.ops.max_pool2d import MaxPool2D
from tinyq.graph.ops.sum_pool2d import SumPool2D
from tinyq.graph.ops.tflite_average_pool2d import TfliteAveragePool2D
from tinyq.graph.ops.window import Window
from tinyq.importers.tflite.exact import exact_multiplier
from tinyq.importers.tflite.layer import CODES, Layer
from tinyq.importers.tflite.registry import imports
from tinyq.importers.tflite.tables import all_codes, clip_codes
from tinyq.importers.tflite.view import View, copy_view
from tinyq.importers.tflite.window import window_of
from tinyq.numerics.fixed_point import quantize_multiplier
from tinyq.numerics.rounding import fold_affine


@imports("AVERAGE_POOL_2D")
def import_average_pool2d(layer: Layer) -> None:
    """Mean of the codes of each window; 16-bit codes have TFLite's rounding under both rules.

    TFLite rounds a half away from code 0, which of unsigned codes is half up.
    """
    x = layer.type_of(layer.source(), *CODES)
    size = (layer.option("FilterHeight", 0), layer.option("FilterWidth", 0))
    window = window_of(layer, x.shape, size)
    lo, hi = layer.limits(layer.result())
    layer.require(math.prod(size) < 1 << 15, f"a window of {size} is too large")
    signed = not layer.source().is_unsigned
    if (layer.twice and signed) or x.format.name == "s16":
        name = layer.apply(TfliteAveragePool2D(window, lo, hi), layer.activation())
    else:
        name = layer.apply(AveragePool2D(window), layer.activation())
        name = clip_codes(layer, name, lo, hi)
    layer.finish(name)


@imports("MAX_POOL_2D")
def import_max_pool2d(layer: Layer) -> None:
    """Largest code of each window."""
    x = layer.type_of(layer.source(), *CODES)
    size = (layer.option("FilterHeight", 0), layer.option("FilterWidth", 0))
    window = window_of(layer, x.shape, size)
    name = layer.apply(MaxPool2D(window), layer.activation())
    layer.finish(clip_codes(layer, name, *layer.limits(layer.result())))


@imports("MEAN", "SUM")
def import_mean(layer: Layer) -> None:
    """Mean or sum over any axes; the division of a mean is in the multiplier."""
    x = layer.type_of(layer.source(), *CODES)
    image = _reduced(layer)
    _, count, inner = layer.builder.type(image).shape
    layer.require(count < 1 << (31 - x.format.bits), f"a sum of {count} values could leave int32")
    if layer.operator.name == "MEAN":
        output, constants = _mean_epilogue(layer, count, inner)
    elif layer.twice:
        output, constants = _sum_epilogue(layer, count, inner)
    else:
        output, constants = _mean_epilogue(layer, 1, inner)
    operation = SumPool2D(output, Window((1, count)), x.zero_point)
    layer.finish(layer.apply(operation, image, *constants))


@imports("REDUCE_MAX", "REDUCE_MIN", "REDUCE_ALL", "REDUCE_ANY")
def import_reduce_max(layer: Layer) -> None:
    """Largest or smallest code over any axes; of the codes 0 and 1 these are any and all.

    The smallest of 8 bits is the largest of all codes inverted; of 16 bits halves are compared
    until one value is left.
    """
    logical = layer.operator.name in ("REDUCE_ALL", "REDUCE_ANY")
    x, y = (layer.conversion.type_of(tensor) for tensor in (layer.source(), layer.result()))
    layer.require(
        x.format.name in (("s8",) if logical else CODES)
        and (x.format, x.scale, x.zero_point) == (y.format, y.scale, y.zero_point),
        f"{layer.source()} and {layer.result()} differ in scale or type",
    )
    image = _reduced(layer)
    pool = MaxPool2D(Window((1, layer.builder.type(image).shape[1])))
    if layer.operator.name in ("REDUCE_MAX", "REDUCE_ANY"):
        layer.finish(layer.apply(pool, image))
    elif x.format.name == "s16":
        layer.finish(_halve(layer, image))
    else:
        inverse = layer.number("inverse", ~all_codes(), "s8")
        turned = layer.apply(Lookup(x.scale, x.zero_point), image, inverse, suffix="inverted")
        largest = layer.apply(pool, turned, suffix="largest")
        layer.finish(layer.apply(Lookup(y.scale, y.zero_point), largest, inverse))


def _halve(layer: Layer, name: str) -> str:
    """Smallest code of the middle axis: of both ends of it, which may overlap, again and again."""
    outer, count, inner = layer.builder.type(name).shape
    step = 0
    while count > 1:
        half = -(-count // 2)
        view, ends = View.of((outer, count, inner)), []
        for part, first in enumerate((0, count - half)):
            place = f"half_{step}_{part}"
            end = copy_view(layer, name, view.sliced(1, first, 1, half), place)
            ends.append(layer.reshape(end, (outer, half, inner), f"{place}_image"))
        name = layer.apply(Extremum(0), *ends, suffix=f"smaller_{step}")
        count, step = half, step + 1
    return name


def _reduced(layer: Layer) -> str:
    """The input as (kept, reduced, kept): the axes of input 1 are those in the middle."""
    shape = layer.source().shape
    axes = {layer.axis(axis, len(shape)) for axis in layer.integers(1)}
    moved = [axis for axis in sorted(axes) if shape[axis] > 1]
    first, last = (moved[0], moved[-1]) if moved else (0, -1)
    count = math.prod(shape[axis] for axis in moved)
    if all(shape[axis] == 1 or axis in axes for axis in range(first, last + 1)):
        outer, inner = math.prod(shape[:first]), math.prod(shape[last + 1 :])
        name = layer.activation()
    else:  # the axes are no neighbours: brought to the end
        kept = [axis for axis in range(len(shape)) if axis not in moved]
        outer, inner = math.prod(shape[axis] for axis in kept), 1
        view = View.of(shape).transposed([*kept, *moved])
        name = copy_view(layer, layer.activation(), view, "gathered")
    return layer.reshape(name, (outer, count, inner), "image")


def _sum_epilogue(layer: Layer, count: int, channels: int) -> tuple[Epilogue, tuple[str, ...]]:
    """Epilogue of a sum: TFLite scales it in float32, with the zero points in a bias.

    y = round_away(float32(sum of x) * scale - float32(x_zero) * scale * count) + y_zero
    """
    x, y = layer.type_of(layer.source(), *CODES), layer.type_of(layer.result(), *CODES)
    scale = np.float32(layer.scale(layer.source())) / np.float32(layer.scale(layer.result()))
    bias = np.float32(-x.zero_point) * scale * np.float32(count)
    layer.require(2.0**-40 < float(scale) < 2.0**20, "a scale ratio is out of proportion")

    def reaches(acc: int, code: int) -> bool:
        value = float(np.float32(acc + count * x.zero_point) * scale + bias)
        return math.copysign(math.floor(abs(value) + 0.5), value) >= code

    lo, hi, zero = y.format.lo, y.format.hi, y.zero_point
    reach = count * max(x.format.hi - x.zero_point, x.zero_point - x.format.lo)
    pair = exact_multiplier(float(scale), lo - zero, hi - zero, reach, reaches)
    if pair is None:
        raise ModelError(
            "TFLite's sum in float32 steps at accumulators that no multiplier steps at",
            remedy="import with rounding half_up",
        )
    output = Requantize(y.format.name, layer.scale(layer.result()), zero, lo, hi)
    return output, _same_constants(layer, output, (0, *pair), channels)


def _mean_epilogue(layer: Layer, count: int, channels: int) -> tuple[Epilogue, tuple[str, ...]]:
    """Epilogue of a mean: TFLite divides the quantized multiplier, which rounds it down."""
    meaning = layer.type_of(layer.result(), *CODES)
    ratio = layer.scale(layer.source()) / layer.scale(layer.result())
    fields = (meaning.format.name, layer.scale(layer.result()), meaning.zero_point)
    limits = (meaning.format.lo, meaning.format.hi)
    layer.require(ratio < 2.0**30, "a scale ratio is too large")
    constants: tuple[object, ...]
    if layer.twice:
        multiplier, exponent = quantize_multiplier(ratio)
        bits = min(count.bit_length() - 1, 31 + exponent)
        multiplier, exponent = (multiplier << bits) // count, exponent - bits
        output: Epilogue = RequantizeTwice(*fields, *limits)
        constants = (0, multiplier, exponent)
    else:
        affine = fold_affine(ratio / count, 0.0)
        output = Requantize(*fields, *limits)
        constants = (affine.bias[0], affine.multiplier[0], affine.shift[0])
    return output, _same_constants(layer, output, constants, channels)


def _same_constants(
    layer: Layer, output: Epilogue, constants: tuple[object, ...], channels: int
) -> tuple[str, ...]:
    """Constants that are the same for all channels."""
    return tuple(
        layer.number(name, np.full(channels, value), "s32")
        for name, value in zip(output.names, constants, strict=True)
    )
