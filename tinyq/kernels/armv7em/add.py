"""Sum of two tensors on Arm v7E-M: two products and one SMMLA per code."""

from __future__ import annotations

from types import MappingProxyType

from tinyq.kernels.base import Bound, Refusal
from tinyq.kernels.layer import LayerSpec
from tinyq.kernels.packing.uniform import fold_uniform, refuse_uniform
from tinyq.kernels.registry import kernel

_COST = 7  # instructions of a code
_ROUND, _WORD = 16, 4  # codes


@kernel("add", "s8", "s8")
def bind(layer: LayerSpec) -> Bound | Refusal:
    """Channels share all constants. A word of codes is read before its sums are written."""
    if layer.output.format.bits != 8:
        return Refusal("outputs are no bytes")
    if reason := refuse_uniform(layer):
        return Refusal(reason)
    constants = fold_uniform(layer)
    rounds, rest = divmod(constants.count, _ROUND)
    return Bound(
        layer,
        constants.count * _COST,
        values=MappingProxyType(
            {
                "constants": constants,
                "rounds": rounds * _ROUND,
                "words": range(rest // _WORD),
                "bytes": range(rest % _WORD),
            }
        ),
    )
