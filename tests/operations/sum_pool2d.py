"""Sum over windows of an image: average pooling whose division rides in the epilogue."""

from __future__ import annotations

import numpy as np

from tests.drawing.bench import Draw
from tests.drawing.formulas import map_windows
from tests.drawing.graphs import (
    Drawing,
    draw_epilogue,
    draw_x_zero,
    epilogue_constants,
    is_image,
    widest,
)
from tests.drawing.registry import bench_case, formula, step
from tinyq.graph.epilogues import Epilogue
from tinyq.graph.ops.sum_pool2d import SumPool2D
from tinyq.graph.ops.window import Window
from tinyq.kernels.base import Kernel


@step(is_image)
def draw_step(drawing: Drawing, source: str) -> str:
    x = drawing.type(source)
    size = (drawing.integer(1, x.shape[0]), drawing.integer(1, x.shape[1]))
    if drawing.chance(0.4):
        size = (x.shape[0], x.shape[1])
    window = Window(size, (drawing.integer(1, 3), drawing.integer(1, 3)))
    epilogue, x_zero = draw_epilogue(drawing), draw_x_zero(drawing, x)
    reach = np.full(x.shape[2], widest(x, x_zero) * size[0] * size[1], np.int64)
    constants = epilogue_constants(drawing, epilogue, reach)
    return drawing.apply(SumPool2D(epilogue, window, x_zero), source, *constants)


@bench_case("sumpool2d", finishing=True)
def draw_case(draw: Draw, kernel: Kernel, output: Epilogue):
    (x,) = kernel.formats
    window, size = draw.window(padded=False)
    return SumPool2D(output, window, draw.zero_point(x)), [((*size, draw.channels()), x)]


@formula("SumPool2D")
def compute(op, x):
    def pixel(taps):
        return [sum(x[r][c][k] - op.x_zero for _, _, r, c in taps) for k in range(len(x[0][0]))]

    return map_windows(pixel, op.window, x)
