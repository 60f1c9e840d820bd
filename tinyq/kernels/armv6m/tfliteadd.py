"""Sum of two tensors that are scaled and rounded each, on Arm v6-M: what codes add from tables."""

from __future__ import annotations

from types import MappingProxyType

from tinyq.kernels.armv6m.assembly import lay_frame
from tinyq.kernels.base import Bound, Refusal
from tinyq.kernels.layer import LayerSpec
from tinyq.kernels.packing.summands import fold_summands, refuse_summands
from tinyq.kernels.registry import kernel

_COST = 47  # instructions of a code
_FRAME = lay_frame("addend", "multiplier", "shift", "room")
_SAVED = 36  # bytes of registers above the frame


@kernel("tfliteadd", "s8", "s8")
def bind(layer: LayerSpec) -> Bound | Refusal:
    """Channels share all constants. Codes are read before their sum is written."""
    if layer.output.format.bits != 8:
        return Refusal("outputs are no bytes")
    if reason := refuse_summands(layer):
        return Refusal(reason)
    constants = fold_summands(layer)
    return Bound(
        layer,
        constants.count * _COST,
        tables=constants.tables,
        values=MappingProxyType({"constants": constants, "frame": _FRAME, "saved": _SAVED}),
    )
