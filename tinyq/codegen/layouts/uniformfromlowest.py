"""The sums of `uniform` for cores without a saturation: codes are counted from the lowest one."""

from __future__ import annotations

from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING

from tinyq.codegen.layouts import Arrangement, uniform
from tinyq.codegen.layouts.scaling import lift_addend

if TYPE_CHECKING:
    from tinyq.kernels.layer import LayerSpec

_LARGEST_ADDEND = 2**30


def refuse(layer: LayerSpec) -> str:
    """Why these constants do not fit, empty where they do."""
    reason = uniform.refuse(layer)
    if reason:
        return reason
    addend = lift_addend(uniform.arrange(layer).numbers)["addend"]
    return "the zero point does not fit beside the product" if addend >= _LARGEST_ADDEND else ""


def arrange(layer: LayerSpec) -> Arrangement:
    """No table; the numbers of `uniform`, and ``power`` 0."""
    found = uniform.arrange(layer)
    numbers = {**lift_addend(found.numbers), "power": 0}
    return replace(found, numbers=MappingProxyType(numbers))
