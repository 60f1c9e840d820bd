"""Rows of a table by computed indices: an embedding."""

from __future__ import annotations

import numpy as np

from tests.drawing.graphs import Drawing, draw_codes
from tests.drawing.registry import bench_case, formula, step
from tinyq.graph.ops.gather import Gather
from tinyq.numerics.formats import find_format


def is_index(x) -> bool:
    return x.format.name == "s32" and int(np.prod(x.shape)) <= 400


@step(is_index)
def draw_step(drawing: Drawing, source: str) -> str:
    from tinyq.graph.ops.reshape import Reshape

    shape = drawing.type(source).shape
    count = int(np.prod(shape))
    indices = source if len(shape) == 1 else drawing.apply(Reshape((count,)), source)
    entry = find_format("s8")
    size = (drawing.integer(1, 9), drawing.integer(1, 7))
    table = drawing.builder.constant(
        f"constant_{drawing.count}_table", draw_codes(drawing.rng, entry, size), entry, 0.5, 3
    )
    return drawing.apply(Gather(drawing.integer(0, 1)), table, indices)


@bench_case("gather")
def draw_case(draw, kernel):
    rows, channels = draw.size(9), draw.channels()
    return Gather(draw.integer(0, 1)), [
        ((rows, channels), kernel.formats[0]),
        ((draw.size(6),), "s32"),
    ]


@formula("Gather")
def compute(op, x, indices):
    def row(index):
        wrapped = index + len(x) if index < 0 and op.wraps else index
        return x[min(max(wrapped, 0), len(x) - 1)]

    return [row(index) for index in indices]
