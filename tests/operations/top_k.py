"""The largest values of a row, and their indices."""

from __future__ import annotations

from tests.drawing.formulas import map_rows
from tests.drawing.graphs import is_codes
from tests.drawing.registry import bench_case, formula, step
from tinyq.graph.ops.top_k import TopIndices, TopValues


@step(is_codes)
def draw_step(drawing, source: str) -> str:
    kind = drawing.choose((TopValues, TopIndices))
    return drawing.apply(kind(drawing.integer(1, drawing.type(source).shape[-1])), source)


@bench_case("topvalues")
def draw_values(draw, kernel):
    return draw_case(draw, kernel, TopValues)


@bench_case("topindices")
def draw_indices(draw, kernel):
    return draw_case(draw, kernel, TopIndices)


def draw_case(draw, kernel, kind):
    rows, channels = draw.size(3), draw.channels()
    return kind(draw.integer(1, channels)), [((rows, channels), kernel.formats[0])]


def order(op, row):
    return sorted(range(len(row)), key=lambda place: (-row[place], place))[: op.count]


@formula("TopValues")
def compute_values(op, x):
    return map_rows(lambda row: [row[place] for place in order(op, row)], x)


@formula("TopIndices")
def compute_indices(op, x):
    return map_rows(lambda row: order(op, row), x)
