"""From reals to codes: what QuantizeLinear does to each kind of value."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from tinyq.graph.ops.lookup import Lookup
from tinyq.graph.ops.rescale import Rescale
from tinyq.importers.onnx.arrangement import View
from tinyq.importers.onnx.layer import ONNX, Layer
from tinyq.importers.onnx.sums import Sum, span_of
from tinyq.importers.onnx.values import (
    ALL_CODES,
    Coded,
    Meaning,
    Pending,
    Real,
    Single,
    Stored,
    Value,
    plain_meaning,
)

LEAST_SCALE = 2.0**-60  # of an activation, so that ratios of scales stay within float32


def scale_of(layer: Layer, scale: npt.NDArray[Any]) -> float:
    """The one scale of an activation.

    Raises:
        ModelError: There are several, or it is out of all proportion.
    """
    layer.require(
        scale.size == 1,
        f"an activation has {scale.size} scales",
        "quantize activations per tensor",
    )
    value = float(Single(scale.reshape(-1)[0]))
    layer.require(
        bool(np.isfinite(value)) and LEAST_SCALE <= value <= 1 / LEAST_SCALE,
        f"a scale of {value} is out of all proportion",
    )
    return value


def meaning_of(
    layer: Layer,
    scale: npt.NDArray[Any],
    zero: npt.NDArray[Any] | None,
    limits: tuple[int, int] | None = None,
    kind: str = "uint8",
) -> Meaning:
    """What the codes of an activation mean.

    Raises:
        ModelError: They are of another type than 8 or 16 bits, or have several scales.
    """
    kind = kind if zero is None else zero.dtype.name
    known = ("int8", "uint8", "int16", "int4", "uint4", "int2", "uint2")
    layer.require(kind in known, f"activations of type {kind} are not supported", "use 8 bits")
    layer.require(zero is None or zero.size == 1, "an activation has several zero points")
    point = 0 if zero is None else int(zero.reshape(-1)[0])
    layer.require(kind != "int16" or point == 0, "16-bit activations have a zero point")
    return plain_meaning(kind, scale_of(layer, scale), point, limits)


def dequantize(
    layer: Layer, value: Value, scale: npt.NDArray[Any], zero: npt.NDArray[Any] | None, axis: int
) -> Real | Stored:
    """Codes as reals."""
    if isinstance(value, Coded):
        means = value.meaning
        point = 0 if zero is None else int(zero.reshape(-1)[0])
        layer.require(zero is None or zero.size == 1, "an activation has several zero points")
        return Real(value, scale_of(layer, scale), point - means.shift)
    codes = layer.fixed(0) if not isinstance(value, Stored) else value.codes
    return store_constant(layer, codes, scale, zero, axis)


def store_constant(
    layer: Layer,
    codes: npt.NDArray[Any],
    scale: npt.NDArray[Any],
    zero: npt.NDArray[Any] | None,
    axis: int,
) -> Stored:
    """A constant of integers with its scales.

    Raises:
        ModelError: Scales do not fit its axis, or are no positive numbers.
    """
    layer.require(codes.dtype.kind in "iu", "a constant to be dequantized is of floats")
    scales = scale.astype(np.float32).reshape(-1)
    layer.require(
        bool(np.isfinite(scales).all()) and bool((scales >= 0).all()) and scales.size > 0,
        "a scale is no positive number",
    )
    zeros = np.zeros(1, np.int64) if zero is None else zero.astype(np.int64).reshape(-1)
    if zeros.size == 1 and scales.size > 1:
        zeros = np.repeat(zeros, scales.size)
    place = axis if axis >= 0 else axis + codes.ndim
    layer.require(
        zeros.size == scales.size
        and (scales.size == 1 or (0 <= place < codes.ndim and codes.shape[place] == scales.size)),
        f"{scales.size} scales do not fit a constant of shape {codes.shape}",
        "scales of blocks are not supported; quantize per tensor or per channel",
    )
    return Stored(codes.astype(np.int64), scales, zeros, place, codes.dtype.name)


def quantize(layer: Layer, value: Value, meaning: Meaning) -> Coded:
    """Reals as codes.

    Raises:
        ModelError: They are not computed from codes.
    """
    if isinstance(value, Pending):
        if layer.rounding == ONNX and not is_fused(layer, value, meaning):
            value = value.unfused()
        name = value.store(meaning)
        return _coded(layer, name, value.view, meaning, (value.low, value.high))
    layer.require(isinstance(value, Real), "quantizes something that is not computed")
    assert isinstance(value, Real)
    held = value.coded.meaning
    fits = meaning.format == held.format and meaning.lo <= held.lo and held.hi <= meaning.hi
    plain = value.values is None
    if plain and value.means == (meaning.scale, meaning.zero_point) and fits:
        return Coded(value.coded.name, value.view, replace(held, shift=meaning.shift))
    if held.format in ("s8", "u4", "u2") and meaning.format == "s8":
        if held.format == "s8" and _is_identity(
            quantized_table(layer, value.table(), meaning), held
        ):
            return Coded(value.coded.name, value.view, replace(meaning, lo=held.lo, hi=held.hi))
        return _coded(layer, look_up(layer, value, meaning), value.view, meaning)
    real = layer.as_real(value, "the input")
    return _coded(layer, rescaled(layer, real).store(meaning), real.view, meaning)


def is_fused(layer: Layer, value: Pending, meaning: Meaning) -> bool:
    """Whether onnxruntime joins an operator with what quantizes it into one of codes.

    It does not where a limit of the operator cuts off codes; nor where some of signed codes have
    one reader, which it makes unsigned, and others several.
    """
    if layer.node.kind != "QuantizeLinear":
        return True
    ends = [(code - meaning.zero_point) * meaning.scale for code in (-128, 127)]
    if meaning.format == "s8" and (value.low > ends[0] or value.high < ends[1]):
        return False
    if meaning.format != "s8" or meaning.shift:
        return True
    conversion = layer.conversion
    files = [conversion.origins[name] for name in value.sources if name in conversion.origins]
    return len({conversion.has_one_reader(name) for name in (*files, layer.node.outputs[0])}) == 1


def _coded(
    layer: Layer,
    name: str,
    view: View,
    meaning: Meaning,
    limits: tuple[float, float] = (-np.inf, np.inf),
) -> Coded:
    del layer
    return Coded(name, view, meaning.narrowed(*limits))


def rescaled(layer: Layer, real: Real) -> Sum:
    """Codes under another scale."""
    shape = layer.builder.type(real.coded.name).shape
    channels = shape[-1]
    least, most = span_of(*real.span, real.zero_point)
    return Sum(
        layer,
        real.view,
        lambda output: Rescale(output, real.zero_point),
        (real.coded.name,),
        np.full(channels, real.scale),
        np.full(channels, least, np.int64),
        np.full(channels, most, np.int64),
        biases=np.zeros(channels, np.int64),
        offsets=np.zeros(channels),
    )


def _is_identity(codes: npt.NDArray[np.int64], held: Meaning) -> bool:
    """Whether a table changes no code that occurs."""
    return bool((codes == ALL_CODES)[held.lo + 128 : held.hi + 129].all())


def look_up(layer: Layer, real: Real, meaning: Meaning) -> str:
    """A table of the codes of a function; the graph's tensor."""
    codes = quantized_table(layer, real.table(), meaning)
    name = layer.widened(real.coded.name)
    table = layer.number("table", codes, "s8")
    return layer.apply(Lookup(meaning.scale, meaning.zero_point), name, table)


def quantized_table(
    layer: Layer, values: npt.NDArray[np.float32], meaning: Meaning
) -> npt.NDArray[np.int64]:
    """Codes of 256 values under the rounding rule of the graph."""
    with np.errstate(all="ignore"):
        if layer.rounding == ONNX:
            steps = np.rint(values / Single(meaning.scale)).astype(np.float64)
        else:
            steps = np.floor(values.astype(np.float64) / meaning.scale + 0.5)
    steps = np.nan_to_num(steps, nan=0.0, posinf=2.0**40, neginf=-(2.0**40))
    return np.clip(steps + meaning.zero_point, meaning.lo, meaning.hi).astype(np.int64)
