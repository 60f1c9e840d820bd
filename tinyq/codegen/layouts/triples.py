"""Three channels, then two, by sixteen int8 weights, for cores with MVE.

For each group of channels: its biases, then for each sixteen weights of the kernel's row those of
the first channel, of the second, and so on; rows are padded with zeros. A second table has the
constants of the output stage, four channels at a time: multipliers, then, where the stage rounds
twice, the shifts to the left.

    y = clip((((acc * M) >> 32) + addend) >> (n - 32), lo, hi)      VMULH, VADD, VSHR

with the addend of tinyq.codegen.layouts.scaling; rounded twice, VQRDMULH and VRSHL do what TFLite's
reference does.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from tinyq.codegen.layouts import Arrangement, Table
from tinyq.codegen.layouts.scaling import (
    Int64s,
    common_shift,
    fold_scaling,
    refuse_scaling,
    refuse_stage,
    sum_reach,
    to_words,
)

if TYPE_CHECKING:
    from tinyq.codegen.variants import Facts

BLOCK = 16
_LANES = 4
_BYTE = 127
_MOST_OFFSET = 112  # of a vector load
_MOST_SUM = 2**30


def refuse(facts: Facts) -> str:
    """Why these constants do not fit, empty where they do."""
    weights = facts.operands[-1]
    if weights is None or "bias" not in facts.tables:
        return "the constants are no constants"
    rows = weights.reshape(len(weights), -1).astype(np.int64)
    return refuse_finish(facts, rows)


def refuse_finish(facts: Facts, rows: Int64s) -> str:
    """Why the output stage does not fit, for weights with one row per channel."""
    if facts.stage == "raw":
        return ""
    reach = sum_reach(facts, rows)
    if facts.stage == "requantizetwice":
        exponent = facts.tables["exponent"]
        if facts.output.format.bits != 8 or exponent.max() > 0 or exponent.min() < -31:
            return "an exponent leaves -31 .. 0"
        return "" if reach.max() < _MOST_SUM else "accumulators are too large"
    reason = refuse_stage(facts)
    if reason or facts.output.format.bits != 8:
        return reason or "outputs are no bytes"
    room = (_BYTE // max(int(np.abs(rows).max(initial=0)), 1)).bit_length() - 1
    return refuse_scaling(facts, reach, max(room, 0)) or _refuse_addend(facts, reach)


def arrange(facts: Facts) -> Arrangement:
    """Weights and biases, then the constants of the stage."""
    weights = facts.operands[-1]
    assert weights is not None
    flat = weights.reshape(len(weights), -1).astype(np.int64)
    stage = fold_vector_stage(facts, flat.sum(1))
    lines = weights.shape[1] if weights.ndim == 4 and not _collected(weights.shape) else 1
    groups = split_channels(len(weights))
    stream = stream_groups(flat.reshape(len(flat), lines, -1) << stage.power, stage.bias, groups)
    numbers = {**stage.numbers}
    numbers |= {"triples": groups.count(3), "pairs": groups.count(2), "room": sum(groups)}
    numbers |= {"lines": lines, "blocks": -(-flat.shape[1] // lines // BLOCK)}
    return Arrangement(
        (
            Table("weights", stream, "groups of channels: biases, weights as bytes"),
            Table("scales", join_lanes(*stage.tables), "constants of the output stage"),
        ),
        MappingProxyType(numbers),
    )


def split_channels(channels: int) -> tuple[int, ...]:
    """Sizes of the groups of channels: threes, then at most two twos; one more where need be."""
    twos = {0: 0, 1: 2, 2: 1}[channels % 3]
    threes = (channels - 2 * twos) // 3
    return (3,) * threes + (2,) * twos if threes >= 0 else (2,)


@dataclass(frozen=True, slots=True, eq=False)
class Stage:
    """Constants of an output stage for accumulators of raw codes.

    Attributes:
        power: Weights, and so accumulators, are multiplied by 2^power.
        bias: To add, int64 per channel.
        tables: Multipliers; where the stage rounds twice, also the shifts to the left; nothing
            for a raw output.
        numbers: ``twice``, ``addend``, ``shift`` (n - 32), ``lo`` and ``hi`` for the kernel's text.
    """

    power: int
    bias: Int64s
    tables: tuple[npt.NDArray[np.int32], ...]
    numbers: Mapping[str, int]


def fold_vector_stage(facts: Facts, sums: Int64s) -> Stage:
    """Constants of a stage that `refuse_finish` does not refuse, for channels of these sums."""
    g = facts.geometry
    bias = facts.tables["bias"].astype(np.int64) - g.get("x_zero", 0) * sums
    if facts.stage == "raw":
        return Stage(0, bias, (), {})
    clip, multiplier = {"lo": g["lo"], "hi": g["hi"]}, facts.tables["multiplier"]
    if facts.stage == "requantizetwice":
        numbers = clip | {"twice": 1, "addend": g["zero_point"], "shift": 0}
        return Stage(0, bias, (multiplier, facts.tables["exponent"]), numbers)
    scaling = fold_scaling(facts, sums)
    shift = scaling.numbers["shift"]
    numbers = clip | {"twice": 0, "addend": _addend(facts, shift), "shift": shift}
    return Stage(scaling.power, scaling.bias, (multiplier,), numbers)


def _refuse_addend(facts: Facts, reach: Int64s) -> str:
    scaling = fold_scaling(facts, np.zeros(len(reach), np.int64))
    multiplier = np.abs(facts.tables["multiplier"].astype(np.int64))
    pairs = zip(reach << scaling.power, multiplier, strict=True)
    high = max((int(r) * int(m) >> 32) + 1 for r, m in pairs)
    if abs(_addend(facts, scaling.numbers["shift"])) + high >= 2**31:
        return "the zero point does not fit beside the product"
    return ""


def _addend(facts: Facts, shift: int) -> int:
    """Half of the last bit that is shifted out, and the zero point; ``shift`` is n - 32."""
    assert common_shift(facts) is not None
    return ((1 << shift) >> 1) + (facts.geometry["zero_point"] << shift)


def _collected(shape: tuple[int, ...]) -> bool:
    """Whether the lines of a window are put side by side, because that takes fewer blocks."""
    rows, line = shape[1], shape[2] * shape[3]
    return line <= _MOST_OFFSET and -(-rows * line // BLOCK) < rows * -(-line // BLOCK)


def stream_groups(lines: Int64s, bias: Int64s, groups: tuple[int, ...]) -> npt.NDArray[np.uint32]:
    """Groups of channels one after the other; ``lines`` has (channels, lines, codes)."""
    more = sum(groups) - len(lines)
    padded = np.pad(lines, ((0, more), (0, 0), (0, -lines.shape[2] % BLOCK)))
    blocks = padded.astype(np.int8).reshape(len(padded), -1, BLOCK)
    biases, parts, first = to_words(np.pad(bias, (0, more))), [], 0
    for size in groups:
        chosen = np.ascontiguousarray(blocks[first : first + size].swapaxes(0, 1))
        parts += [biases[first : first + size], chosen.reshape(-1).view(np.uint32)]
        first += size
    return np.concatenate(parts)


def join_lanes(*tables: npt.NDArray[np.int32]) -> npt.NDArray[np.uint32]:
    """Four channels of each table in turn."""
    padded = [np.pad(to_words(table), (0, -len(table) % _LANES)) for table in tables]
    return np.stack([words.reshape(-1, _LANES) for words in padded], axis=1).reshape(-1)
