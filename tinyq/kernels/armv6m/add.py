"""Sum of two tensors on Arm v6-M, code by code; counted from the lowest until they are clipped."""

from __future__ import annotations

from dataclasses import replace
from types import MappingProxyType

from tinyq.kernels.armv6m.assembly import lay_frame
from tinyq.kernels.base import Bound, Refusal
from tinyq.kernels.layer import LayerSpec
from tinyq.kernels.packing.uniform import UniformSum, fold_uniform, refuse_uniform
from tinyq.kernels.registry import kernel

_COST = 37  # instructions of a code
_MOST_ADDEND = 2**30
_FRAME = lay_frame("addend", "x", "y")


@kernel("add", "s8", "s8")
def bind(layer: LayerSpec) -> Bound | Refusal:
    """Channels share all constants. Codes are read before their sum is written."""
    if layer.output.format.bits != 8:
        return Refusal("outputs are no bytes")
    if reason := refuse_uniform(layer):
        return Refusal(reason)
    constants = _fold(layer)
    if constants.epilogue.addend >= _MOST_ADDEND:
        return Refusal("the zero point does not fit beside the product")
    return Bound(
        layer,
        constants.count * _COST,
        values=MappingProxyType({"constants": constants, "frame": _FRAME}),
    )


def _fold(layer: LayerSpec) -> UniformSum:
    found = fold_uniform(layer)
    return replace(found, epilogue=found.epilogue.lift())
