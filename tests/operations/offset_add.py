"""Sum of two tensors with scales of its own for each channel, in 64 bits, rounded once."""

from __future__ import annotations

from fractions import Fraction
from math import floor

import numpy as np

from tests.drawing.bench import draw_rows
from tests.drawing.formulas import clip, map_rows
from tests.drawing.graphs import draw_code, is_codes
from tests.drawing.partners import draw_partner
from tests.drawing.registry import bench_case, bench_tables, formula, step
from tinyq.graph.ops.offset_add import OffsetAdd
from tinyq.numerics.offsets import split_words


def draw_table(rng: np.random.Generator, channels: int, bits: int) -> np.ndarray:
    """Constants for operands of up to ``bits`` bits; every third sum is full of halves."""
    shift = np.full(channels, int(rng.integers(20, 30)) + bits)
    factors = [rng.integers(-(2**28), 2**28, channels) for _ in range(2)]
    whole = rng.random(channels) < 0.3
    factors = [np.where(whole, 2**20, factor) for factor in factors]
    shift = np.where(whole, 21, shift)
    offset = rng.integers(-(2**10), 2**10, channels) << (shift - 4)
    high, low = split_words(np.where(whole, (offset >> 21 << 21) + 2**20, offset))
    return np.stack([*factors, high, low, shift, rng.integers(0, 3, channels)])


@step(is_codes)
def draw_step(drawing, source: str) -> str:
    other = draw_partner(drawing, source)
    table = draw_table(drawing.rng, drawing.type(source).shape[-1], 8)
    name = drawing.constant("constants", table, "s32")
    operation = OffsetAdd(0.5, draw_code(drawing), -128, int(drawing.choose((127, 60))))
    return drawing.apply(operation, source, other, name)


@bench_case("offsetadd")
def draw_case(draw, kernel):
    shape = draw_rows(draw)
    op = OffsetAdd(0.5, draw.zero_point("s8"), -128, 127)
    return op, [*((shape, name) for name in kernel.formats), ((6, shape[-1]), "s32")]


@bench_tables("offsetadd")
def fill_tables(draw, op, codes):
    bits = 20 if any(np.abs(operand).max(initial=0) > 128 for operand in codes[:2]) else 8
    codes[2] = draw_table(draw.rng, codes[0].shape[-1], bits).astype(np.int32)


@formula("OffsetAdd")
def compute(op, x, y, constants):
    def row(first, second):
        found = []
        for a, b, p, q, high, low, shift, even in zip(first, second, *constants, strict=True):
            real = Fraction(a * p + b * q + high * 2**32 + low % 2**32, 2**shift)
            code = floor(real)
            below = even and real == code and (code + even) % 2 == 0
            found.append(clip(code - below, op.lo, op.hi))
        return found

    return map_rows(row, x, y)
