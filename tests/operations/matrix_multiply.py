"""Product of two computed matrices."""

from __future__ import annotations

import numpy as np

from tests.drawing.graphs import draw_code, is_code_image
from tests.drawing.registry import bench_case, bench_tables, formula, step
from tests.operations.lookup import add_lookup
from tinyq.graph.ops.matrix_multiply import MatrixMultiply


@step(is_code_image)
def draw_step(drawing, source: str) -> str:
    """Each matrix times itself or times a table of it."""
    x = drawing.type(source)
    other = source if drawing.chance(0.5) else add_lookup(drawing, source)
    epilogue = drawing.epilogue()
    reach = np.full(x.shape[1], 255 * 255 * x.shape[2], np.int64)
    constants = drawing.epilogue_constants(epilogue, reach)
    operation = MatrixMultiply(epilogue, draw_code(drawing), draw_code(drawing))
    return drawing.apply(operation, source, other, *constants)


@bench_case("matmul", finishing=True)
def draw_case(draw, kernel, output):
    groups, depth = draw.size(3), draw.channels()
    x, y = kernel.formats
    op = MatrixMultiply(output, draw.zero_point(x), draw.zero_point(y))
    return op, [
        ((groups, draw.size(4), depth), x),
        ((groups, draw.size(5), depth), y),
    ]


@bench_tables("matmul")
def narrow_codes(draw, op, codes):
    """Products of 16-bit codes stay within int32 where the epilogue takes that."""
    if op.output.accumulator == "int32_t":
        codes[:] = [one >> 4 if np.abs(one).max() > 128 else one for one in codes]


@formula("MatrixMultiply")
def compute(op, x, y):
    return [
        [
            [
                sum((a - op.x_zero) * (b - op.y_zero) for a, b in zip(one, other, strict=True))
                for other in second
            ]
            for one in first
        ]
        for first, second in zip(x, y, strict=True)
    ]
