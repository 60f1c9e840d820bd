"""Windows of 3 x 3 of single channels on Arm v7E-M: weights of two neighbouring rows in a word.

A channel in RAM, where ``columns`` are (w0, w1) and (w1, w2) of each of three columns, and ``last``
is the bias once more, or the shift where the epilogue rounds twice:

+---------+------------+--------+------+------+
| columns | multiplier | addend | bias | last |
| 6       | 1          | 1      | 1    | 1    |
+---------+------------+--------+------+------+

Four channels in flash, a byte a weight: nine words, row by row, with a tap of each; then of each
channel multiplier and bias, or multiplier, addend, bias and shift. The last four channels overlap
others where their number is no multiple of four.

+------+--------+
| taps | tail   |
| 9    | tail*4 |
+------+--------+
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from tinyq.kernels.armv7em.assembly import copy_bytes
from tinyq.kernels.base import Part
from tinyq.kernels.layer import LayerSpec
from tinyq.kernels.packing.epilogue import (
    TWICE,
    Epilogue,
    Scaling,
    fold_scaling,
    fold_scaling_twice,
    refuse_scaling,
    refuse_scaling_twice,
    sum_reach,
)
from tinyq.kernels.packing.order import taps_by_channel
from tinyq.kernels.packing.record import Record, Table
from tinyq.kernels.packing.words import Int64s, pair_words, to_words

CHANNEL = Record("columns:6", "multiplier:1", "addend:1", "bias:1", "last:1")
FOUR = Record("taps:9", "tail:tail*4")

_SOURCE = "armv7em/rowpairs.j2"
_CHANNEL_BYTES = CHANNEL.count_words() * 4
_MOST_STEP = 255  # of a load or store that moves on
# Registers of the weights of each column.
_TAPS = (("r2", "r3"), ("r4", "r5"), ("r6", "r7"))
_SUMS = (("r8", "r9"), ("r10", "r11"))
_SIDES = (("r8", "r9"), ("r12", "lr"))


@dataclass(frozen=True, slots=True)
class Constants:
    """Constants of a layer as they lie in flash.

    Attributes:
        table: The stream.
        epilogue: Integers for the text.
        power: log2 of what weights in RAM are multiplied by.
        words: Of a record: of a channel, or of four where they are packed.
        packed: Whether a weight is a byte.
    """

    table: Table
    epilogue: Epilogue
    power: int
    words: int
    packed: bool


def refuse_constants(layer: LayerSpec) -> str:
    """Why these constants do not fit, empty where they do."""
    if layer.weights is None or "bias" not in layer.constants:
        return "the constants are no constants"
    reach = sum_reach(layer, taps_by_channel(layer.weights))
    if layer.epilogue == TWICE:
        return refuse_scaling_twice(layer, reach)
    return refuse_scaling(layer, reach)


def pack_constants(layer: LayerSpec, *, packed: bool) -> Constants:
    """Constants of a layer that is not refused."""
    assert layer.weights is not None
    flat = taps_by_channel(layer.weights)
    scaling, addends, last = _fold(layer, flat)
    pack = _pack_fours if packed else _pack_channels
    table, words = pack(flat, scaling, addends, last)
    return Constants(table, scaling.epilogue, scaling.power, words, packed)


def _fold(layer: LayerSpec, flat: Int64s) -> tuple[Scaling, Int64s, Int64s]:
    """Scaling, addend of each channel, and its second bias or its shift."""
    if layer.epilogue == TWICE:
        return fold_scaling_twice(layer, flat.sum(1))
    scaling = fold_scaling(layer, flat.sum(1))
    return scaling, np.full(len(flat), scaling.epilogue.addend), scaling.bias


def _pack_channels(
    flat: Int64s, scaling: Scaling, addends: Int64s, last: Int64s
) -> tuple[Table, int]:
    taps = flat.reshape(-1, 3, 3) << scaling.power
    upper, lower = pair_words(taps[:, 0], taps[:, 1]), pair_words(taps[:, 1], taps[:, 2])
    words = CHANNEL.pack(
        {},
        columns=np.stack([upper, lower], axis=2).reshape(len(flat), 6),
        multiplier=to_words(scaling.multiplier),
        addend=to_words(addends),
        bias=to_words(scaling.bias),
        last=to_words(last),
    )
    comment = "a channel: weights of row pairs, multiplier, addend, bias, bias or shift"
    return Table("weights", words, comment, "w"), CHANNEL.count_words()


def _pack_fours(flat: Int64s, scaling: Scaling, addends: Int64s, last: Int64s) -> tuple[Table, int]:
    rest = [addends, scaling.bias, last] if scaling.epilogue.twice else [scaling.bias]
    tail = to_words(np.stack([scaling.multiplier, *rest], axis=1))
    first = np.minimum(np.arange(0, len(flat), 4), len(flat) - 4)
    fours = first[:, None] + np.arange(4)
    taps = (flat[fours] & 0xFF).transpose(0, 2, 1) << np.arange(4) * 8
    sizes = {"tail": tail.shape[1]}
    words = FOUR.pack(sizes, taps=to_words(taps.sum(2)), tail=tail[fours].reshape(len(fours), -1))
    comment = "four channels: weights as bytes, multiplier and bias of each"
    return Table("weights", words, comment, "w"), FOUR.count_words(**sizes)


def fetch_constants(constants: Constants) -> Part:
    """``(from, to[, addend])``: brings the constants of four channels to RAM."""
    if not constants.packed:
        return copy_bytes(4 * _CHANNEL_BYTES, loose=False)
    power, twice = constants.power, constants.epilogue.twice
    taps = ((0, ("r3", "r4", "r5")), (1, ("r6", "r7", "r8")))
    values = {
        "columns": [
            {
                "loads": [(f"r{3 + i}", 12 * i + 4 * j) for i in range(3)],
                "stores": [
                    (*names, c * _CHANNEL_BYTES + 8 * j, (c + 2) * _CHANNEL_BYTES + 8 * j)
                    for c, names in taps
                ],
            }
            for j in range(3)
        ],
        "power": power,
        "spilled": (2**power - 1) << 16,
        "twice": twice,
        "channels": [_locate_tail(c, 16 if twice else 8) for c in range(4)],
    }
    name = f"tq_unpack_rows_{power}{'_twice' if twice else ''}"
    return Part(_SOURCE, "unpack", name, MappingProxyType(values), shared=True)


def _locate_tail(channel: int, size: int) -> dict[str, int]:
    """Where the tail of a channel is and goes, in bytes."""
    source, to = 36 + size * channel, _CHANNEL_BYTES * channel + 24
    return {"source": source, "more": source + 8, "to": to, "then": to + 8}


def spread_rows(width: int, channels: int) -> Part:
    """``(upper, lower, to, also)``: four channels of two lines, to words (line 0, line 1).

    Words are eight bytes apart, in two places.
    """
    line = (width + 2) * 8
    values = {
        "bytes": width * 8,
        "channels": channels,
        "short": channels <= _MOST_STEP,
        "rest": [("r10", line), ("r9", 2 * line), ("r11", 3 * line)],
    }
    name = f"tq_spread_rows_{width}_{channels}"
    return Part(_SOURCE, "spread", name, MappingProxyType(values), shared=True)


def filter_rows(width: int, channels: int, rows: int, epilogue: Epilogue) -> Part:
    """``(lines, y, constants)``: four channels of one or two lines of outputs, stride 1.

    Frame: multiplier, addend, bias twice, lines, y, constants, count.
    """
    full = width - 2
    loops = full // 4 if full >= 8 else 0
    rest = full - 4 * loops
    steps = [_describe_step(index) for index in range(rest)]
    values = {
        "both": rows == 2,
        "taps": _TAPS,
        "epilogue": epilogue,
        "looped": [_describe_step(0), _describe_step(1)] if loops else [],
        "end": loops * 32,
        "steps": [
            *steps,
            _describe_step(rest, starts=False),
            _describe_step(rest + 1, starts=False, continues=False),
        ],
        "lower": width * channels,
        "channels": channels,
        "short": channels <= _MOST_STEP,
        "line": (width + 2) * 8,
    }
    return Part(_SOURCE, "rows", "_rows" if rows == 2 else "_row", MappingProxyType(values))


def _describe_step(index: int, *, starts: bool = True, continues: bool = True) -> dict[str, object]:
    """A column ends an output, continues the next and starts the one after it."""
    done, other = _SUMS[index % 2], _SUMS[1 - index % 2]
    return {"done": done, "other": other, "starts": starts, "continues": continues}


def filter_strided(width: int, in_width: int, channels: int, epilogue: Epilogue) -> Part:
    """``(lines, y, constants)``: four channels of a line of outputs, stride 2.

    The third column of a window is the first of the next and stays in registers.
    """
    loops = width // 4 if width >= 8 else 0
    values = {
        "epilogue": epilogue,
        "looped": loops > 0,
        "end": loops * 64 + 8,
        "pairs": [_SIDES, _SIDES[::-1]],
        "steps": [_SIDES[:: 1 - 2 * (index % 2)] for index in range(width - 4 * loops)],
        "channels": channels,
        "short": channels <= _MOST_STEP,
        "line": (in_width + 2) * 8,
    }
    return Part(_SOURCE, "strided", "_row", MappingProxyType(values))
