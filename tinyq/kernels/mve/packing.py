"""Weights and epilogues as vectors of MVE read them.

A group of channels shares each load of sixteen codes; rows are padded with zeros:

    +----------+-------------------+
    | bias     | weights           |
    | channels | blocks*channels*4 |
    +----------+-------------------+

The constants of the epilogue lie beside it, four channels at a time; the exponents only where it
rounds twice:

    +------------+----------+
    | multiplier | exponent |
    | 4          | twice*4  |
    +------------+----------+

    y = clip((((acc * M) >> 32) + addend) >> (n - 32), lo, hi)      VMULH, VADD, VSHR

with the addend of `tinyq.kernels.packing.epilogue`; rounded twice, VQRDMULH and VRSHL do what
TFLite's reference does.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tinyq.kernels.layer import LayerSpec
from tinyq.kernels.packing.epilogue import (
    RAW,
    TWICE,
    common_shift,
    fold_scaling,
    multiply_high,
    refuse_addend,
    refuse_epilogue,
    refuse_scaling,
    remove_zero,
    sum_reach,
)
from tinyq.kernels.packing.record import Record, Table
from tinyq.kernels.packing.words import Int64s, Words, byte_words, to_words

BLOCK = 16  # codes of a vector
LANES = 4  # words of a vector
GROUP = Record("bias:channels", "weights:blocks*channels*4")
SCALES = Record("multiplier:4", "exponent:twice*4")
_BYTE = 127
_MOST_SUM = 2**30


@dataclass(frozen=True, slots=True)
class VectorEpilogue:
    """Integers of an epilogue, for a kernel's text.

    Attributes:
        lo: Lowest code.
        hi: Highest code.
        twice: Whether it rounds twice, as TFLite does.
        addend: To the high word of the product; where it rounds twice, the zero point.
        shift: n - 32.
    """

    lo: int
    hi: int
    twice: bool
    addend: int
    shift: int = 0

    @property
    def whole(self) -> bool:
        """Whether all bytes are codes."""
        return (self.lo, self.hi) == (-128, 127)


@dataclass(frozen=True, slots=True, eq=False)
class VectorFold:
    """An epilogue folded for accumulators of raw codes.

    Attributes:
        power: Weights, and so accumulators, are multiplied by 2^power.
        bias: To add, int64 per channel.
        tables: Multipliers; where the epilogue rounds twice, also the shifts to the left.
        epilogue: Integers for the text; None for a raw output.
    """

    power: int
    bias: Int64s
    tables: tuple[npt.NDArray[np.int32], ...] = ()
    epilogue: VectorEpilogue | None = None


def refuse_weights(layer: LayerSpec) -> str:
    """Why the constants cannot be packed, empty where they can."""
    known = layer.weights is not None and "bias" in layer.constants
    return "" if known else "the constants are no constants"


def refuse_finish(layer: LayerSpec, rows: Int64s) -> str:
    """Why the epilogue does not fit, for weights with one row per channel."""
    reach = sum_reach(layer, rows)
    if layer.epilogue == TWICE:
        exponent = layer.constants["exponent"]
        if layer.output.format.bits != 8 or exponent.max() > 0 or exponent.min() < -31:
            return "an exponent leaves -31 .. 0"
        return "" if reach.max() < _MOST_SUM else "accumulators are too large"
    reason = refuse_epilogue(layer)
    if reason or layer.output.format.bits != 8:
        return reason or "outputs are no bytes"
    room = (_BYTE // max(int(np.abs(rows).max(initial=0)), 1)).bit_length() - 1
    return refuse_scaling(layer, reach, max(room, 0)) or _refuse_addend(layer, reach)


def fold_vectors(layer: LayerSpec, sums: Int64s) -> VectorFold:
    """Constants of an epilogue that `refuse_finish` does not refuse, or of raw sums.

    Args:
        layer: The layer.
        sums: Sum of the weights of each channel.
    """
    bias = remove_zero(layer, sums)
    if layer.epilogue == RAW:
        return VectorFold(0, bias)
    lo, hi, zero = (layer.geometry[key] for key in ("lo", "hi", "zero_point"))
    multiplier = layer.constants["multiplier"]
    if layer.epilogue == TWICE:
        tables = multiplier, layer.constants["exponent"]
        return VectorFold(0, bias, tables, VectorEpilogue(lo, hi, True, zero))
    scaling = fold_scaling(layer, sums)
    shift = scaling.epilogue.shift
    epilogue = VectorEpilogue(lo, hi, False, _addend(layer, shift), shift)
    return VectorFold(scaling.power, scaling.bias, (multiplier,), epilogue)


def pack_groups(lines: Int64s, bias: Int64s, groups: tuple[int, ...]) -> Words:
    """Groups of channels one after the other; ``lines`` has (channels, lines, codes)."""
    more = sum(groups) - len(lines)
    padded = np.pad(lines, ((0, more), (0, 0), (0, -lines.shape[2] % BLOCK)))
    blocks = byte_words(padded.reshape(len(padded), -1, BLOCK))
    biases, parts, first = to_words(np.pad(bias, (0, more))), [], 0
    for size in groups:
        last = first + size
        weights = np.ascontiguousarray(blocks[first:last].swapaxes(0, 1))
        sizes = {"channels": size, "blocks": blocks.shape[1]}
        parts.append(GROUP.pack(sizes, bias=biases[first:last], weights=weights))
        first = last
    return np.concatenate(parts)


def pack_scales(fold: VectorFold) -> Table:
    """The constants of the epilogue, four channels of each in turn."""
    padded = [np.pad(to_words(table), (0, -len(table) % LANES)) for table in fold.tables]
    twice = len(padded) - 1
    exponent = padded[1] if twice else np.zeros(0, np.uint32)
    words = SCALES.pack({"twice": twice}, multiplier=padded[0], exponent=exponent)
    return Table("scales", words, "constants of the epilogue")


def _refuse_addend(layer: LayerSpec, reach: Int64s) -> str:
    scaling = fold_scaling(layer, np.zeros(len(reach), np.int64))
    high = multiply_high(layer, [int(r) << scaling.power for r in reach], 1)
    return refuse_addend(_addend(layer, scaling.epilogue.shift), high)


def _addend(layer: LayerSpec, shift: int) -> int:
    """Half of the last bit that is shifted out, and the zero point; ``shift`` is n - 32."""
    assert common_shift(layer) is not None
    return ((1 << shift) >> 1) + (layer.geometry["zero_point"] << shift)
