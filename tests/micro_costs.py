"""What estimates of kernels add up, as calls of micro-kernels: a longer one and a shorter one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from tests.micro_checks import (
    Calls,
    draw_bytes,
    list_counters,
    list_dense_products,
    list_pixel_products,
    list_winograd4_products,
)
from tests.micro_kernels import MicroCall, Read, Written
from tests.micro_moves import list_sums
from tests.micro_rows import list_octets, list_wide
from tests.micro_tiles import (
    list_packed_tiles,
    list_small_tiles,
    list_turned_weights,
    list_word_products,
)
from tests.micro_weights import list_collected, list_pairs, list_wide_products
from tinyq.kernels.armv6m.conv_winograd4 import TwoChannels
from tinyq.kernels.armv6m.dense_row import HalfwordRow
from tinyq.kernels.armv6m.slices import StackSlices
from tinyq.kernels.armv6m.triples import Triples
from tinyq.kernels.armv7em import (
    columns,
    conv_columns,
    conv_packed_tiles,
    conv_winograd2,
    conv_winograd4,
    dense_sums,
    moves,
    packed_blocks,
    tfliteadd,
)
from tinyq.kernels.armv7em import wide as wide_
from tinyq.kernels.armv7em.slices import WordSlices
from tinyq.kernels.armv7m.conv_winograd4 import FourChannels
from tinyq.kernels.armv7m.dense_row import PairedRow
from tinyq.kernels.armv7m.quads import PairedQuads
from tinyq.kernels.base import Part
from tinyq.kernels.mve import depthwise_octets


@dataclass(frozen=True, slots=True)
class Cost:
    """A constant of an estimate: instructions of a longer call less those of a shorter one.

    Attributes:
        isa: Whose core counts.
        constant: What the estimate says for one of ``units``.
        calls: The shorter and the longer one.
        units: By how many the longer does more.
    """

    isa: str
    constant: float
    calls: tuple[MicroCall, MicroCall]
    units: int


def list_costs(rng: np.random.Generator) -> Iterator[tuple[str, Cost]]:
    """All constants that are counted alone."""
    for listed in (list_blocks, list_tiles, list_packed, list_others):
        yield from listed(rng)


def list_blocks(rng: np.random.Generator) -> Iterator[tuple[str, Cost]]:
    """The constants that kernels of dense layers, pixels and bits estimate by."""
    for isa, row in (("armv6m", HalfwordRow()), ("armv7m", PairedRow())):
        name = f"dense_s8_int8_{isa}-row"
        # Products first: rows of 128 and of 256; then outputs: one block and three.
        found = list_dense_products(rng, name, 4, ((128, 1), (256, 1), (128, 3)))
        calls = {key: call for key, call in found if "Requantize" in key}
        short, long, wide = calls.values()
        yield f"{isa} row product", Cost(isa, row.product_cost, (short, long), 128 * 4)
        block = 128 * 4 * row.product_cost + row.finish_cost
        yield f"{isa} row block", Cost(isa, block, (short, wide), 2)
    for isa, block_, pixels in (("armv6m", Triples(), 3), ("armv7m", PairedQuads(), 4)):
        name = f"conv2d_s8_int8_{isa}-pixels"
        found = list_pixel_products(rng, name, pixels, ((64, 2), (128, 2), (64, 6)))
        short, long, wide = (call for _, call in found)
        yield f"{isa} pixel word", Cost(isa, block_.word_cost, (short, long), 16)
        pair = 16 * block_.word_cost + block_.finish_cost
        yield f"{isa} pixel pair", Cost(isa, pair, (short, wide), 2)
        panels = []
        for words in (16, 32):
            x = draw_bytes(rng, pixels, words * 4)
            call = MicroCall(block_.gather(words), (Read(x), Written(np.zeros(0, np.uint8))))
            panels.append(call)
        cost = Cost(isa, block_.collect_cost, (panels[0], panels[1]), 16)
        yield f"{isa} pixel panel", cost
    for isa, slices in (("armv6m", StackSlices()), ("armv7em", WordSlices())):
        found = list_counters(rng, slices, 9, (4, 12))
        short, long = (call for key, call in found if "word" not in key)
        yield f"{isa} counter", Cost(isa, slices.product_cost, (short, long), 8 * 64 * 32)


def list_tiles(rng: np.random.Generator) -> Iterator[tuple[str, Cost]]:
    """Those of Winograd's kernels."""
    for isa, tiles in (("armv6m", TwoChannels()), ("armv7m", FourChannels())):
        name = f"conv2d_s8_int8_{isa}-winograd4"
        calls = _take(list_word_products(rng, name, tiles.channels, (16, 64)))
        yield f"{isa} tiles", Cost(isa, tiles.product_cost, calls, 48 * 36 * tiles.channels * 2)
    calls = _take(list_winograd4_products(rng))[1:]
    yield "tiles of 4 x 4", Cost("armv7em", conv_winograd4._PAIR_COST, calls, 5)
    # One epilogue of three for each size.
    short, long, wide = _take(list_small_tiles(rng, ((16, 2), (64, 2), (16, 6))))[::3]
    yield "tiles of 2 x 2", Cost("armv7em", conv_winograd2._PAIR_COST, (short, long), 24)
    pair = 8 * conv_winograd2._PAIR_COST + conv_winograd2._FINISH_COST
    yield "pair of tiles of 2 x 2", Cost("armv7em", pair, (short, wide), 2)


def list_packed(rng: np.random.Generator) -> Iterator[tuple[str, Cost]]:
    """Those of kernels that unpack weights."""
    short, long, wide = _take(
        list_pairs(rng, ((64, 4, 3, 127), (128, 4, 3, 127), (64, 12, 3, 127)))
    )[::5]
    place = packed_blocks._PLACE_COST + packed_blocks._ROUND_COST / 16
    yield "place of packed", Cost("armv7em", place, (short, long), 32)
    panel = 32 * place - packed_blocks._ROUND_COST + packed_blocks._FINISH_COST
    yield "panel of packed", Cost("armv7em", panel, (short, wide), 2)
    calls = _take(list_collected(rng, ((1, 8, 0), (1, 32, 0))))
    yield "word of four pixels", Cost("armv7em", packed_blocks._COLLECT_COST, calls, 24)
    short, long, wide = _take(
        list_packed_tiles(rng, ((16, 8, 2, 127), (64, 8, 2, 127), (16, 24, 2, 127)))
    )[::6]
    pair = conv_packed_tiles._PAIR_COST
    yield "place of packed tiles", Cost("armv7em", pair, (short, long), 24)
    panel = 8 * pair + conv_packed_tiles._FINISH_COST
    yield "panel of packed tiles", Cost("armv7em", panel, (short, wide), 2)
    calls = _take(list_turned_weights(rng, (8, 32)))[::2]
    yield "transformed weights", Cost("armv7em", conv_packed_tiles._TURN_COST, calls, 24)


def list_others(rng: np.random.Generator) -> Iterator[tuple[str, Cost]]:
    """Those of kernels that move, pool, filter and finish."""
    # Four epilogues for each size.
    calls = _take(list_octets(rng, ((8, (1, 3), 1), (8, (3, 3), 1), (24, (3, 3), 1))))
    short, long = calls[:8:4]
    yield "tap of octets", Cost("mve", depthwise_octets.TAP_COST, (short, long), 6)
    for place in range(4):
        known = calls[4 + place].part.values["epilogue"]
        octet = depthwise_octets.estimate_octet(9, known)
        yield f"octet {place}", Cost("mve", octet, (calls[4 + place], calls[8 + place]), 2)
    calls = _take(list_wide_products(rng, ((32, 4), (96, 4))))
    yield "input of 16 bits", Cost("armv7em", dense_sums._WORDS_COST, calls, 64)
    sums = [call for key, call in list_sums(rng) if "sums" in key]
    yield "sum of terms", Cost("armv7em", tfliteadd._COST, (sums[1], sums[3]), 35)
    lists = [call for key, call in list_sums(rng) if "list_terms" in key]
    yield "list of terms", Cost("armv7em", tfliteadd._LIST_COST / 2, (sums[0], lists[0]), 1)
    # With the low word of the multiplier, which most layers have.
    drawn = (call for _ in range(9) for _, call in list_wide(rng))
    call = next(it for it in drawn if it.part.values["low"])
    few = replace(call, arguments=(*call.arguments[:3], 5))
    yield "wide output", Cost("armv7em", wide_.FINISH_COST, (few, call), 10)
    calls = tuple(_copy(columns.copy_loose(4 * words), words) for words in (16, 256))
    yield "word of a column", Cost("armv7em", columns._WORD_COST, calls, 240)
    calls = tuple(_collect(words) for words in (12, 120))
    yield "word of wide columns", Cost("armv7em", conv_columns._WIDE_COST, calls, 108)
    yield "run", _cost_run()


def _copy(part: Part, words: int) -> MicroCall:
    x = np.zeros(words, np.uint32)
    return MicroCall(part, (Read(x), Written(x)))


def _collect(words: int) -> MicroCall:
    column, panel = np.zeros(words, np.uint32), np.zeros(words * 4, np.uint32)
    return MicroCall(columns.collect_wide(words), (*[Read(column)] * 4, Written(panel)))


def _cost_run() -> Cost:
    runs = [moves.Run(count, True) for count in (512, 2048)]
    short, long = (_copy(moves._copy(run), run.count // 4) for run in runs)
    return Cost("armv7em", runs[1].instructions - runs[0].instructions, (short, long), 1)


def _take(calls: Calls) -> tuple[MicroCall, ...]:
    return tuple(call for _, call in calls)
