"""Sum of two tensors that are scaled and rounded each, on Arm v7-M: what codes add from tables."""

from __future__ import annotations

from types import MappingProxyType

from tinyq.kernels.base import Bound, Refusal
from tinyq.kernels.layer import LayerSpec
from tinyq.kernels.packing.summands import fold_summands, refuse_summands
from tinyq.kernels.registry import kernel

_COST = 11.5  # instructions of a code
_ROUND = 8  # codes


@kernel("tfliteadd", "s8", "s8")
def bind(layer: LayerSpec) -> Bound | Refusal:
    """Channels share all constants. Codes are read before their sum is written."""
    if layer.output.format.bits != 8:
        return Refusal("outputs are no bytes")
    if reason := refuse_summands(layer):
        return Refusal(reason)
    constants = fold_summands(layer)
    rounds, rest = divmod(constants.count, _ROUND)
    return Bound(
        layer,
        int(constants.count * _COST),
        tables=constants.tables,
        values=MappingProxyType(
            {"constants": constants, "at_once": _ROUND, "rounds": rounds, "rest": range(rest)}
        ),
    )
