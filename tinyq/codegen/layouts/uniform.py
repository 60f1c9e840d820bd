"""Two factors and one set of constants for all channels: they go into the kernel's text."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np

from tinyq.codegen.layouts import Arrangement
from tinyq.codegen.layouts.scaling import Int64s, fold_scaling, refuse_scaling, refuse_stage

if TYPE_CHECKING:
    from tinyq.kernels.layer import LayerSpec

_INT16 = 2**15


def refuse(layer: LayerSpec) -> str:
    """Why these constants do not fit, empty where they do."""
    reason = refuse_stage(layer)
    if reason:
        return reason
    if any(np.ptp(table) for table in layer.constants.values()):
        return "the channels have different constants"
    factors = [abs(factor) for factor in _factors(layer)]
    room = (_INT16 // (max(factors) + 1)).bit_length() - 1
    return refuse_scaling(layer, _reach(layer), room)


def arrange(layer: LayerSpec) -> Arrangement:
    """No table; ``bias``, ``multiplier`` and ``factors``, two int16, beside the scaling's."""
    g = layer.geometry
    x_factor, y_factor = _factors(layer)
    scaling = fold_scaling(layer, np.zeros(1, np.int64))
    zeros = g["x_zero"] * x_factor + g["y_zero"] * y_factor
    x_factor, y_factor = x_factor << scaling.power, y_factor << scaling.power
    return Arrangement(
        numbers=MappingProxyType(
            {
                **scaling.numbers,
                "bias": int(scaling.bias.flat[0]) - (zeros << scaling.power),
                "multiplier": int(scaling.multiplier.flat[0]),
                "factors": (x_factor & 0xFFFF) | (y_factor & 0xFFFF) << 16,
            }
        )
    )


def _factors(layer: LayerSpec) -> tuple[int, int]:
    return layer.geometry["x_factor"], layer.geometry["y_factor"]


def _reach(layer: LayerSpec) -> Int64s:
    g, total = layer.geometry, 0
    zeros = g["x_zero"], g["y_zero"]
    for entry, factor, zero in zip(layer.inputs, _factors(layer), zeros, strict=True):
        total += abs(factor) * max(zero - entry.format.lo, entry.format.hi - zero)
    return total + np.abs(layer.constants["bias"].astype(np.int64))
