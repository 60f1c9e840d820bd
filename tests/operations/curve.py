"""Any function of one 16-bit code, as a table with lines between its points."""

from __future__ import annotations

import numpy as np

from tests.drawing.bench import draw_rows
from tests.drawing.formulas import rows
from tests.drawing.graphs import is_codes
from tests.drawing.registry import bench_case, bench_tables, formula, step
from tests.operations.tflite_wide_softmax import add_wide
from tinyq.graph.ops.curve import Curve


@step(is_codes)
def draw_step(drawing, source: str) -> str:
    wide = add_wide(drawing, source)
    table = drawing.constant("curve", draw_points(drawing.rng), "s16")
    return drawing.apply(Curve(0.25), wide, table)


def draw_points(rng):
    """A walk within int16, now and then a jump between the extremes."""
    walk = np.clip(np.cumsum(rng.integers(-400, 401, 513)), -(2**15), 2**15 - 1)
    jumps = rng.choice([-(2**15), 2**15 - 1], 513)
    return np.where(rng.random(513) < 0.05, jumps, walk).astype(np.int32)


@bench_case("curve")
def draw_case(draw, kernel):
    return Curve(0.5), [(draw_rows(draw), "s16"), ((513,), "s16")]


@bench_tables("curve")
def make_tables(draw, op, codes):
    codes[1] = draw_points(draw.rng)


@formula("Curve")
def compute(op, x, table):
    def point(code):
        """lut_lookup of int16, whose slope and result are int16."""
        index, offset = 256 + (code >> 7), code & 0x7F
        slope = wrap16(table[index + 1] - table[index])
        return wrap16(table[index] + ((slope * offset + 64) >> 7))

    return rows(lambda row: [point(code) for code in row], x)


def wrap16(value):
    return (value + 2**15) % 2**16 - 2**15
