"""Functions of one tensor: tables of 256 codes for 8 bits, a change of scale for 16."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from tinyq.graph.epilogues import Requantize
from tinyq.graph.ops.lookup import Lookup
from tinyq.graph.ops.rescale import Rescale
from tinyq.importers.tflite.epilogues import epilogue
from tinyq.importers.tflite.layer import CODES, Layer

Codes64 = npt.NDArray[np.int64]


def all_codes() -> Codes64:
    """-128 .. 127."""
    return np.arange(-128, 128, dtype=np.int64)


def clip_codes(layer: Layer, name: str, lo: int, hi: int) -> str:
    """Clip a tensor to a range of codes; nothing where the range is the whole format."""
    found = layer.builder.type(name)
    if (lo, hi) == (found.format.lo, found.format.hi):
        return name
    layer.require(found.format.name in CODES, f"a clip of {found} is not supported")
    if found.format.name == "s16":
        return _clip_wide(layer, name, lo, hi)
    table = layer.number("clip", np.clip(all_codes(), lo, hi), "s8")
    return layer.apply(Lookup(found.scale, found.zero_point), name, table, suffix="clipped")


def _clip_wide(layer: Layer, name: str, lo: int, hi: int) -> str:
    """A change of scale by 1 with narrower limits."""
    found = layer.builder.type(name)
    output = Requantize("s16", float(found.scale or 1.0), found.zero_point, lo, hi)
    constants = [
        layer.number(f"clip_{part}", np.full(found.shape[-1], value), "s32")
        for part, value in zip(output.names, (0, 2, 1), strict=True)
    ]
    return layer.apply(Rescale(output, found.zero_point), name, *constants, suffix="clipped")


def change_scale(layer: Layer, gain: float, activation: int | str = "NONE") -> None:
    """Finish an operator that multiplies its one input by a number and clips."""
    x = layer.type_of(layer.source(), *CODES)
    layer.require(gain < 2.0**20, "a scale ratio is too large")
    name = layer.activation()
    channels = layer.builder.type(name).shape[-1]
    output, constants = epilogue(layer, gain, channels=channels, activation=activation)
    layer.finish(layer.apply(Rescale(output, x.zero_point), name, *constants))


def has_wide_codes(layer: Layer) -> bool:
    """Whether the operator reads or writes 16-bit codes, for which a table would be too large."""
    return "INT16" in (layer.source().type, layer.result().type)


def look_up(layer: Layer, codes: Codes64) -> None:
    """Finish an operator as a table over the codes of its one input.

    Args:
        layer: The operator.
        codes: Output codes of -128 .. 127, clipped here.
    """
    if layer.source().type != "BOOL":
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
