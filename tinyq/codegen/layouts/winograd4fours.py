"""The weights of `winograd4` for cores without DSP: int16, channel by channel, four outputs.

Kernels read codes as unsigned, and take the factors of the accumulators back before they add the
bias. Tables: for each four channels, 36 positions of all inputs, each with the weights of the four;
for each channel bias and multiplier, or bias, shift, multiplier and addend where the stage rounds
twice.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np

from tinyq.codegen.layouts import Arrangement, Table
from tinyq.codegen.layouts.order import by_channel
from tinyq.codegen.layouts.scaling import (
    Fold,
    Int64s,
    fold_stage,
    refuse_any_scaling,
    sum_reach,
    to_words,
)
from tinyq.codegen.layouts.winograd4 import TRANSFORM

if TYPE_CHECKING:
    from tinyq.kernels.layer import LayerSpec

_SIGN = 128
# Accumulators come multiplied by up to 2^6 and must be int32 then.
_MOST_REACH = 2**25


def refuse(layer: LayerSpec) -> str:
    """Why these constants do not fit, empty where they do."""
    return refuse_blocks(layer, 4) or refuse_any_scaling(layer, reach_of(layer))


def arrange(layer: LayerSpec) -> Arrangement:
    """Tables of weights and constants."""
    return arrange_blocks(layer, fold_stage, 4)


def refuse_blocks(layer: LayerSpec, block: int) -> str:
    """Why the weights do not fit into blocks of output channels, empty where they do."""
    weights = layer.operands[-1]
    if weights is None or "bias" not in layer.constants:
        return "the constants are no constants"
    if len(weights) % block:
        return f"the number of output channels is no multiple of {block}"
    # The kernel's sums have no bias yet, and their codes no sign.
    wide = np.abs(by_channel(weights)).sum(1) * 2 * _SIGN
    return (
        "accumulators are too large"
        if max(wide.max(), reach_of(layer).max()) >= _MOST_REACH
        else ""
    )


def arrange_blocks(layer: LayerSpec, fold: Fold, block: int) -> Arrangement:
    """Tables with the constants of the output stage as `fold` makes them."""
    weights = layer.operands[-1]
    assert weights is not None
    wide = weights.astype(np.int64)
    sums = by_channel(weights).sum(1)
    bias, tail, numbers = fold(layer, sums)
    u = np.einsum("ip,opqc,jq->oijc", TRANSFORM, wide, TRANSFORM).reshape(
        len(wide) // block, block, -1
    )
    halves = np.ascontiguousarray(u.transpose(0, 2, 1).reshape(-1).astype(np.int16))
    constants = to_words(np.concatenate([(bias - _SIGN * sums)[:, None], tail], axis=1))
    return Arrangement(
        (
            Table("weights", halves.view("<u4"), f"{block} channels: 36 positions of weights"),
            Table("constants", constants.reshape(-1), "a channel: bias, multiplier"),
        ),
        MappingProxyType(dict(numbers)),
    )


def reach_of(layer: LayerSpec) -> Int64s:
    """Largest |acc + bias| of each channel."""
    weights = layer.operands[-1]
    assert weights is not None
    return sum_reach(layer, by_channel(weights))
