"""Sum of two tensors that are scaled and rounded each, on Arm v7E-M.

What a code adds is known for all 256 of them before the loop: two loads, a sum and the four
instructions of two roundings for each output.
"""

from __future__ import annotations

from types import MappingProxyType

from tinyq.kernels.base import Bound, Part, Refusal
from tinyq.kernels.layer import LayerSpec
from tinyq.kernels.packing.terms import TermSum, fold_terms, refuse_terms
from tinyq.kernels.registry import kernel

_COST, _LIST_COST = 14, 10_500  # instructions of a code, of both lists
_LISTS = 2048  # bytes
_ROUND = 16  # codes
_SOURCE = "armv7em/tfliteadd.j2"


@kernel("tfliteadd", "s8", "s8")
def bind(layer: LayerSpec) -> Bound | Refusal:
    """Channels share all constants. A word of codes is read before its sums are written."""
    if layer.output.format.bits != 8:
        return Refusal("outputs are no bytes")
    if reason := refuse_terms(layer):
        return Refusal(reason)
    constants, g = fold_terms(layer), layer.geometry
    return Bound(
        layer,
        constants.count * _COST + _LIST_COST,
        scratch_bytes=_LISTS,
        parts=MappingProxyType({"list_terms": list_terms(), "sum": sum_terms(constants)}),
        values=MappingProxyType(
            {
                "constants": constants,
                "one": 2 ** g["left_shift"],
                "x_right": -g["x_exponent"],
                "y_right": -g["y_exponent"],
            }
        ),
        operands=("a", "b"),
    )


def list_terms() -> Part:
    """``(to, zero, one, multiplier, right, sign, bias)``: twice what every code adds."""
    return Part(_SOURCE, "list_terms", "tq_list_terms", shared=True)


def sum_terms(constants: TermSum) -> Part:
    """``(a, b, y, terms)``: codes of the sums of the terms of two codes each."""
    rounds, rest = divmod(constants.count, _ROUND)
    values = {
        "rounds": rounds * _ROUND,
        "bytes": range(rest),
        "constants": constants,
        "turns": ("", ", ror #8", ", ror #16", ", ror #24"),
    }
    return Part(_SOURCE, "sums", "_sums", MappingProxyType(values))
