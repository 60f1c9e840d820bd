"""Sums that a kernel leaves to the epilogue's own function."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from tinyq.kernels.base import Part
from tinyq.kernels.layer import LayerSpec

# Instructions for one sum, about: counts of 64 pixels of 32 channels.
_COSTS: Mapping[str, int] = MappingProxyType(
    {
        "threshold": 13,
        "steps": 14,
        "requantize": 38,
        "roundeven": 54,
        "requantizeoffset": 56,
        "requantizesingle": 170,
        "requantizetwice": 50,
        "requantizewide": 75,
        "raw": 7,
    }
)
_STEP_COST = 9


def estimate_epilogue(layer: LayerSpec) -> int:
    """Instructions for one sum."""
    return _COSTS[layer.epilogue] + _STEP_COST * layer.geometry.get("steps", 0)


def finish_pixels(layer: LayerSpec, apart: int) -> Part:
    """``(sums, pixels, epilogue, y)``: pixels from sums, which lie channel by channel.

    It belongs to one kernel, and its steps are an even part of a byte of y, so that the compiler
    knows the constants of the epilogue and where bytes end.

    Args:
        layer: The layer.
        apart: Sums of a channel, one for each pixel of a block.
    """
    channels, entry = layer.geometry["out_channels"], layer.output.format
    step = 4 if channels % 4 == 0 and entry.bits == 1 else 2 if entry.bits < 8 else 1
    step = step if channels % step == 0 else 1
    place = f"{step} * j" if step > 1 else "j"
    values = {
        "places": [place, *(f"{place} + {index}" for index in range(1, step))],
        "steps": channels // step,
        "channels": channels,
        "apart": apart,
        "epilogue": layer.epilogue,
        "format": entry,
    }
    return Part("common/epilogue.j2", "finish", "_finish", MappingProxyType(values))
