"""Tables of 256 codes: every function of one 8-bit tensor is a look-up."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from tinyq.importers.tflite.layer import Layer
from tinyq.ops.lookup import Lookup

Codes64 = npt.NDArray[np.int64]


def all_codes() -> Codes64:
    """-128 .. 127."""
    return np.arange(-128, 128, dtype=np.int64)


def clip_codes(layer: Layer, name: str, lo: int, hi: int) -> str:
    """Clip a tensor to a range of codes; nothing where the range is the whole format."""
    found = layer.builder.type(name)
    if (lo, hi) == (found.format.lo, found.format.hi):
        return name
    layer.require(found.format.name == "s8", f"a clip of {found} is not supported")
    table = layer.number("clip", np.clip(all_codes(), lo, hi), "s8")
    return layer.apply(Lookup(found.scale, found.zero_point), name, table, suffix="clipped")


def look_up(layer: Layer, codes: Codes64) -> None:
    """Finish an operator as a table over the codes of its one input.

    Args:
        layer: The operator.
        codes: Output codes of -128 .. 127, clipped here.
    """
    layer.type_of(layer.source())
    meaning = layer.type_of(layer.result())
    table = layer.number("table", np.clip(codes, -128, 127), "s8")
    operation = Lookup(meaning.scale, meaning.zero_point)
    layer.finish(layer.apply(operation, layer.activation(), table))


def sampled(layer: Layer, function: Callable[[npt.NDArray[Any]], npt.ArrayLike]) -> Codes64:
    """Codes of a real function at all input codes.

    TFLite evaluates in float32 and rounds half away from zero; tinyq in float64, half up.
    """
    x, y = layer.type_of(layer.source()), layer.type_of(layer.result())
    x_scale, y_scale = layer.scale(layer.source()), layer.scale(layer.result())
    if not layer.twice:
        real = function(x_scale * (all_codes() - x.zero_point))
        steps = np.floor(np.asarray(real, np.float64) / y_scale + 0.5)
        return np.clip(steps + y.zero_point, -128, 127).astype(np.int64)
    single = np.float32(x_scale) * (all_codes() - x.zero_point).astype(np.float32)
    with np.errstate(over="ignore"):
        real32 = np.asarray(function(single.astype(np.float64)), np.float64).astype(np.float32)
        scaled = real32 * (np.float32(1) / np.float32(y_scale))
    rounded = np.trunc(scaled + np.copysign(np.float32(0.5), scaled)).astype(np.float64)
    return np.clip(rounded + y.zero_point, -128, 127).astype(np.int64)
