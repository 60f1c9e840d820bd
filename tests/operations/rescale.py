"""Element-wise change of scale, format or sign: activation, BatchNorm alone, requantization."""

from __future__ import annotations

import numpy as np

from tests.drawing.bench import Draw
from tests.drawing.formulas import map_rows
from tests.drawing.graphs import (
    Drawing,
    draw_epilogue,
    draw_x_zero,
    epilogue_constants,
    is_activation,
    is_small,
    widest,
)
from tests.drawing.registry import bench_case, formula, step
from tinyq.graph.epilogues import Epilogue
from tinyq.graph.ops.rescale import Rescale
from tinyq.kernels.base import Kernel


@step(is_small)
def add_rescale(drawing: Drawing, source: str, epilogue: Epilogue | None = None) -> str:
    x = drawing.type(source)
    epilogue = epilogue or draw_epilogue(drawing)
    x_zero, left_shift = 0, 0
    if is_activation(x):
        x_zero = draw_x_zero(drawing, x)
        left_shift = int(drawing.choose((0, 0, 1, 8, 20, drawing.integer(0, 20))))
    reach = np.full(x.shape[-1], widest(x, x_zero) << left_shift, np.int64)
    constants = epilogue_constants(drawing, epilogue, reach)
    return drawing.apply(Rescale(epilogue, x_zero, left_shift), source, *constants)


@bench_case("rescale", finishing=True)
def draw_case(draw: Draw, kernel: Kernel, output: Epilogue):
    (x,) = kernel.formats
    op = Rescale(output, draw.zero_point(x), draw.integer(0, 9))
    return op, [((draw.size(3), draw.channels()), x)]


@formula("Rescale")
def compute(op, x):
    return map_rows(lambda row: [(code - op.x_zero) * 2**op.left_shift for code in row], x)
