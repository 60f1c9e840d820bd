"""Depthwise convolution: every channel has its own kernels."""

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
    widest,
)
from tests.drawing.registry import bench_case, formula, step
from tinyq.graph.epilogues import Epilogue
from tinyq.graph.ops.depthwise_conv2d import DepthwiseConv2D
from tinyq.kernels.base import Kernel


@step(is_weighted_image, weight=2)
def draw_step(drawing: Drawing, source: str) -> str:
    x = drawing.type(source)
    window, epilogue = draw_window(drawing, x.shape), draw_epilogue(drawing)
    x_zero = draw_x_zero(drawing, x)
    multiplicity = drawing.integer(1, 3) if drawing.chance(0.3) else 1
    shape = (*window.size, x.shape[2] * multiplicity)
    weights, number_format = draw_weights(drawing, shape, axis=-1)
    reach = np.abs(weights.astype(np.int64)).sum(axis=(0, 1)) * widest(x, x_zero)
    name = drawing.constant("weights", weights, number_format)
    constants = epilogue_constants(drawing, epilogue, reach)
    return drawing.apply(DepthwiseConv2D(epilogue, window, x_zero), source, name, *constants)


@bench_case("depthwise2d", finishing=True)
def draw_case(draw: Draw, kernel: Kernel, output: Epilogue):
    window, size = draw.window()
    channels, multiplicity = draw.channels(), draw.integer(1, 3)
    x, w = kernel.formats
    op = DepthwiseConv2D(output, window, draw.zero_point(x))
    return op, [((*size, channels), x), ((*window.size, channels * multiplicity), w)]


@formula("DepthwiseConv2D")
def compute(op, x, w):
    multiplicity = len(w[0][0]) // len(x[0][0])

    def pixel(taps):
        return [
            sum(w[i][j][o] * (x[r][c][o // multiplicity] - op.x_zero) for i, j, r, c in taps)
            for o in range(len(w[0][0]))
        ]

    return map_windows(pixel, op.window, x)
