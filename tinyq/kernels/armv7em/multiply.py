"""Product of two tensors on Arm v7E-M: four codes of each at a time.

The zero points are taken off by SXTAB16. Products and bias are finished by SMMLA, or by the four
instructions of two roundings.
"""

from __future__ import annotations

from types import MappingProxyType

import numpy as np

from tinyq.kernels.base import Bound, Refusal
from tinyq.kernels.layer import LayerSpec
from tinyq.kernels.packing.epilogue import (
    TWICE,
    Epilogue,
    fold_scaling,
    fold_scaling_twice,
    refuse_scaling,
    refuse_scaling_twice,
)
from tinyq.kernels.packing.words import Int64s
from tinyq.kernels.registry import kernel

_COST, _COST_TWICE = 8.5, 11.5  # instructions of a code


@kernel("multiply", "s8", "s8", variant="fours")
def bind(layer: LayerSpec) -> Bound | Refusal:
    """Channels share all constants. A word of codes is read before its products are written."""
    if layer.output.format.bits != 8 or "bias" not in layer.constants:
        return Refusal("outputs are no bytes")
    if any(np.ptp(table) for table in layer.constants.values()):
        return Refusal("the channels have different constants")
    twice = layer.epilogue == TWICE
    reach = _reach(layer)
    reason = refuse_scaling_twice(layer, reach) if twice else refuse_scaling(layer, reach, 31)
    if reason:
        return Refusal(reason)
    epilogue, bias, multiplier, addend, shift = _fold(layer)
    count = layer.geometry["rows"] * layer.geometry["channels"]
    zeros = [-layer.geometry[key] % 65536 * 0x00010001 for key in ("x_zero", "y_zero")]
    return Bound(
        layer,
        round(count * (_COST_TWICE if twice else _COST)) + 30,
        values=MappingProxyType(
            {
                "count": count,
                "words": count // 4,
                "bytes": range(count % 4),
                "zeros": zeros,
                "single": [-layer.geometry[key] for key in ("x_zero", "y_zero")],
                "epilogue": epilogue,
                "power": 1 if twice else epilogue.power,
                "bias": bias,
                "multiplier": multiplier,
                "addend": addend,
                "shift": shift,
            }
        ),
        operands=("a", "b"),
    )


def _reach(layer: LayerSpec) -> Int64s:
    """Largest |product + bias|."""
    farthest = 1
    for entry, key in zip(layer.inputs, ("x_zero", "y_zero"), strict=True):
        zero = layer.geometry[key]
        farthest *= max(entry.format.hi - zero, zero - entry.format.lo)
    return farthest + np.abs(layer.constants["bias"].astype(np.int64))


def _fold(layer: LayerSpec) -> tuple[Epilogue, int, int, int, int]:
    """Integers for the text, then bias, multiplier, addend and last shift."""
    nothing = np.zeros(1, np.int64)
    bias = int(layer.constants["bias"].flat[0])
    if layer.epilogue == TWICE:
        scaling, addends, shifts = fold_scaling_twice(layer, nothing)
        multiplier, addend = int(scaling.multiplier.flat[0]), int(addends.flat[0])
        return scaling.epilogue, bias, multiplier, addend, int(shifts.flat[0])
    scaling = fold_scaling(layer, nothing)
    epilogue = Epilogue(
        **{
            **{key: getattr(scaling.epilogue, key) for key in Epilogue.__slots__},
            "power": scaling.power,
        }
    )
    return epilogue, bias, int(scaling.multiplier.flat[0]), epilogue.addend, 0
