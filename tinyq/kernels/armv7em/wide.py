"""Epilogues with a mantissa of 63 bits on Arm v7E-M, where sums and biases stay within int32.

    y = clip(zero + floor((a * (M * 2^32 + L) + 2^(s + 31)) / 2^(s + 32)))
    t = (a * M + floor(a * L / 2^32)) >> 32
    y = clip((t + addend) >> (s - 32)),   addend = 2^(s - 33) + zero * 2^(s - 32)

because nested floors compose. It needs s of at least 33. A record of a channel:

+------+------------+-----+--------+-------+
| bias | multiplier | low | addend | shift |
| 1    | 1          | 1   | 1      | 1     |
+------+------------+-----+--------+-------+
"""

from __future__ import annotations

from types import MappingProxyType

import numpy as np

from tinyq.kernels.base import Part
from tinyq.kernels.layer import LayerSpec
from tinyq.kernels.packing.epilogue import Clip, Epilogue, describe_clip
from tinyq.kernels.packing.record import Record, Table
from tinyq.kernels.packing.words import Int64s, to_words

WIDE = "requantizewide"
FINISH_COST = 16  # instructions of an output
CHANNEL = Record("bias:1", "multiplier:1", "low:1", "addend:1", "shift:1")
_LEAST_SHIFT, _MOST_SHIFT = 33, 62
_SOURCE = "armv7em/wide.j2"


def refuse_wide(layer: LayerSpec, reach: Int64s) -> str:
    """Why sums of at most ``reach``, without their bias, cannot be finished so; empty if they can.

    Args:
        layer: The layer.
        reach: Largest |sum| of each channel.
    """
    if layer.epilogue != WIDE:
        return f"the epilogue is {layer.epilogue or 'missing'}"
    if layer.output.format.bits not in (8, 16) or "bias" not in layer.constants:
        return "the constants are no constants"
    if layer.output.format.bits == 16 and _describe(layer)[0].clip == Clip.RANGE:
        return "the range of the outputs is no power of two"
    total = reach + np.abs(_join_bias(layer))
    shift = layer.constants["shift"].astype(np.int64)
    if int(total.max()) >= 2**31:
        return "sums leave int32"
    if shift.min() < _LEAST_SHIFT or shift.max() > _MOST_SHIFT:
        return f"a shift leaves {_LEAST_SHIFT} .. {_MOST_SHIFT}"
    multiplier = layer.constants["multiplier"].astype(np.int64)
    pairs = zip(total, multiplier, _describe(layer)[1], strict=True)
    if any((int(r) * (int(m) + 1) >> 32) + 2 + abs(int(a)) >= 2**31 for r, m, a in pairs):
        return "the zero point does not fit beside the product"
    return ""


def pack_wide(layer: LayerSpec) -> Table:
    """Records of all channels."""
    shift = layer.constants["shift"].astype(np.int64)
    words = CHANNEL.pack(
        {},
        bias=to_words(_join_bias(layer)),
        multiplier=to_words(layer.constants["multiplier"]),
        low=to_words(layer.constants["multiplier_low"]),
        addend=to_words(_describe(layer)[1]),
        shift=to_words(shift - 32),
    )
    return Table("scaling", words, "a channel: bias, multiplier, its low word, addend, shift")


def finish_wide(layer: LayerSpec, sums: int, outputs: int, *, same: bool) -> Part:
    """``(sums, scaling, y, count)``: codes of sums.

    Args:
        layer: A layer that is not refused.
        sums: Bytes from sum to sum.
        outputs: Bytes from code to code.
        same: Whether all are of one channel; of the channels one after the other if not.
    """
    values = {
        "sums": sums,
        "outputs": outputs,
        "same": same,
        "low": bool(layer.constants["multiplier_low"].any()),
        "epilogue": _describe(layer)[0],
        "store": "strh" if layer.output.format.bits == 16 else "strb",
    }
    return Part(_SOURCE, "finish", "_finish", MappingProxyType(values))


def _join_bias(layer: LayerSpec) -> Int64s:
    low, high = (layer.constants[key].astype(np.int64) for key in ("bias", "bias_high"))
    joined: Int64s = low + (high << 32)
    return joined


def _describe(layer: LayerSpec) -> tuple[Epilogue, Int64s]:
    """The clip range, and the addend of each channel."""
    epilogue, zero = describe_clip(layer)
    shift = layer.constants["shift"].astype(np.int64) - 32
    addend: Int64s = (np.int64(1) << (shift - 1)) + zero * (np.int64(1) << shift)
    return epilogue, addend
