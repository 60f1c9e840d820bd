"""Sums of all values so far along an axis."""

from __future__ import annotations

import numpy as np

from tests.drawing.graphs import draw_code, is_code_image
from tests.drawing.registry import bench_case, formula, step
from tinyq.graph.ops.cumulative_sum import CumulativeSum


@step(is_code_image)
def draw_step(drawing, source: str) -> str:
    _, depth, channels = drawing.type(source).shape
    epilogue, zero = drawing.epilogue(), draw_code(drawing)
    shift = drawing.integer(0, 20 - min(int(depth).bit_length(), 20))
    operation = CumulativeSum(epilogue, shift, drawing.integer(0, 1), drawing.integer(0, 1), zero)
    reach = np.full(channels, (255 * depth) << shift, np.int64)
    return drawing.apply(operation, source, *drawing.epilogue_constants(epilogue, reach))


@bench_case("cumulativesum", finishing=True)
def draw_case(draw, kernel, output):
    shape = (draw.size(3), draw.size(5), draw.channels())
    (x,) = kernel.formats
    shift = draw.integer(0, 12 if x == "s8" else 8)
    operation = CumulativeSum(
        output, shift, draw.integer(0, 1), draw.integer(0, 1), draw.zero_point(x)
    )
    return operation, [(shape, x)]


@formula("CumulativeSum")
def compute(op, x):
    def column(row, d, k):
        places = range(d, len(row)) if op.backwards else range(d + 1)
        kept = [e for e in places if not (op.exclusive and e == d)]
        return sum((row[e][k] - op.x_zero) * 2**op.shift for e in kept)

    return [[[column(row, d, k) for k in range(len(row[0]))] for d in range(len(row))] for row in x]
