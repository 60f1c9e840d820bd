"""Micro-kernels one by one on the emulated core: random panels against a few lines of NumPy.

Their instructions are counted, and what kernels estimate by is held against the counts.
"""

from __future__ import annotations

import dataclasses
import itertools
from types import ModuleType

import numpy as np
import pytest

from tests import micro_checks, micro_gates, micro_moves, micro_rows, micro_tiles, micro_weights
from tests.cores import CORES
from tests.micro_checks import Calls, Check, draw_bytes
from tests.micro_costs import list_costs
from tests.micro_kernels import End, MicroCall, Read, Written, run_calls
from tinyq.kernels.armv6m import assembly as v6m
from tinyq.kernels.armv7em import assembly as v7em
from tinyq.kernels.armv7em.dense_lanes import widen_inputs
from tinyq.kernels.armv7em.quads import PIXELS, Quads, QuadSums
from tinyq.kernels.armv7m.quads import PairedQuads
from tinyq.kernels.common.blocks import Outputs, Stream
from tinyq.kernels.common.memory import fill_words
from tinyq.kernels.mve import vectors
from tinyq.kernels.mve.dense_rows import VECTOR_COST, sum_row
from tinyq.kernels.mve.packing import VectorEpilogue, VectorFold, pack_groups, pack_scales
from tinyq.kernels.packing.epilogue import Clip, Epilogue
from tinyq.kernels.packing.record import Table

WORDS = (2, 4, 9, 32, 64)  # of a panel whose products are counted
NO_TABLE = Table("weights", np.zeros(0, np.uint32), "")


def scale(acc: np.ndarray, multiplier: np.ndarray, epilogue: Epilogue) -> np.ndarray:
    """y = clip(((acc * M + 2^32 * addend) >> 32) >> shift)."""
    high = (acc.astype(np.int64) * multiplier + (np.int64(epilogue.addend) << 32)) >> 32
    return np.clip(high >> epilogue.shift, epilogue.lo, epilogue.hi).astype(np.int8)


def list_copies(rng: np.random.Generator, assembly: ModuleType = v7em) -> Calls:
    for count in (1, 4, 31, 32, 33, 100):
        x = draw_bytes(rng, count)
        for loose in (False, True):
            part = assembly.copy_bytes(count, loose=loose)
            yield part.name, MicroCall(part, (Read(x), Written(x)))
    for words in (1, 2, 13):
        packed = rng.integers(0, 2**32, words, dtype=np.uint32)
        low, high = packed & 0x0F0F0F0F, packed >> 4 & 0x0F0F0F0F
        part = assembly.spread_nibbles(words)
        to = Written(np.stack([low, high], axis=1))
        yield part.name, MicroCall(part, (Read(packed), to))
    value = 0x80818283
    filled = np.full(7, value, np.uint32)
    yield "tq_fill", MicroCall(fill_words(), (Written(filled), 7, value))


def widen_words(x: np.ndarray) -> np.ndarray:
    """Panel of int16 codes of pixels (pixels, words, 4): bytes 0 and 2, then 1 and 3 of a word."""
    pixels, words, _ = x.shape
    halves = x.reshape(pixels, words, 2, 2).transpose(1, 3, 0, 2)
    return np.ascontiguousarray(halves).astype(np.int16)


def list_small_copies(rng: np.random.Generator) -> Calls:
    return list_copies(rng, v6m)


def list_paired_panels(rng: np.random.Generator) -> Calls:
    """Words u + 2^24 * x of two pixels, u counted from -128; places 0, 3, 1, 2 of a word."""
    for words in (1, 3, 8, 9):
        x = draw_bytes(rng, 4, words, 4)
        ordered = x[:, :, [0, 3, 1, 2]].astype(np.int64).reshape(2, 2, words * 4)
        panel = (ordered[:, 0] + 128 + (ordered[:, 1] << 24)).T
        part = PairedQuads().gather(words)
        to = Written(np.ascontiguousarray(panel).astype(np.uint64).astype(np.uint32))
        yield part.name, MicroCall(part, (Read(x), to))


def list_panels(rng: np.random.Generator) -> Calls:
    for words in (1, 3, 4, 8, 9, 16):
        x = draw_bytes(rng, PIXELS, words, 4)
        part = Quads().gather(words)
        yield part.name, MicroCall(part, (Read(x), Written(widen_words(x))))
    for lines, words, row in ((1, 1, 4), (3, 3, 12), (3, 6, 40), (2, 7, 36), (4, 12, 64)):
        windows = draw_bytes(rng, PIXELS, lines, row)
        taps = windows[:, :, : words * 4].reshape(PIXELS, lines * words, 4)
        part = Quads().collect(lines, words, row)
        arguments = (*(Read(window) for window in windows), Written(widen_words(taps)))
        yield part.name, MicroCall(part, arguments)
    for count in (1, 3, 4, 8, 31, 40):
        x = draw_bytes(rng, count)
        padded = np.pad(x, (0, -count % 8)).reshape(-1, 4)[:, [0, 2, 1, 3]]
        part = widen_inputs(count)
        yield part.name, MicroCall(part, (Read(x), Written(padded.astype(np.int16))))


def draw_stream(
    rng: np.random.Generator, words: int, channels: int, tail: np.ndarray
) -> tuple[Read, Read, np.ndarray]:
    """Weights of pairs of channels with a tail of each, a panel, and the sums (channels, 4)."""
    pairs = words * 2
    bias = rng.integers(-(2**20), 2**20, channels).astype(np.int32)
    weights = draw_bytes(rng, channels, pairs, 2).astype(np.int16)
    panel = draw_bytes(rng, pairs, PIXELS, 2).astype(np.int16)
    acc = np.einsum("cqj,qpj->cp", weights.astype(np.int64), panel) + bias[:, None]
    stream = []
    for first in range(0, channels, 2):
        both = slice(first, first + 2)
        interleaved = np.ascontiguousarray(weights[both].swapaxes(0, 1))
        stream += [bias[both].tobytes(), interleaved.tobytes(), tail[both].tobytes()]
    return Read(np.frombuffer(b"".join(stream), np.uint32)), Read(panel), acc


def list_products(rng: np.random.Generator) -> Calls:
    nothing = Stream(NO_TABLE, 0, Epilogue())
    for words, channels in ((1, 2), (2, 4), (8, 2), (9, 2), (24, 6)):
        w, panel, acc = draw_stream(rng, words, channels, np.zeros((channels, 0), np.int32))
        part = QuadSums().product(nothing, words, Outputs(0, False, False))
        to = Written(acc.astype(np.int32))
        yield part.name, MicroCall(part, (w, panel, to, End(0)))
    for clip, lo, hi in ((Clip.SIGNED, -128, 127), (Clip.SIGNED, -8, 7), (Clip.RANGE, -100, 90)):
        for words, channels in ((4, 2), (8, 4)):
            epilogue = draw_epilogue(rng, clip, lo, hi)
            yield list_codes(rng, words, channels, epilogue)


def draw_epilogue(rng: np.random.Generator, clip: Clip, lo: int, hi: int) -> Epilogue:
    """Any zero point; a range that no saturation gives is counted from its lower end."""
    zero, shift = int(rng.integers(lo, hi + 1)), 6
    addend = (1 << (shift - 1)) + ((zero - lo if clip == Clip.RANGE else zero) << shift)
    return Epilogue(clip, shift, addend, (hi - lo).bit_length(), lo, hi)


def list_codes(
    rng: np.random.Generator, words: int, channels: int, epilogue: Epilogue
) -> tuple[str, MicroCall]:
    """Codes of four pixels."""
    multiplier = rng.integers(2**27, 2**28, (channels, 1)).astype(np.int32)
    w, panel, acc = draw_stream(rng, words, channels, multiplier)
    from_low = epilogue.lo << epilogue.shift if epilogue.clip == Clip.RANGE else 0
    meant = dataclasses.replace(epilogue, addend=epilogue.addend + from_low)
    codes = np.ascontiguousarray(scale(acc, multiplier, meant).T)
    part = Quads().product(Stream(NO_TABLE, 0, epilogue), words, Outputs(channels, False, False))
    return f"product {words} {channels} {epilogue.clip.name}", MicroCall(
        part, (w, panel, Written(codes), End(0))
    )


def list_vectors(rng: np.random.Generator) -> Calls:
    for count in (1, 15, 16, 50):
        x = draw_bytes(rng, count)
        yield f"copy {count}", MicroCall(vectors.copy_bytes(), (Read(x), Written(x), count))
        filled = Written(np.full(count, -3, np.int8))
        yield f"fill {count}", MicroCall(vectors.fill_bytes(), (filled, -3, count))
    for blocks, sixes, rest in ((1, 1, 0), (2, 2, 3), (3, 0, 5), (1, 0, 1)):
        channels = sixes * 6 + rest
        weights = draw_bytes(rng, channels, 1, blocks * 16)
        bias = rng.integers(-(2**20), 2**20, channels)
        x = draw_bytes(rng, blocks * 16)
        groups = (6,) * sixes + ((rest,) if rest else ())
        stream = pack_groups(weights.astype(np.int64), bias, groups)
        acc = weights[:, 0].astype(np.int32) @ x.astype(np.int32) + bias
        part = sum_row(sixes, rest, blocks)
        call = MicroCall(part, (Read(stream), Read(x), Written(acc.astype(np.int32))))
        yield f"sum row {blocks} {sixes} {rest}", call
    for rows, blocks, groups in ((1, 1, (3,)), (3, 2, (3, 3, 2)), (2, 3, (2, 2))):
        yield list_two_pixels(rng, rows, blocks, groups)
    for channels, limits in ((1, (-128, 127)), (8, (-20, 100)), (13, (-128, 127))):
        yield list_finish(rng, channels, limits)


def list_two_pixels(
    rng: np.random.Generator, rows: int, blocks: int, groups: tuple[int, ...]
) -> tuple[str, MicroCall]:
    """Sums of two pixels, one vector apart."""
    channels, length, pixel = sum(groups), blocks * 16, 16
    line = length + pixel
    weights = draw_bytes(rng, channels, rows, length)
    bias = rng.integers(-(2**20), 2**20, channels)
    x = draw_bytes(rng, rows, line)
    both = [x[:, start : start + length].astype(np.int32) for start in (0, pixel)]
    acc = np.stack([np.einsum("crk,rk->c", weights.astype(np.int32), one) + bias for one in both])
    part = vectors.sum_two_pixels(groups, rows, blocks, line, pixel)
    stream = pack_groups(weights.astype(np.int64), bias, groups)
    call = MicroCall(part, (Read(stream), Read(x), Written(acc.astype(np.int32))))
    return f"two pixels {rows} {blocks} {groups}", call


def list_finish(
    rng: np.random.Generator, channels: int, limits: tuple[int, int]
) -> tuple[str, MicroCall]:
    """Codes of sums, rounded once."""
    shift, zero = 5, int(rng.integers(*limits))
    entry = VectorEpilogue(*limits, False, (1 << (shift - 1)) + (zero << shift), shift)
    multiplier = rng.integers(2**28, 2**29, channels).astype(np.int32)
    acc = rng.integers(-(2**16), 2**16, channels).astype(np.int32)
    table = pack_scales(VectorFold(0, np.zeros(channels, np.int64), (multiplier,), entry))
    sums = Read(np.pad(acc, (0, -channels % 4)))
    epilogue = Epilogue(Clip.RANGE, shift, entry.addend, 8, *limits)
    codes = Written(scale(acc, multiplier, epilogue))
    part = vectors.finish_sums(entry, channels)
    return f"finish {channels}", MicroCall(part, (sums, Read(table.words), codes))


_OWN: dict[str, tuple[Check, ...]] = {
    "armv6m": (list_small_copies,),
    "armv7m": (list_copies, list_paired_panels),
    "armv7em": (list_copies, list_panels, list_products),
    "mve": (list_vectors,),
}
_MORE = (micro_checks, micro_gates, micro_moves, micro_rows, micro_tiles, micro_weights)
CHECKS: dict[str, tuple[Check, ...]] = {
    isa: (*own, *(check for module in _MORE for check in module.CHECKS.get(isa, ())))
    for isa, own in _OWN.items()
}


@pytest.mark.parametrize("isa", CHECKS)
def test_a_micro_kernel_computes_what_numpy_does(isa, seed, tmp_path):
    rng = np.random.default_rng((seed, 3))
    named = [found for check in CHECKS[isa] for found in check(rng)]
    outcomes = run_calls([call for _, call in named], CORES[isa], tmp_path / "out")
    wrong = [
        name
        for (name, call), outcome in zip(named, outcomes, strict=True)
        if outcome.written != call.expected
    ]
    assert not wrong


def list_pairs(rng: np.random.Generator, kind: type[Quads], epilogue: Epilogue) -> list[MicroCall]:
    """Products of each of `WORDS` by two channels, then by four."""
    calls = []
    for words, channels in itertools.product(WORDS, (2, 4)):
        if kind is Quads:
            calls.append(list_codes(rng, words, channels, epilogue)[1])
            continue
        w, panel, acc = draw_stream(rng, words, channels, np.zeros((channels, 0), np.int32))
        part = kind().product(Stream(NO_TABLE, 0, epilogue), words, Outputs(0, False, False))
        calls.append(MicroCall(part, (w, panel, Written(acc.astype(np.int32)), End(0))))
    return calls


@pytest.mark.parametrize("kind", [Quads, QuadSums])
def test_what_kernels_estimate_by_is_what_is_counted(kind, seed, tmp_path):
    """Instructions of two channels more, which is what estimates add up, and of the panel's words.

    What outputs cost is a mean: some ranges take two instructions of an output, others five.
    """
    rng = np.random.default_rng((seed, 4))
    ranges = (Clip.SIGNED, -128, 127), (Clip.RANGE, -100, 90)
    calls = [
        call for limits in ranges for call in list_pairs(rng, kind, draw_epilogue(rng, *limits))
    ]
    for words in WORDS:
        x = draw_bytes(rng, PIXELS, words, 4)
        calls.append(MicroCall(kind().gather(words), (Read(x), Written(widen_words(x)))))
    outcomes = run_calls(calls, CORES["armv7em"], tmp_path / "out")
    assert [it.written for it in outcomes] == [call.expected for call in calls]
    counts = [it.instructions for it in outcomes]
    panels = counts[-len(WORDS) :]
    pairs = np.reshape(np.subtract(counts[1 : -len(WORDS) : 2], counts[: -len(WORDS) : 2]), (2, -1))
    estimates = np.multiply(WORDS, kind.word_cost) + kind.finish_cost
    assert pairs == pytest.approx(np.stack([estimates, estimates]), rel=0.25)
    few, many = WORDS[-2:]
    words = (pairs[:, -1] - pairs[:, -2]) / (many - few)
    assert words == pytest.approx(kind.word_cost, rel=0.01)
    assert kind.collect_cost == pytest.approx((panels[-1] - panels[-2]) / (many - few), rel=0.05)


def test_sextets_of_mve_estimate_by_what_is_counted(seed, tmp_path):
    """14 instructions of a vector by six channels."""
    rng = np.random.default_rng((seed, 5))
    calls = []
    for blocks in (4, 12):
        weights, x = draw_bytes(rng, 6, 1, blocks * 16), draw_bytes(rng, blocks * 16)
        stream = pack_groups(weights.astype(np.int64), np.zeros(6, np.int64), (6,))
        acc = weights[:, 0].astype(np.int32) @ x.astype(np.int32)
        part = sum_row(1, 0, blocks)
        calls.append(MicroCall(part, (Read(stream), Read(x), Written(acc.astype(np.int32)))))
    short, long = (it.instructions for it in run_calls(calls, CORES["mve"], tmp_path / "out"))
    assert pytest.approx((long - short) / 8, rel=0.01) == VECTOR_COST


@pytest.fixture(scope="module")
def every_cost(seed):
    return list(list_costs(np.random.default_rng((seed, 6))))


@pytest.mark.parametrize("isa", CHECKS)
def test_costs_are_counted(isa, every_cost, tmp_path):
    """What the estimates of kernels add up, within 5 % of what the core counts."""
    costs = [(name, cost) for name, cost in every_cost if cost.isa == isa]
    calls = [call for _, cost in costs for call in cost.calls]
    counts = [it.instructions for it in run_calls(calls, CORES[isa], tmp_path / "out")]
    found = {
        name: ((counts[2 * index + 1] - counts[2 * index]) / cost.units, cost.constant)
        for index, (name, cost) in enumerate(costs)
    }
    wrong = {it: pair for it, pair in found.items() if pair[1] != pytest.approx(pair[0], rel=0.05)}
    assert not wrong, "counted, estimated"


def test_a_wrong_answer_is_seen(tmp_path):
    x = np.arange(8, dtype=np.int8)
    call = MicroCall(v7em.copy_bytes(8, loose=False), (Read(x), Written(x + 1)))
    (outcome,) = run_calls([call], CORES["armv7em"], tmp_path / "out")
    assert outcome.written == x.tobytes()
