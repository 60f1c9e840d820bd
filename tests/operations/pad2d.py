"""A border around an image."""

from __future__ import annotations

import numpy as np

from tests.drawing.bench import Draw
from tests.drawing.graphs import Drawing, draw_codes, is_image, is_small
from tests.drawing.registry import bench_case, formula, step
from tinyq.graph.ops.pad2d import Pad2D
from tinyq.kernels.base import Kernel
from tinyq.numerics.formats import find_format


@step(lambda x: is_image(x) and is_small(x))
def draw_step(drawing: Drawing, source: str) -> str:
    x = drawing.type(source)
    padding = tuple(drawing.integer(0, 2) for _ in range(4))
    value = int(draw_codes(drawing.rng, x.format, (1,))[0])
    if x.format.contains(np.array([x.zero_point])) and drawing.chance(0.5):
        value = x.zero_point
    return drawing.apply(Pad2D(padding, value), source)


@bench_case("pad2d")
def draw_case(draw: Draw, kernel: Kernel):
    (x,) = kernel.formats
    padding = tuple(draw.integer(0, 2) for _ in range(4))
    value = int(draw.codes((), find_format(x)))
    shape = (draw.size(3), draw.size(3), draw.channels())
    return Pad2D(padding, value), [(shape, x)]


@formula("Pad2D")
def compute(op, x):
    top, bottom, left, right = op.padding
    border = [op.value] * len(x[0][0])
    width = left + len(x[0]) + right
    middle = [[border] * left + row + [border] * right for row in x]
    return [[border] * width] * top + middle + [[border] * width] * bottom
