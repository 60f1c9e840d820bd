"""Operators between reals and codes."""

from __future__ import annotations

from dataclasses import replace

from tinyq.importers.onnx.entry import clip_behind
from tinyq.importers.onnx.layer import Layer
from tinyq.importers.onnx.quantizing import dequantize, meaning_of, quantize, store_constant
from tinyq.importers.onnx.registry import imports
from tinyq.importers.onnx.values import Coded, Fixed, Open, Real, Stored

_TYPES = {2: "uint8", 3: "int8", 5: "int16", 21: "uint4", 22: "int4", 25: "uint2", 26: "int2"}


@imports("QuantizeLinear")
def import_quantize(layer: Layer) -> None:
    """Reals as codes; a Clip that follows says how many bits."""
    layer.require(not layer.attribute("block_size", 0), "scales of blocks are not supported")
    value = layer.value(0)
    limits = clip_behind(layer.node, list(layer.conversion.model.nodes), layer.conversion)
    zero = layer.fixed(2) if layer.has(2) else None
    kind = _TYPES.get(layer.attribute("output_dtype", 0), "uint8")
    layer.require(
        not isinstance(value, Fixed | Stored),
        "quantizes a constant, which has not been folded",
        "save the weights quantized",
    )
    meaning = meaning_of(layer, layer.fixed(1), zero, limits, kind)
    if isinstance(value, Open):
        layer.require(
            meaning == value.meaning,
            "an input is quantized twice with different scales",
            "quantize each input once",
        )
        layer.give(Coded(value.name, value.view, meaning))
        return
    layer.give(quantize(layer, value, meaning))


@imports("DequantizeLinear")
def import_dequantize(layer: Layer) -> None:
    """Codes as reals."""
    layer.require(not layer.attribute("block_size", 0), "scales of blocks are not supported")
    zero = layer.fixed(2) if layer.has(2) else None
    axis = int(layer.attribute("axis", 1))
    layer.give(dequantize(layer, layer.value(0), layer.fixed(1), zero, axis))


def dequantized(layer: Layer, position: int, axis: int = 0) -> Real | Stored:
    """Codes of an operator that has scale and zero point behind each of its inputs."""
    value = layer.value(position)
    scale = layer.fixed(position + 1)
    zero = layer.fixed(position + 2) if layer.has(position + 2) else None
    if isinstance(value, Fixed):
        return store_constant(layer, value.array, scale, zero, axis)
    found = dequantize(layer, value, scale, zero, axis)
    assert isinstance(found, Real)
    return found


def finish(layer: Layer, value: object, position: int) -> None:
    """Quantize the result with scale and zero point at ``position`` of the inputs."""
    zero = layer.fixed(position + 1) if layer.has(position + 1) else None
    meaning = meaning_of(layer, layer.fixed(position), zero)
    layer.give(quantize(layer, value, meaning))  # type: ignore[arg-type]


def clipped_codes(layer: Layer, coded: Coded) -> Coded | None:
    """Codes behind a Clip of integers; None where it cuts some off that occur."""
    low, high = (int(layer.fixed(place).reshape(-1)[0]) for place in (1, 2))
    means = coded.meaning
    inside = low - means.shift <= means.lo and means.hi <= high - means.shift
    return replace(coded) if inside else None
