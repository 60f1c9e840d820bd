"""Largest value of each window."""

from __future__ import annotations

import numpy as np

from tests.drawing.formulas import map_windows
from tests.drawing.graphs import Drawing, draw_window, is_image
from tests.drawing.registry import bench_case, formula, step
from tinyq.graph.ops.max_pool2d import MaxPool2D
from tinyq.graph.ops.window import Window


@step(is_image)
def draw_step(drawing: Drawing, source: str) -> str:
    return add_pool(drawing, source, MaxPool2D, dilated=True)


def add_pool(drawing: Drawing, source: str, operation: type, dilated: bool) -> str:
    shape = drawing.type(source).shape
    while True:
        window = draw_window(drawing, shape, dilated=dilated)
        inside = window.patches(np.ones((1, *shape), np.int64), 0).sum(axis=(3, 4))
        if inside.min() > 0:
            return drawing.apply(operation(window), source)


@bench_case("maxpool2d")
def draw_case(draw, kernel):
    return draw_pool(MaxPool2D, draw, kernel)


def draw_pool(operation, draw, kernel):
    window, size = draw.window()
    # A dilated window may have all its taps in the padding, where pooling has no value.
    window = Window(window.size, window.stride, (1, 1), window.padding)
    return operation(window), [((*size, draw.channels()), kernel.formats[0])]


@formula("MaxPool2D")
def compute(op, x):
    def pixel(taps):
        return [max(x[r][c][k] for _, _, r, c in taps) for k in range(len(x[0][0]))]

    return map_windows(pixel, op.window, x)
