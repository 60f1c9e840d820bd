"""Bilinear resizing with 10-bit weights."""

from __future__ import annotations

import numpy as np

from tests.drawing.formulas import truncate
from tests.drawing.graphs import is_code_image
from tests.drawing.registry import bench_case, bench_tables, formula, step
from tinyq.graph.ops.interpolate import Interpolate, InterpolateHalfUp


@step(is_code_image)
def draw_step(drawing, source: str) -> str:
    tables = []
    for name, side in zip(("rows", "columns"), drawing.type(source).shape, strict=False):
        rows = drawing.rng.integers(0, side, (drawing.integer(1, 7), 3))
        rows[:, 2] = drawing.rng.integers(0, 1025, len(rows))
        tables.append(drawing.constant(name, rows, "s16"))
    kind = drawing.choose((Interpolate, InterpolateHalfUp))
    return drawing.apply(kind(), source, *tables)


@bench_case("interpolate")
def draw_case(draw, kernel):
    return make_case(draw, kernel, Interpolate())


@bench_case("interpolatehalfup")
def draw_half_up(draw, kernel):
    return make_case(draw, kernel, InterpolateHalfUp())


def make_case(draw, kernel, operation):
    shape = draw.size(4), draw.size(4), draw.channels()
    return operation, [
        (shape, kernel.formats[0]),
        ((draw.size(6), 3), "s16"),
        ((draw.size(6), 3), "s16"),
    ]


@bench_tables("interpolate", "interpolatehalfup")
def make_tables(draw, op, codes):
    for index, side in enumerate(codes[0].shape[:2], 1):
        codes[index] = draw.rng.integers(0, side, codes[index].shape).astype(np.int32)
        codes[index][:, 2] = draw.rng.integers(0, 1025, len(codes[index]))


def away(total):
    return truncate(total + (2**19 if total > 0 else -(2**19)), 2**20)


@formula("Interpolate")
def compute(op, x, row_table, column_table):
    return interpolate(x, row_table, column_table, away)


@formula("InterpolateHalfUp")
def compute_half_up(op, x, row_table, column_table):
    return interpolate(x, row_table, column_table, lambda total: (total + 2**19) // 2**20)


def interpolate(x, row_table, column_table, divide):
    def pixel(row, column):
        weights = [
            (r, c, down * across)
            for r, down in ((row[0], 1024 - row[2]), (row[1], row[2]))
            for c, across in ((column[0], 1024 - column[2]), (column[1], column[2]))
        ]
        sums = [sum(x[r][c][k] * w for r, c, w in weights) for k in range(len(x[0][0]))]
        return [divide(total) for total in sums]

    return [[pixel(row, column) for column in column_table] for row in row_table]
