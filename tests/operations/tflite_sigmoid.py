"""Logistic function and hyperbolic tangent of 16-bit codes, from one table of 256 values."""

from __future__ import annotations

from tests.drawing.bench import draw_rows
from tests.drawing.formulas import rows
from tests.drawing.graphs import is_codes
from tests.drawing.registry import bench_case, bench_tables, formula, step
from tests.operations.tflite_wide_softmax import add_wide
from tinyq.graph.ops.tflite_sigmoid import TfliteSigmoid
from tinyq.numerics.interpolation import sigmoid_table


@step(is_codes)
def draw_step(drawing, source: str) -> str:
    """A function of 16-bit codes behind a change of scale to them."""
    wide = add_wide(drawing, source)
    table = drawing.constant("sigmoid", sigmoid_table(), "u16")
    operation = TfliteSigmoid(
        drawing.integer(2**14, 2**15 - 1), drawing.integer(0, 8), drawing.integer(0, 1)
    )
    return drawing.apply(operation, wide, table)


@bench_case("tflitesigmoid")
def draw_case(draw, kernel):
    op = TfliteSigmoid(draw.integer(1, 2**15 - 1), draw.integer(0, 16), draw.integer(0, 1))
    return op, [(draw_rows(draw), "s16"), ((256,), "u16")]


@bench_tables("tflitesigmoid")
def make_tables(draw, op, codes):
    codes[1] = sigmoid_table()


@formula("TfliteSigmoid")
def compute(op, x, table):
    """Logistic and Tanh of int16, apart as TFLite has them."""

    def logistic(value):
        place, rest = abs(value) >> 9, abs(value) & 0x1FF
        total = 0x7FFF << 10
        if place < 255:
            total = (table[place] << 9) + rest * (table[place + 1] - table[place])
        return (total + 512 if value >= 0 else (1 << 25) - total + 511) >> 10

    def tangent(value):
        place, rest = abs(value) >> 8, abs(value) & 0xFF
        total = 0xFFFF << 8
        if place < 255:
            total = (table[place] << 8) + rest * (table[place + 1] - table[place])
        middle = 1 << 23
        return (total - middle + 128 if value >= 0 else middle - total + 127) >> 8

    def row(codes):
        half = 1 << (op.shift - 1) if op.shift > 0 else 0
        scaled = [(code * op.multiplier + half) >> op.shift for code in codes]
        return [tangent(value) if op.hyperbolic else logistic(value) for value in scaled]

    return rows(row, x)
