"""Nearest-neighbour resizing: whole pixels by tables of rows and columns."""

from __future__ import annotations

import numpy as np

from tests.drawing.graphs import is_code_image
from tests.drawing.registry import bench_case, bench_tables, formula, step
from tinyq.graph.ops.pick_pixels import PickPixels


@step(is_code_image)
def draw_step(drawing, source: str) -> str:
    tables = [
        drawing.constant(name, drawing.rng.integers(0, side, drawing.integer(1, 7)), "u16")
        for name, side in zip(("rows", "columns"), drawing.type(source).shape, strict=False)
    ]
    return drawing.apply(PickPixels(), source, *tables)


@bench_case("pickpixels")
def draw_case(draw, kernel):
    shape = draw.size(4), draw.size(4), draw.channels()
    return PickPixels(), [
        (shape, kernel.formats[0]),
        ((draw.size(6),), "u16"),
        ((draw.size(6),), "u16"),
    ]


@bench_tables("pickpixels")
def make_tables(draw, op, codes):
    for index, side in enumerate(codes[0].shape[:2], 1):
        codes[index] = draw.rng.integers(0, side, codes[index].shape).astype(np.int32)


@formula("PickPixels")
def compute(op, x, rows, columns):
    return [[x[i][j] for j in columns] for i in rows]
