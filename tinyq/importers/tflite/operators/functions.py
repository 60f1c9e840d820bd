"""Operators of one 8-bit tensor: each is a table of 256 codes of its function.

A new one takes its function in `functions` and its name below; where TFLite's kernel does not
evaluate the function in float32, its own arithmetic stands in ``_INTEGER``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np
import numpy.typing as npt

from tinyq.graph.ops.curve import Curve
from tinyq.importers.tflite.functions import find_function
from tinyq.importers.tflite.layer import Layer
from tinyq.importers.tflite.operators.activation import import_wide_leaky_relu
from tinyq.importers.tflite.registry import imports
from tinyq.importers.tflite.tables import all_codes, has_wide_codes, look_up, sampled
from tinyq.numerics.curves import curve_table
from tinyq.numerics.fixed_point import (
    inverse_square_root,
    quantize_multiplier,
    scale_twice,
)

Codes64 = npt.NDArray[np.int64]
_RSQRT_BITS = 20  # by which TFLite shifts reciprocal roots to keep them integers


@imports("ABS", "ELU", "EXP", "GELU", "LOG", "NEG", "RSQRT", "SQRT", "SQUARE")
def import_function(layer: Layer) -> None:
    """A function of each code; of 16-bit codes a curve, one definition for both rounding rules."""
    if has_wide_codes(layer):
        _import_curve(layer)
        return
    integer = _INTEGER.get(layer.operator.name)
    if layer.twice and integer is not None:
        look_up(layer, integer(layer))
        return
    function, least = find_function(layer.operator), _least(layer)

    def bounded(x: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        assert function is not None  # noqa: S101  # every name above has one
        with np.errstate(all="ignore"):
            values = function(x)
        return np.where(np.isnan(values) | np.isneginf(values), least, values)

    look_up(layer, sampled(layer, bounded))


def _import_curve(layer: Layer) -> None:
    """Where the function has no value, TFLite's kernels take the least or the largest code."""
    layer.type_of(layer.source(), "s16")
    y = layer.type_of(layer.result(), "s16")
    name, scale = layer.operator.name, layer.scale(layer.result())
    if name == "ABS":
        import_wide_leaky_relu(layer, -1.0)
        return
    layer.require(name in _OUTSIDE, f"{name} of {layer.source()} is not supported")
    function, outside = find_function(layer.operator), _OUTSIDE[name] * np.float32(scale)

    def bounded(x: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        assert function is not None  # noqa: S101  # every name above has one
        known = np.ones_like(x, bool) if name in ("EXP", "GELU") else x > 0.0
        return np.where(known, function(np.where(known, x, 1.0)), float(outside))

    table = layer.number("table", curve_table(bounded, layer.scale(layer.source()), scale), "s16")
    layer.finish(layer.apply(Curve(y.scale), layer.activation(), table))


# Functions of 16-bit codes, and the code of a real that has no value.
_OUTSIDE: Mapping[str, np.float32] = MappingProxyType(
    {
        "EXP": np.float32(0),
        "GELU": np.float32(0),
        "LOG": np.float32(-(2**15)),
        "RSQRT": np.float32(2**15 - 1),
    }
)


def _least(layer: Layer) -> float:
    """The smallest real that the output can have: a logarithm of 0."""
    y = layer.type_of(layer.result())
    return float(np.float32(-128 - y.zero_point) * np.float32(layer.scale(layer.result())))


def _absolute(layer: Layer) -> Codes64:
    x, y = layer.type_of(layer.source()), layer.type_of(layer.result())
    scales = [np.float32(layer.scale(tensor)) for tensor in (layer.source(), layer.result())]
    distance = np.abs(all_codes() - x.zero_point)
    if scales[0] == scales[1]:
        return distance + y.zero_point
    ratio = float(scales[0] / scales[1])
    layer.require(ratio < 2.0**20, "a scale ratio is too large")
    return scale_twice(distance, *quantize_multiplier(ratio)) + y.zero_point


def _root(layer: Layer) -> Codes64:
    """Cut off to the code below; TFLite stops at the negative reals, which are 0 here."""
    x, y = layer.type_of(layer.source()), layer.type_of(layer.result())
    steps = np.maximum(all_codes() - x.zero_point, 0).astype(np.float32)
    real = np.sqrt(np.float32(layer.scale(layer.source())) * steps)
    return (real / np.float32(layer.scale(layer.result()))).astype(np.int64) + y.zero_point


def _inverse_root(layer: Layer) -> Codes64:
    """The largest code for real 0; TFLite stops at the negative reals, which are 0 here."""
    x, y = layer.type_of(layer.source()), layer.type_of(layer.result())
    unit = np.sqrt(np.float32(layer.scale(layer.source())))
    scale = 1.0 / float(unit * np.float32(layer.scale(layer.result())))
    layer.require(math.isfinite(scale), "a scale is too small")
    multiplier, exponent = quantize_multiplier(scale)
    layer.require(exponent - _RSQRT_BITS <= 30, "a scale ratio is too large")
    found = np.full(256, 127, np.int64)
    one = np.ones(1, np.int64)
    for place, value in enumerate(all_codes() - x.zero_point):
        if value > 0:
            mantissa, shift = inverse_square_root(int(value))
            data = scale_twice(one, mantissa, shift + _RSQRT_BITS)
            scaled = scale_twice(data, multiplier, exponent - _RSQRT_BITS)
            found[place] = int(scaled[0]) + y.zero_point
    return found


_INTEGER: Mapping[str, Callable[[Layer], Codes64]] = MappingProxyType(
    {"ABS": _absolute, "SQRT": _root, "RSQRT": _inverse_root}
)
