"""The end of a graph: codes as they are, or accumulators that nothing has quantized."""

from __future__ import annotations

import math
import warnings

import numpy as np

from tinyq.errors import ModelError, TinyqError
from tinyq.importers.onnx.arrangement import View, channel_last
from tinyq.importers.onnx.layer import REMEDY, REMEDY_INTEGER, Conversion, Layer
from tinyq.importers.onnx.reader import FileNode
from tinyq.importers.onnx.sums import Sum
from tinyq.importers.onnx.values import Coded, Meaning, Pending, Real, Value

_WIDE = 32767


def finish_output(conversion: Conversion, nodes: list[FileNode], name: str) -> Coded:
    """The codes of an output, dense in its order; images keep channels last.

    Raises:
        ModelError: It is computed in floating point, or not at all.
    """
    value = conversion.values.get(name)
    maker = next((node for node in nodes if name in node.outputs), None)
    place = f"{conversion.model.path}, output {name[:60]!r}"
    if value is None or maker is None:
        raise ModelError("the output is never computed", where=place)
    layer = Layer(maker, conversion)
    try:
        coded = _codes_of(layer, value)
        return _arranged(layer, coded)
    except TinyqError as error:
        raise ModelError(error.message, where=place, remedy=error.remedy or REMEDY) from None


def _codes_of(layer: Layer, value: Value) -> Coded:
    if isinstance(value, Coded):
        return value
    if isinstance(value, Real):
        real = layer.as_real(value, "the output")
        held = layer.builder.type(real.coded.name)
        stated = (real.scale, real.zero_point)
        layer.require(
            (held.scale, held.zero_point) == stated,
            "the output is dequantized with another scale than its codes have",
        )
        return real.coded
    layer.require(isinstance(value, Pending), "the model computes nothing", REMEDY_INTEGER)
    layer.require(
        isinstance(value, Sum), "the last operator computes in floating point", REMEDY_INTEGER
    )
    assert isinstance(value, Sum)
    return _unquantized(layer, value)


def _unquantized(layer: Layer, value: Sum) -> Coded:
    """Accumulators at the end: as they are where they have one scale, else as 16-bit codes."""
    value = value.exactly()
    unit = float(value.units[0])
    if bool((value.units == unit).all()) and not value.offsets.any() and not value.is_limited:
        name = value.raw(unit)[0]
        meaning = Meaning(unit, 0, -(2**31), 2**31 - 1, "s32", 0)
        return Coded(name, value.view, meaning)
    ends = [(end + value.biases) * value.units + value.offsets for end in (value.least, value.most)]
    low, high = max(float(ends[0].min()), value.low), min(float(ends[1].max()), value.high)
    largest = max(abs(low), abs(high), 2.0**-30)
    scale = float(np.float32(largest / _WIDE)) * (1 + 2.0**-20)
    meaning = Meaning(float(np.float32(scale)), 0, -_WIDE - 1, _WIDE, "s16", 0)
    warnings.warn(
        f"{layer.conversion.model.path}, {layer.node}: nothing quantizes the output; it is given "
        f"as 16-bit codes of {meaning.scale:.3g}",
        stacklevel=6,
    )
    return Coded(value.store(meaning), value.view, meaning)


def _arranged(layer: Layer, coded: Coded) -> Coded:
    held = layer.builder.type(coded.name)
    size = math.prod(held.shape)
    rank = len(coded.shape)
    last = channel_last(rank)
    order = last if coded.view.is_dense(last, size) else tuple(range(rank))
    inner = [coded.shape[axis] for axis in order]
    shape = tuple(inner[1:]) if inner[0] == 1 and len(inner) > 1 else tuple(inner)
    name = layer.arrange(coded.name, coded.view, order, shape or (1,))
    layer.require(
        name not in layer.builder.inputs and not layer.builder.is_constant(name),
        "the model computes nothing",
    )
    return Coded(name, View.of(coded.shape, order), coded.meaning)
