"""Mean of each window, in the format and scale of the input."""

from __future__ import annotations

from fractions import Fraction
from math import floor

from tests.drawing.formulas import HALF, map_windows
from tests.drawing.graphs import Drawing, is_image
from tests.drawing.registry import bench_case, formula, step
from tests.operations.max_pool2d import add_pool, draw_pool
from tinyq.graph.ops.average_pool2d import AveragePool2D


@step(lambda x: is_image(x) and x.format.step == 1)
def draw_step(drawing: Drawing, source: str) -> str:
    return add_pool(drawing, source, AveragePool2D, dilated=True)


@bench_case("averagepool2d")
def draw_case(draw, kernel):
    return draw_pool(AveragePool2D, draw, kernel)


@formula("AveragePool2D")
def compute(op, x):
    def pixel(taps):
        return [
            floor(Fraction(sum(x[r][c][k] for _, _, r, c in taps), len(taps)) + HALF)
            for k in range(len(x[0][0]))
        ]

    return map_windows(pixel, op.window, x)
