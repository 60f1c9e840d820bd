"""Sum of two tensors of one shape."""

from __future__ import annotations

import numpy as np

from tests.drawing.bench import Draw
from tests.drawing.formulas import map_rows
from tests.drawing.graphs import (
    WEIGHTED,
    Drawing,
    draw_epilogue,
    draw_requantize,
    draw_x_zero,
    epilogue_constants,
    widest,
)
from tests.drawing.partners import draw_partner
from tests.drawing.registry import bench_case, formula, step
from tests.operations.rescale import add_rescale
from tinyq.graph.epilogues import Epilogue, Threshold
from tinyq.graph.ops.add import Add
from tinyq.kernels.base import Kernel


@step(lambda x: x.format.name in WEIGHTED)
def draw_step(drawing: Drawing, source: str) -> str:
    """Sum with another tensor of the shape, with a rescaled copy, or with itself."""
    x = drawing.type(source)
    others = [
        name
        for name in drawing.tensors
        if drawing.type(name).shape == x.shape and drawing.type(name).format.name in WEIGHTED
    ]
    if len(others) == 1 and drawing.chance(0.8):
        narrow = str(drawing.choose(("s8", "u4", "u2", "s4", "s3", "s2")))
        epilogue = Threshold() if drawing.chance(0.3) else draw_requantize(drawing, narrow)
        others.append(add_rescale(drawing, source, epilogue))
    other = others[-1] if drawing.chance(0.7) else str(drawing.choose(others))
    if drawing.chance(0.3):
        other = draw_partner(drawing, source)
    if drawing.chance(0.3):
        source, other = other, source
    x, y = drawing.type(source), drawing.type(other)
    factors = [
        int(drawing.choose((-(2**15), 2**15 - 1, 1, 0, drawing.integer(-(2**15), 2**15 - 1))))
        for _ in range(2)
    ]
    zeros = [draw_x_zero(drawing, x), draw_x_zero(drawing, y)]
    reach = abs(factors[0]) * widest(x, zeros[0]) + abs(factors[1]) * widest(y, zeros[1])
    epilogue = draw_epilogue(drawing)
    constants = epilogue_constants(drawing, epilogue, np.full(x.shape[-1], reach, np.int64))
    return drawing.apply(Add(epilogue, *factors, *zeros), source, other, *constants)


@bench_case("add", finishing=True)
def draw_case(draw: Draw, kernel: Kernel, output: Epilogue):
    a, b = kernel.formats
    factors = [draw.integer(-(2**15), 2**15 - 1) for _ in range(2)]
    op = Add(output, *factors, draw.zero_point(a), draw.zero_point(b))
    shape = (draw.size(3), draw.channels())
    return op, [(shape, a), (shape, b)]


@formula("Add")
def compute(op, x, y):
    def row(first, second):
        return [
            (a - op.x_zero) * op.x_factor + (b - op.y_zero) * op.y_factor
            for a, b in zip(first, second, strict=True)
        ]

    return map_rows(row, x, y)
