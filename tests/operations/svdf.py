"""One step of an SVDF layer: a fully connected layer of low rank with a memory of earlier steps."""

from __future__ import annotations

import numpy as np

from tests.drawing.formulas import clip, rows, twice
from tests.drawing.graphs import draw_code, is_codes
from tests.drawing.registry import bench_case, bench_tables, formula, step
from tinyq.graph.ops.svdf import Svdf
from tinyq.numerics.fixed_point import quantize_multiplier


@step(is_codes)
def draw_step(drawing, source: str) -> str:
    """Features within int16, so that the sums of a few of them stay within int32."""
    inputs, rank = drawing.type(source).shape[-1], drawing.integer(1, 3)
    units, epilogue = drawing.integer(1, 9), drawing.epilogue()
    weights = drawing.rng.integers(-128, 128, (units * rank, inputs))
    time = drawing.rng.integers(-(2**13), 2**13, units * rank)
    names = drawing.constant("weights", weights, "s8"), drawing.constant("time", time, "s16")
    reach = np.abs(time).reshape(units, rank).sum(axis=1) * 2**15
    constants = drawing.epilogue_constants(epilogue, reach)
    scale = quantize_multiplier(float(drawing.rng.uniform(0.01, 2.0)))
    operation = Svdf(epilogue, rank, *scale, draw_code(drawing))
    return drawing.apply(operation, source, *names, *constants)


@bench_case("svdf", finishing=True)
def draw_case(draw, kernel, output):
    units, rank, inputs = draw.size(5), draw.integer(1, 3), draw.channels()
    op = Svdf(
        output, rank, int(draw.rng.integers(2**30, 2**31)), draw.integer(-9, 1), draw.integer(-9, 9)
    )
    shapes = (draw.size(2), inputs), (units * rank, inputs), (units * rank,)
    return op, list(zip(shapes, ("s8", "s8", "s16"), strict=True))


@bench_tables("svdf")
def narrow_codes(draw, op, codes):
    codes[2] >>= 2  # three products of 15 and 13 bits stay within int32


@formula("Svdf")
def compute(op, x, w, time):
    def row(codes):
        features = []
        for weights in w:
            total = sum(a * (b - op.x_zero) for a, b in zip(weights, codes, strict=True))
            features.append(clip(twice(total, op.multiplier, op.exponent), -32768, 32767))
        products = [a * b for a, b in zip(time, features, strict=True)]
        return [sum(products[at : at + op.rank]) for at in range(0, len(products), op.rank)]

    return rows(row, x)
