"""Overlapping frames of a signal, and statistics of each."""

from __future__ import annotations

from itertools import pairwise
from math import isqrt

from tests.drawing.formulas import rows
from tests.drawing.graphs import is_codes
from tests.drawing.registry import bench_case, bench_tables, formula, step
from tests.operations.tflite_wide_softmax import add_wide
from tinyq.graph.ops.frames import Frames, FrameStatistics


@step(is_codes)
def draw_step(drawing, source: str) -> str:
    wide = add_wide(drawing, source)
    size = drawing.integer(1, drawing.type(wide).shape[-1])
    frames = drawing.apply(Frames(size, drawing.integer(1, 4)), wide)
    return drawing.apply(FrameStatistics(), frames)


@bench_case("frames")
def draw_case(draw, kernel):
    samples = draw.channels()
    op = Frames(draw.integer(1, samples), draw.integer(1, 9))
    return op, [((draw.size(2), samples), "s16")]


@bench_case("framestatistics")
def draw_frame(draw, kernel):
    return FrameStatistics(), [((draw.size(3), draw.channels()), "s16")]


@bench_tables("framestatistics")
def draw_plateaus(draw, op, codes):
    """Few levels, so that codes repeat; some rows of the lowest code alone."""
    choice = draw.integer(0, 3)
    if choice == 0:
        codes[0][:] = -(2**15)
    elif choice < 3:
        codes[0] >>= 14


@formula("Frames")
def compute(op, x):
    def row(codes):
        last = len(codes) - op.size
        return [codes[start : start + op.size] for start in range(0, last + 1, op.hop)]

    return rows(row, x)


@formula("FrameStatistics")
def describe(op, x):
    def row(codes):
        mean_square = sum(code * code for code in codes) // len(codes)
        changes = [after - before for before, after in pairwise(codes) if after != before]
        crossings = sum((a < 0) != (b < 0) for a, b in pairwise(codes))
        peaks = sum(up > 0 > down for up, down in pairwise(changes))
        root = min(isqrt(mean_square), 2**15 - 1)
        return [sum(codes) // len(codes), root, min(codes), max(codes), crossings, peaks]

    return rows(row, x)
