"""Sums of products of samples: a filter that decimates, and a transform of each row."""

from __future__ import annotations

from fractions import Fraction
from math import floor

from tests.drawing.formulas import HALF, clip, rows
from tests.drawing.graphs import is_codes
from tests.drawing.registry import bench_case, formula, step
from tests.operations.tflite_wide_softmax import add_wide
from tinyq.graph.ops.linear_filter import DecimatingFilter, LinearTransform


@step(is_codes)
def draw_step(drawing, source: str) -> str:
    wide = add_wide(drawing, source)
    taps = drawing.integer(1, drawing.type(wide).shape[-1])
    weights = drawing.constant("taps", drawing.rng.integers(-(2**15), 2**15, taps), "s16")
    operation = DecimatingFilter(drawing.integer(1, 4), draw_shift(drawing))
    filtered = drawing.apply(operation, wide, weights)
    shape = (drawing.integer(1, 6), drawing.type(filtered).shape[-1])
    matrix = drawing.constant("matrix", drawing.rng.integers(-(2**15), 2**15, shape), "s16")
    return drawing.apply(LinearTransform(draw_shift(drawing)), filtered, matrix)


def draw_shift(draw):
    """Mostly such that the sums of a few products vary."""
    return draw.integer(13, 18) if draw.integer(0, 3) else draw.integer(0, 47)


@bench_case("decimatingfilter")
def draw_filter(draw, kernel):
    samples = draw.channels()
    operands = ((draw.size(3), samples), "s16"), ((draw.integer(1, samples),), "s16")
    return DecimatingFilter(draw.integer(1, 5), draw_shift(draw)), list(operands)


@bench_case("lineartransform")
def draw_transform(draw, kernel):
    length = draw.channels()
    operands = ((draw.size(3), length), "s16"), ((draw.size(6), length), "s16")
    return LinearTransform(draw_shift(draw)), list(operands)


def finish(total, shift):
    exact = Fraction(total, 2**shift)
    return clip(floor(exact + HALF), -(2**15), 2**15 - 1)


@formula("DecimatingFilter")
def compute(op, x, w):
    def row(codes):
        starts = range(0, len(codes) - len(w) + 1, op.step)
        windows = [codes[start : start + len(w)] for start in starts]
        return [
            finish(sum(a * b for a, b in zip(part, w, strict=True)), op.shift) for part in windows
        ]

    return rows(row, x)


@formula("LinearTransform")
def transform(op, x, w):
    def row(codes):
        return [
            finish(sum(a * b for a, b in zip(codes, weights, strict=True)), op.shift)
            for weights in w
        ]

    return rows(row, x)
