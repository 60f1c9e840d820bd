"""Larger or smaller of two tensors, code by code."""

from __future__ import annotations

from tests.drawing.bench import draw_rows
from tests.drawing.formulas import pairs
from tests.drawing.graphs import is_codes
from tests.drawing.partners import draw_partner
from tests.drawing.registry import bench_case, formula, step
from tinyq.graph.ops.extremum import Extremum


@step(is_codes)
def draw_step(drawing, source: str) -> str:
    other = draw_partner(drawing, source)
    return drawing.apply(Extremum(drawing.integer(0, 1)), source, other)


@bench_case("extremum")
def draw_case(draw, kernel):
    shape = draw_rows(draw)
    return Extremum(draw.integer(0, 1)), [(shape, name) for name in kernel.formats]


@formula("Extremum")
def compute(op, x, y):
    return pairs(lambda a, b: sorted((a, b))[op.largest], x, y)
