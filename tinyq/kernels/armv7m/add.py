"""Sum of two tensors on Arm v7-M: two products and an SMULL per code."""

from __future__ import annotations

from types import MappingProxyType

from tinyq.kernels.base import Bound, Refusal
from tinyq.kernels.layer import LayerSpec
from tinyq.kernels.packing.uniform import fold_uniform, refuse_uniform
from tinyq.kernels.registry import kernel

_COST = 8.5  # instructions of a code
_ROUND = 8  # codes


@kernel("add", "s8", "s8")
def bind(layer: LayerSpec) -> Bound | Refusal:
    """Channels share all constants. Codes are read before their sum is written."""
    if layer.output.format.bits != 8:
        return Refusal("outputs are no bytes")
    if reason := refuse_uniform(layer):
        return Refusal(reason)
    constants = fold_uniform(layer)
    rounds, rest = divmod(constants.count, _ROUND)
    return Bound(
        layer,
        int(constants.count * _COST),
        values=MappingProxyType(
            {"constants": constants, "at_once": _ROUND, "rounds": rounds, "rest": range(rest)}
        ),
    )
