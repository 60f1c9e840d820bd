"""Sum or difference of two tensors with TFLite's rounding of each operand."""

from __future__ import annotations

import numpy as np

from tests.drawing.bench import draw_rows
from tests.drawing.formulas import pairs, twice
from tests.drawing.graphs import draw_code, is_codes
from tests.drawing.partners import draw_partner
from tests.drawing.registry import bench_case, formula, step
from tinyq.graph.ops.tflite_add import TfliteAdd
from tinyq.numerics.fixed_point import quantize_multiplier


@step(is_codes)
def draw_step(drawing, source: str) -> str:
    other = draw_partner(drawing, source)
    epilogue = drawing.epilogue()
    pairs = [quantize_multiplier(float(drawing.rng.uniform(0.001, 0.5))) for _ in range(2)]
    reach = np.full(drawing.type(source).shape[-1], 2 * (255 << 20), np.int64)
    constants = drawing.epilogue_constants(epilogue, reach)
    zeros = draw_code(drawing), draw_code(drawing)
    sign = int(drawing.choose((1, -1)))
    operation = TfliteAdd(epilogue, *pairs[0], *pairs[1], sign, 20, *zeros)
    return drawing.apply(operation, source, other, *constants)


@bench_case("tfliteadd", finishing=True)
def draw_case(draw, kernel, output):
    shape = draw_rows(draw)
    pairs = [(int(draw.rng.integers(2**30, 2**31)), draw.integer(-8, -1)) for _ in range(2)]
    sign = int(draw.rng.choice([-1, 1]))
    x, y = kernel.formats
    zeros = draw.zero_point(x), draw.zero_point(y)
    # Sums of 16-bit codes shifted by 15, as TFLite does, leave no room for a bias.
    bits = draw.integer(15, 20) if x == "s8" else draw.integer(13, 15)
    op = TfliteAdd(output, *pairs[0], *pairs[1], sign, bits, *zeros)
    return op, [(shape, x), (shape, y)]


@formula("TfliteAdd")
def compute(op, x, y):
    def code(a, b):
        first = twice((a - op.x_zero) << op.left_shift, op.x_multiplier, op.x_exponent)
        second = twice((b - op.y_zero) << op.left_shift, op.y_multiplier, op.y_exponent)
        return first + op.y_sign * second

    return pairs(code, x, y)
