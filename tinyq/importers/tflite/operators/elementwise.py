"""Sums, differences and products of two tensors."""

from __future__ import annotations

import math

import numpy as np

from tinyq.graph.epilogues import Requantize
from tinyq.graph.ops.add import Add
from tinyq.graph.ops.extremum import Extremum
from tinyq.graph.ops.integers import IntegerAdd, IntegerMultiply
from tinyq.graph.ops.lookup import Lookup
from tinyq.graph.ops.multiply import Multiply
from tinyq.graph.ops.tflite_add import TfliteAdd
from tinyq.graph.ops.tflite_squared_difference import SHIFTS, TfliteSquaredDifference
from tinyq.importers.tflite.epilogues import epilogue
from tinyq.importers.tflite.integers import import_integers, is_plain
from tinyq.importers.tflite.layer import CODES, Layer
from tinyq.importers.tflite.registry import imports
from tinyq.importers.tflite.tables import all_codes
from tinyq.numerics.fixed_point import quantize_multiplier


@imports("ADD", "SUB")
def import_add(layer: Layer) -> None:
    """Sum or difference."""
    if is_plain(layer):
        layer.require(layer.operator.name == "ADD", "a difference of plain integers")
        import_integers(layer, IntegerAdd())
        return
    x, y = (layer.type_of(layer.source(place), *CODES) for place in (0, 1))
    scales = layer.scale(layer.source(0)), layer.scale(layer.source(1))
    sign = 1 if layer.operator.name == "ADD" else -1
    operands = layer.broadcast()
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
    if is_plain(layer):
        import_integers(layer, IntegerMultiply())
        return
    x, y = (layer.type_of(layer.source(place), *CODES) for place in (0, 1))
    scales = [np.float32(layer.scale(layer.source(place))) for place in (0, 1)]
    gain = float(scales[0] * scales[1] / np.float32(layer.scale(layer.result())))
    operands = layer.broadcast()
    channels = layer.builder.type(operands[0]).shape[-1]
    output, constants = epilogue(layer, gain, channels=channels)
    operation = Multiply(output, x.zero_point, y.zero_point)
    layer.finish(layer.apply(operation, *operands, *constants))


@imports("MAXIMUM", "MINIMUM")
def import_extremum(layer: Layer) -> None:
    """Larger or smaller code; TFLite compares codes, so all tensors have one scale."""
    largest = layer.operator.name == "MAXIMUM"
    if is_plain(layer):
        import_integers(layer, Extremum(int(largest)))
        return
    _require_one_meaning(layer, 0, 1)
    scalar = [place for place in (0, 1) if _is_single_constant(layer, place)]
    if scalar and layer.source(1 - scalar[0]).type == "INT8":
        code = int(layer.constant(scalar[0]).reshape(-1)[0])
        limits = (code, np.inf) if largest else (-np.inf, code)
        meaning = layer.type_of(layer.result())
        table = layer.number("table", np.clip(all_codes(), *limits), "s8")
        operand = layer.stretch(1 - scalar[0], layer.result().shape)
        operation = Lookup(meaning.scale, meaning.zero_point)
        layer.finish(layer.apply(operation, operand, table))
        return
    layer.finish(layer.apply(Extremum(int(largest)), *layer.broadcast()))


def _require_one_meaning(layer: Layer, *positions: int) -> None:
    """Refuse operands whose codes mean something else than those of the output."""
    y = layer.type_of(layer.result(), *CODES)
    for position in positions:
        x = layer.type_of(layer.source(position), *CODES)
        layer.require(
            (x.format, x.scale, x.zero_point) == (y.format, y.scale, y.zero_point),
            f"{layer.source(position)} and {layer.result()} differ in scale or type",
        )


def _is_single_constant(layer: Layer, position: int) -> bool:
    tensor = layer.source(position)
    return tensor.data is not None and tensor.elements == 1


@imports("SQUARED_DIFFERENCE")
def import_squared_difference(layer: Layer) -> None:
    """Square of the difference, with TFLite's rounding of both operands under both rules."""
    x, y = (layer.type_of(layer.source(place), *CODES) for place in (0, 1))
    scales = layer.scale(layer.source(0)), layer.scale(layer.source(1))
    largest, shift = 2 * max(scales), SHIFTS[x.format.name]
    pairs = [quantize_multiplier(scale / largest) for scale in scales]
    gain = largest * largest / (2.0 ** (2 * shift) * layer.scale(layer.result()))
    operands = layer.broadcast()
    channels = layer.builder.type(operands[0]).shape[-1]
    output, constants = epilogue(layer, gain, channels=channels, activation="NONE")
    zeros = x.zero_point, y.zero_point
    operation = TfliteSquaredDifference(output, *pairs[0], *pairs[1], *zeros, shift)
    layer.finish(layer.apply(operation, *operands, *constants))


_COMPARISONS = {"GREATER": (1, 0), "GREATER_EQUAL": (1, 1), "LESS": (-1, 0), "LESS_EQUAL": (-1, 1)}


@imports(*_COMPARISONS, "EQUAL", "NOT_EQUAL")
def import_comparison(layer: Layer) -> None:
    """Codes 0 and 1: the sign of a difference in steps of 1/256, as TFLite compares.

    x > y is clip(x - y, 0, 1), x >= y is clip(x - y + 1, 0, 1), x == y is the lesser of two.
    """
    operands = layer.broadcast()
    name = layer.operator.name
    if name in _COMPARISONS:
        layer.finish(_compare(layer, operands, *_COMPARISONS[name], ""))
        return
    both = [_compare(layer, operands, sign, 1, str(place)) for place, sign in enumerate((1, -1))]
    equal = layer.apply(Extremum(0), *both, suffix="" if name == "EQUAL" else "equal")
    layer.finish(equal if name == "EQUAL" else invert(layer, equal))


def _compare(layer: Layer, operands: tuple[str, str], sign: int, bias: int, part: str) -> str:
    scales = [layer.scale(layer.source(place)) for place in (0, 1)]
    layer.require(max(scales) < 1.0, "TFLite compares codes of scales below 1 alone")
    pairs = [quantize_multiplier(scale) for scale in scales]
    types = [layer.type_of(layer.source(place)) for place in (0, 1)]
    order = (0, 1) if sign > 0 else (1, 0)
    output = Requantize("s8", 1.0, 0, 0, 1)
    channels = layer.builder.type(operands[0]).shape[-1]
    constants = [
        layer.number(f"{kind}{part}", np.full(channels, value), "s32")
        for kind, value in zip(output.names, (bias, 2, 1), strict=True)
    ]
    operation = TfliteAdd(
        output,
        *pairs[order[0]],
        *pairs[order[1]],
        -1,
        8,
        *(types[place].zero_point for place in order),
    )
    return layer.apply(operation, *(operands[place] for place in order), *constants, suffix=part)


def invert(layer: Layer, name: str) -> str:
    """1 where a tensor of 0 and 1 has 0."""
    table = layer.number("inverse", np.where(all_codes() > 0, 0, 1), "s8")
    return layer.apply(Lookup(1.0, 0), name, table, suffix="not")


@imports("LOGICAL_AND", "LOGICAL_OR")
def import_logic(layer: Layer) -> None:
    """Of codes 0 and 1."""
    largest = int(layer.operator.name == "LOGICAL_OR")
    layer.finish(layer.apply(Extremum(largest), *layer.broadcast()))


@imports("LOGICAL_NOT")
def import_logical_not(layer: Layer) -> None:
    """Of codes 0 and 1."""
    layer.finish(invert(layer, layer.activation()))


@imports("SELECT", "SELECT_V2")
def import_select(layer: Layer) -> None:
    """The second operand where the first has 1, else the third.

    y = max(min(a, mask), min(b, ~mask)),   mask = 127 where the condition is 1, else -128
    """
    _require_one_meaning(layer, 1, 2)
    meaning = layer.type_of(layer.result())
    shape = layer.result().shape
    condition = layer.stretch(0, shape)
    found = []
    for place, codes in ((1, (-128, 127)), (2, (127, -128))):
        table = layer.number(
            f"mask_{place}_table", np.where(all_codes() > 0, codes[1], codes[0]), "s8"
        )
        lookup = Lookup(meaning.scale, meaning.zero_point)
        mask = layer.apply(lookup, condition, table, suffix=f"mask_{place}")
        operand = layer.stretch(place, shape)
        found.append(layer.apply(Extremum(0), operand, mask, suffix=f"masked_{place}"))
    layer.finish(layer.apply(Extremum(1), *found))
