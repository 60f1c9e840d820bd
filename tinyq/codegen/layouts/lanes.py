"""Four channels at a time, two to a lane: a halfword holds c0 + 256 * c1.

Multiplied unmasked, it gives A0 + 256 * A1 modulo 2^32; its low byte, sign extended, gives A0. The
difference is 256 * A1: exact while |A1| < 2^23. Its factor goes into shift and addend. For each
four channels: biases (b0, b0 + 256 * b1, b2, b2 + 256 * b3), for each pair of inputs the words of
both pairs of channels, four multipliers where the stage has them.

Inputs are int16 in the order 0 2 1 3 of each word, and padded to groups of eight.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np

from tinyq.codegen.layouts import Arrangement, Table
from tinyq.codegen.layouts.scaling import (
    Int64s,
    fold_scaling,
    pair_words,
    refuse_scaling,
    sum_reach,
    to_words,
)

if TYPE_CHECKING:
    from tinyq.kernels.layer import LayerSpec

_RAW, _BYTE = 3, 127
_ORDER = [0, 2, 1, 3]


def refuse(layer: LayerSpec) -> str:
    """Why these constants do not fit, empty where they do."""
    weights = layer.operands[-1]
    if weights is None or "bias" not in layer.constants:
        return "the constants are no constants"
    rows = weights.astype(np.int64)
    if rows[1::2].min(initial=0) < -127:
        return "an odd channel has a weight of -128"
    reach = sum_reach(layer, rows)
    if reach[1::2].max(initial=0) >= 2**23:
        return "accumulators of an odd channel leave 24 bits"
    if layer.epilogue == "raw":
        return ""
    # Grown weights must still be bytes, or they would run from one lane into the other.
    room = (_BYTE // max(int(np.abs(rows).max(initial=0)), 1)).bit_length() - 1
    return refuse_scaling(layer, reach, max(room, 0)) or _refuse_odd(layer, reach)


def arrange(layer: LayerSpec) -> Arrangement:
    """One stream of words; for a raw output ``clip`` is 3."""
    weights = layer.operands[-1]
    assert weights is not None
    rows = weights.astype(np.int64)
    power = 0 if layer.epilogue == "raw" else fold_scaling(layer, rows.sum(1)).power
    padding = ((0, -len(rows) % 4), (0, -rows.shape[1] % 8))
    padded = np.pad(rows << power, padding)
    ordered = padded.reshape(len(padded), -1, 4)[:, :, _ORDER].reshape(len(padded), -1)
    both = ordered[0::2] + 256 * ordered[1::2]
    words = pair_words(both[:, 0::2], both[:, 1::2])
    body = np.stack([words[0::2], words[1::2]], axis=2).reshape(len(padded) // 4, -1)
    if layer.epilogue == "raw":
        zero = layer.geometry["x_zero"]
        bias, tail = layer.constants["bias"].astype(np.int64) - zero * rows.sum(1), []
        numbers = MappingProxyType({"clip": _RAW})
    else:
        scaling = fold_scaling(layer, rows.sum(1))
        bias, numbers = scaling.bias, MappingProxyType(dict(scaling.numbers))
        tail = [to_words(np.pad(scaling.multiplier, padding[0])).reshape(-1, 4)]
    bias = np.pad(bias, padding[0])
    bias[1::2] = bias[0::2] + 256 * bias[1::2]
    stream = np.concatenate([to_words(bias).reshape(-1, 4), body, *tail], axis=1).reshape(-1)
    comment = "four channels: biases, weights two to a halfword, multipliers"
    return Arrangement((Table("weights", stream, comment),), numbers)


def _refuse_odd(layer: LayerSpec, reach: Int64s) -> str:
    scaling = fold_scaling(layer, np.zeros(len(reach), np.int64))
    numbers, reach = scaling.numbers, reach << scaling.power
    if numbers["shift"] + 8 > 31:
        return "the shift leaves no room for two channels in a lane"
    if reach[1::2].max(initial=0) >= 2**23:
        return "accumulators of an odd channel leave 24 bits"
    multiplier = np.abs(layer.constants["multiplier"].astype(np.int64))
    odd = zip(reach[1::2], multiplier[1::2], strict=True)
    high = max(((int(r) * 256 * int(m) >> 32) + 1 for r, m in odd), default=0)
    if abs(numbers["addend"]) * 256 + high >= 2**31:
        return "the zero point of two channels in a lane does not fit"
    return ""
