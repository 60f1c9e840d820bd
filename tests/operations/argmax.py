"""Index of the largest value."""

from __future__ import annotations

from tests.drawing.bench import Draw
from tests.drawing.formulas import map_rows
from tests.drawing.graphs import Drawing
from tests.drawing.registry import bench_case, formula, step
from tinyq.graph.ops.argmax import Argmax
from tinyq.kernels.base import Kernel


@step(lambda x: True)
def draw_step(drawing: Drawing, source: str) -> str:
    return drawing.apply(Argmax(), source)


@bench_case("argmax")
def draw_case(draw: Draw, kernel: Kernel):
    return Argmax(), [((draw.size(3), draw.channels()), kernel.formats[0])]


@formula("Argmax")
def compute(op, x):
    return map_rows(lambda row: [row.index(max(row))], x)
