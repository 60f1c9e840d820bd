"""Two-dimensional convolution."""

from __future__ import annotations

import numpy as np

from tests.drawing.bench import Draw
from tests.drawing.formulas import map_windows
from tests.drawing.graphs import (
    Drawing,
    draw_epilogue,
    draw_weights,
    draw_window,
    draw_x_zero,
    epilogue_constants,
    is_weighted_image,
    out_channels,
    widest,
)
from tests.drawing.registry import bench_case, formula, step
from tinyq.graph.epilogues import Epilogue
from tinyq.graph.ops.conv2d import Conv2D
from tinyq.kernels.base import Kernel


@step(is_weighted_image, weight=3)
def draw_step(drawing: Drawing, source: str, epilogue: Epilogue | None = None) -> str:
    x = drawing.type(source)
    window = draw_window(drawing, x.shape)
    epilogue = epilogue or draw_epilogue(drawing)
    x_zero = draw_x_zero(drawing, x)
    shape = (out_channels(drawing, epilogue), *window.size, x.shape[2])
    weights, number_format = draw_weights(drawing, shape)
    reach = np.abs(weights.astype(np.int64)).sum(axis=(1, 2, 3)) * widest(x, x_zero)
    name = drawing.constant("weights", weights, number_format)
    constants = epilogue_constants(drawing, epilogue, reach)
    return drawing.apply(Conv2D(epilogue, window, x_zero), source, name, *constants)


@bench_case("conv2d", finishing=True)
def draw_case(draw: Draw, kernel: Kernel, output: Epilogue):
    window, size = draw.window()
    x_channels, out_channels = draw.channels(), draw.channels()
    x, w = kernel.formats
    op = Conv2D(output, window, draw.zero_point(x))
    return op, [((*size, x_channels), x), ((out_channels, *window.size, x_channels), w)]


@formula("Conv2D")
def compute(op, x, w):
    def pixel(taps):
        return [
            sum(
                weight * (code - op.x_zero)
                for i, j, r, c in taps
                for weight, code in zip(kernel[i][j], x[r][c], strict=True)
            )
            for kernel in w
        ]

    return map_windows(pixel, op.window, x)
