"""Square of the difference of two tensors with TFLite's rounding of each operand."""

from __future__ import annotations

import numpy as np

from tests.drawing.bench import draw_rows
from tests.drawing.formulas import pairs, twice
from tests.drawing.graphs import draw_code, is_codes
from tests.drawing.partners import draw_partner
from tests.drawing.registry import bench_case, formula, step
from tinyq.graph.ops.tflite_squared_difference import SHIFTS, TfliteSquaredDifference
from tinyq.numerics.fixed_point import quantize_multiplier


@step(is_codes)
def draw_step(drawing, source: str) -> str:
    other = draw_partner(drawing, source)
    epilogue = drawing.epilogue()
    scales = [quantize_multiplier(float(drawing.rng.uniform(0.001, 0.499))) for _ in range(2)]
    reach = np.full(drawing.type(source).shape[-1], 2**30, np.int64)
    constants = drawing.epilogue_constants(epilogue, reach)
    zeros = draw_code(drawing), draw_code(drawing)
    operation = TfliteSquaredDifference(epilogue, *scales[0], *scales[1], *zeros)
    return drawing.apply(operation, source, other, *constants)


@bench_case("squareddifference", finishing=True)
def draw_case(draw, kernel, output):
    shape = draw_rows(draw)
    scales = [(int(draw.rng.integers(2**30, 2**31)), draw.integer(-9, -1)) for _ in range(2)]
    x, y = kernel.formats
    zeros = draw.zero_point(x), draw.zero_point(y)
    operation = TfliteSquaredDifference(output, *scales[0], *scales[1], *zeros, SHIFTS[x])
    return operation, [(shape, x), (shape, y)]


@formula("TfliteSquaredDifference")
def compute(op, x, y):
    def square(a, b):
        first = twice((a - op.x_zero) * 2**op.shift, op.x_multiplier, op.x_exponent)
        second = twice((b - op.y_zero) * 2**op.shift, op.y_multiplier, op.y_exponent)
        return (first - second) * (first - second)

    return pairs(square, x, y)
