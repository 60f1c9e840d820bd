"""Softmax with the fixed-point arithmetic of TFLite's reference kernel."""

from __future__ import annotations

from tests.drawing.bench import draw_rows
from tests.drawing.formulas import clip, high, inverse, power, rows, zeros
from tests.drawing.graphs import is_codes
from tests.drawing.registry import bench_case, bench_tables, formula, step
from tinyq.graph.ops.tflite_softmax import TfliteSoftmax
from tinyq.numerics.fixed_point import softmax_exponentials


@step(is_codes)
def draw_step(drawing, source: str) -> str:
    return drawing.apply(TfliteSoftmax(), source, draw_exponentials(drawing)[1])


def draw_exponentials(drawing) -> tuple[float, str]:
    scale = float(10.0 ** drawing.rng.uniform(-2, 0.5))
    return scale, drawing.constant("table", softmax_exponentials(scale, 1.0)[0], "s32")


@bench_case("tflitesoftmax")
def draw_case(draw, kernel):
    return TfliteSoftmax(), [(draw_rows(draw), "s8"), ((256,), "s32")]


@bench_tables("tflitesoftmax", "tflitelogsoftmax")
def make_tables(draw, op, codes):
    scale = float(draw.rng.choice([1e-4, 0.05, 0.3, 2.0]))
    codes[1] = softmax_exponentials(scale, 1.0)[0]


@formula("TfliteSoftmax")
def compute(op, x, table):
    def row(codes):
        powers = [table[max(codes) - code] for code in codes]
        total = sum(power(value, 12) for value in powers)
        headroom = zeros(total)
        scale = inverse((total << headroom) - 2**31)
        return [clip(power(high(scale, value), 12 - headroom + 23) - 128) for value in powers]

    return rows(row, x)
