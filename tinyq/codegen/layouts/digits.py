"""Several channels to a lane, as digits: four of 4 bits or eight of 2 bits in a halfword.

    halfword = sum over d of (w_d + half) << bits * d,  but w_d alone for the highest d

Masked step by step, from all digits down to the lowest, it gives the sums S_d of the digits up to
d; S_d - S_(d-1) is 2^(bits * d) * (acc_d + half * sum x), exact modulo 2^32. What counts, without
the sum of inputs, must fit: |acc_d + bias_d| < 2^(31 - bits * d). For each block of channels:
biases, each with those before it as S_d has them; a word for each pair of inputs; multipliers
where the stage has them.

Inputs are int16 in the order 0 2 1 3 of each word, and padded to groups of eight.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np

from tinyq.codegen.layouts import Arrangement, Table
from tinyq.codegen.layouts.scaling import (
    fold_scaling,
    pair_words,
    refuse_scaling,
    sum_reach,
    to_words,
)

if TYPE_CHECKING:
    from tinyq.kernels.layer import LayerSpec

_RAW = 3
_LANE = 16
_ORDER = [0, 2, 1, 3]


def refuse(layer: LayerSpec) -> str:
    """Why these constants do not fit, empty where they do."""
    weights = layer.operands[-1]
    if weights is None or "bias" not in layer.constants:
        return "the constants are no constants"
    bits = find_bits(layer)
    if not bits:
        return "codes need more than four bits"
    reach = sum_reach(layer, weights.astype(np.int64))
    place = np.arange(len(reach)) % (_LANE // bits)
    if (reach << bits * place).max() >= 2**31:
        return "accumulators run out of their digits"
    return "" if layer.epilogue == "raw" else refuse_scaling(layer, reach)


def arrange(layer: LayerSpec) -> Arrangement:
    """One stream of words; ``digit``: its bits; ``lift`` as in `packed`; a raw ``clip`` is 3."""
    weights = layer.operands[-1]
    assert weights is not None
    bits, rows = find_bits(layer), weights.astype(np.int64)
    each = _LANE // bits
    padding = ((0, -len(rows) % each), (0, -rows.shape[1] % 8))
    offsets = np.full(each, 1 << bits - 1)
    offsets[-1] = 0
    digits = np.pad(rows, padding).reshape(-1, each, rows.shape[1] + padding[1][1])
    lanes = ((digits + offsets[:, None]) << (bits * np.arange(each))[:, None]).sum(1)
    ordered = lanes.reshape(len(lanes), -1, 4)[:, :, _ORDER].reshape(len(lanes), -1)
    body = pair_words(ordered[:, 0::2], ordered[:, 1::2])
    zero = layer.geometry.get("x_zero", 0)
    bias = np.pad(layer.constants["bias"].astype(np.int64) - zero * rows.sum(1), padding[0])
    sums = (bias.reshape(-1, each) << bits * np.arange(each)).cumsum(1)
    tail, numbers = [], {"clip": _RAW, "twice": 0, "lift": 0, "addend": 0, "shift": 0}
    if layer.epilogue != "raw":
        scaling = fold_scaling(layer, rows.sum(1))
        tail = [to_words(np.pad(scaling.multiplier, padding[0])).reshape(-1, each)]
        numbers = {**scaling.numbers, "lift": scaling.power}
    stream = np.concatenate([to_words(sums), body, *tail], axis=1).reshape(-1)
    comment = f"{each} channels: biases, weights of {bits} bits, multipliers"
    numbers = {**numbers, "digit": bits}
    return Arrangement((Table("weights", stream, comment),), MappingProxyType(numbers))


def find_bits(layer: LayerSpec) -> int:
    """Bits of a digit that holds every code: 2 or 4, 0 if these do not."""
    weights = layer.operands[-1]
    assert weights is not None
    low, high = int(weights.min()), int(weights.max())
    fitting = (bits for bits in (2, 4) if -(1 << bits - 1) <= low and high < 1 << bits - 1)
    return next(fitting, 0)
