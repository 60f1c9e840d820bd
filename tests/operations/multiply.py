"""Element-wise product of two tensors of one shape."""

from __future__ import annotations

import numpy as np

from tests.drawing.bench import draw_rows
from tests.drawing.formulas import pairs
from tests.drawing.graphs import draw_code, is_codes
from tests.drawing.partners import draw_partner
from tests.drawing.registry import bench_case, formula, step
from tinyq.graph.ops.multiply import Multiply


@step(is_codes)
def draw_step(drawing, source: str) -> str:
    other = draw_partner(drawing, source)
    epilogue = drawing.epilogue()
    reach = np.full(drawing.type(source).shape[-1], 255 * 255, np.int64)
    constants = drawing.epilogue_constants(epilogue, reach)
    return drawing.apply(
        Multiply(epilogue, draw_code(drawing), draw_code(drawing)), source, other, *constants
    )


@bench_case("multiply", finishing=True)
def draw_case(draw, kernel, output):
    shape = draw_rows(draw)
    x, y = kernel.formats
    op = Multiply(output, draw.zero_point(x), draw.zero_point(y))
    return op, [(shape, x), (shape, y)]


@formula("Multiply")
def compute(op, x, y):
    return pairs(lambda a, b: (a - op.x_zero) * (b - op.y_zero), x, y)
