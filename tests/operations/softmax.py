"""Softmax in integers."""

from __future__ import annotations

from tests.drawing.bench import Draw
from tests.drawing.formulas import map_rows
from tests.drawing.graphs import Drawing
from tests.drawing.registry import bench_case, bench_tables, formula, step
from tinyq.graph.ops.softmax import Softmax
from tinyq.kernels.base import Kernel
from tinyq.numerics.rounding import softmax_table


@step(lambda x: x.format.name == "s8")
def draw_step(drawing: Drawing, source: str) -> str:
    scale = float(10.0 ** drawing.rng.uniform(-3, 1))
    table = drawing.constant("table", softmax_table(scale), "u16")
    return drawing.apply(Softmax(), source, table)


@bench_case("softmax")
def draw_case(draw: Draw, kernel: Kernel):
    return Softmax(), [
        ((draw.size(3), draw.channels()), kernel.formats[0]),
        ((256,), "u16"),
    ]


@bench_tables("softmax")
def make_tables(draw, op, codes):
    codes[1] = softmax_table(float(draw.rng.choice([1e-4, 0.05, 0.3, 2.0])))


@formula("Softmax")
def compute(op, x, table):
    def row(codes):
        powers = [table[max(codes) - code] for code in codes]
        total = sum(powers)
        return [min((256 * power + total // 2) // total - 128, 127) for power in powers]

    return map_rows(row, x)
