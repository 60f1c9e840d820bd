"""Filters over a spectrum, and the root of what they sum up."""

from __future__ import annotations

from math import isqrt

import numpy as np

from tests.drawing.formulas import map_rows, wrap
from tests.drawing.graphs import is_codes
from tests.drawing.registry import bench_case, bench_tables, formula, step
from tests.operations.spectrum import add_energy
from tinyq.graph.ops.filter_bank import FilterBank, SquareRoot
from tinyq.graph.ops.reshape import Reshape


@step(is_codes)
def draw_step(drawing, source: str) -> str:
    """A filter bank with its roots, or the roots of the spectrum itself."""
    energy = add_energy(drawing, source)
    shape = drawing.type(energy).shape
    bits = drawing.constant("bits", np.full((*shape[:-1], 1), drawing.integer(0, 31)), "s32")
    if drawing.chance(0.5):
        words = drawing.apply(Reshape((*shape, 1)), energy)
        return drawing.apply(SquareRoot(), words, bits)
    weights, segments = drawing.integer(1, 20), draw_segments(drawing.rng, shape[-1], 20)
    segments[:, 2] = np.minimum(segments[:, 2], weights)
    segments[:, 1] = np.minimum(segments[:, 1], weights - segments[:, 2])
    names = [
        drawing.constant(name, drawing.rng.integers(0, 2**15, weights), "s16")
        for name in ("falling", "rising")
    ]
    sums = drawing.apply(
        FilterBank(), energy, *names, drawing.constant("segments", segments, "s16")
    )
    return drawing.apply(SquareRoot(), sums, bits)


def draw_segments(rng, bins: int, weights: int):
    """First bin, first weight and number of both, within a spectrum."""
    count = rng.integers(0, min(bins, weights) + 1, int(rng.integers(2, 7)))
    first, place = (rng.integers(0, most + 1 - count) for most in (bins, weights))
    return np.stack([first, place, count], axis=1).astype(np.int32)


@bench_case("filterbank")
def draw_case(draw, kernel):
    weights = draw.integer(1, 30)
    shapes = (draw.size(2), draw.channels()), (weights,), (weights,), (draw.integer(2, 6), 3)
    return FilterBank(), list(zip(shapes, ("s32", "s16", "s16", "s16"), strict=True))


@bench_tables("filterbank")
def make_tables(draw, op, codes):
    codes[0] = draw_words(draw, codes[0].shape)
    codes[1], codes[2] = np.abs(codes[1]) & 32767, np.abs(codes[2]) & 32767
    segments = draw_segments(draw.rng, codes[0].shape[-1], len(codes[1]))
    codes[3] = np.resize(segments, codes[3].shape)


def draw_words(draw, shape):
    """Any 32 bits, small numbers as often as large ones."""
    rng = draw.rng
    words = rng.integers(0, 2**32, shape, np.uint64) >> rng.integers(0, 33, shape).astype(np.uint64)
    words = np.where(rng.random(shape) < 0.1, rng.choice([0, 1, 2, 2**31, 2**32 - 1], shape), words)
    return words.astype(np.uint32).view(np.int32)


@bench_case("squareroot")
def draw_root(draw, kernel):
    rows = draw.size(3)
    shape = (rows, draw.channels(), draw.integer(1, 2))
    return SquareRoot(), [(shape, "s32"), ((rows, 1), "s32")]


@bench_tables("squareroot")
def make_numbers(draw, op, codes):
    """Numbers of all sizes, squares and their neighbours among them."""
    codes[0], codes[1] = draw_words(draw, codes[0].shape), codes[1] % 32
    for place in np.argwhere(draw.rng.random(codes[0].shape[:-1]) < 0.5):
        words = codes[0].shape[-1]
        root = int(draw.rng.integers(1, 2 ** (16 * words))) >> draw.integer(0, 15)
        number = root * root + int(draw.rng.choice([-1, 0, 1, root, root + 1])) * bool(root)
        parts = [wrap(number >> 32 * word) for word in range(words)]
        codes[0][tuple(place)] = parts


@formula("FilterBank")
def compute(op, x, falling, rising, segments):
    def row(codes):
        def add(weights, segment):
            first, place, count = segment
            return sum(codes[first + i] % 2**32 * weights[place + i] for i in range(count))

        flanks = zip(segments[1:], segments[:-1], strict=True)
        sums = [add(falling, now) + add(rising, before) for now, before in flanks]
        return [[wrap(total), wrap(total >> 32)] for total in sums]

    return map_rows(row, x)


@formula("SquareRoot")
def compute_root(op, x, bits):
    def root(words, by):
        number = sum(word % 2**32 << 32 * place for place, word in enumerate(words))
        found = isqrt(number)
        most = 2**16 - 1 if number < 2**32 else 2**32 - 1
        up = number - found**2 > found and found != most
        return wrap((found + up) >> by)

    def nest(numbers, by):
        if isinstance(numbers[0][0], list):
            return [nest(*parts) for parts in zip(numbers, by, strict=True)]
        return [root(words, by[0]) for words in numbers]

    return nest(x, bits)
