"""Arithmetic of plain int32 numbers, as imported files have it around their features."""

from __future__ import annotations

import numpy as np

from tests.drawing.bench import draw_rows
from tests.drawing.formulas import pairs, rows, truncate, wrap
from tests.drawing.graphs import is_codes
from tests.drawing.registry import bench_case, bench_tables, formula, step
from tests.operations.filter_bank import draw_words
from tests.operations.tflite_wide_softmax import add_wide
from tinyq.graph.ops.integers import IntegerAdd, IntegerDivide, IntegerMultiply, Narrow, Widen

PAIRS = (IntegerAdd, IntegerMultiply, IntegerDivide)


@step(is_codes)
def draw_step(drawing, source: str) -> str:
    """Some operations in a row with constants, down to eight bits again."""
    source = add_wide(drawing, source) if drawing.chance(0.5) else source
    name = drawing.apply(Widen(), source)
    for place in drawing.rng.integers(0, 3, drawing.integer(1, 4)):
        codes = draw_divisors(draw_words(drawing, drawing.type(name).shape))
        name = drawing.apply(PAIRS[place](), name, drawing.constant("operand", codes, "s32"))
    return drawing.apply(Narrow(), name)


def draw_divisors(codes):
    """Any numbers but 0; -1 and small ones among them."""
    return np.where(codes == 0, 7, np.where(codes % 5 == 0, -1, codes))


def draw_pair(draw, kernel):
    shape = draw_rows(draw)
    (op,) = (each for each in PAIRS if each.kernel == kernel.operation)
    return op(), [(shape, "s32"), (shape, "s32")]


for _operation in PAIRS:
    bench_case(_operation.kernel)(draw_pair)


@bench_tables("integeradd", "integermultiply", "integerdivide")
def make_words(draw, op, codes):
    codes[0] = draw_words(draw, codes[0].shape)
    codes[1] = draw_divisors(draw_words(draw, codes[1].shape))
    codes[0][..., 0], codes[1][..., 0] = -(2**31), -1


@bench_case("widen")
def draw_narrow_codes(draw, kernel):
    return Widen(), [(draw_rows(draw), kernel.formats[0])]


@bench_case("narrow")
def draw_wide_codes(draw, kernel):
    return Narrow(), [(draw_rows(draw), "s32")]


@formula("IntegerAdd")
def add(op, x, y):
    return pairs(lambda a, b: wrap(a + b), x, y)


@formula("IntegerMultiply")
def multiply(op, x, y):
    return pairs(lambda a, b: wrap(a * b), x, y)


@formula("IntegerDivide")
def divide(op, x, y):
    return pairs(lambda a, b: wrap(truncate(a, b) if b > 0 else truncate(-a, -b)), x, y)


@formula("Widen")
def widen(op, x):
    return x


@formula("Narrow")
def narrow(op, x):
    return rows(lambda row: [(code + 128) % 256 - 128 for code in row], x)
