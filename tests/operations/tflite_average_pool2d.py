"""Mean of each window with TFLite's rounding."""

from __future__ import annotations

from tests.drawing.formulas import clip, map_windows, mean_away
from tests.drawing.graphs import draw_code, is_code_image
from tests.drawing.registry import bench_case, formula, step
from tinyq.graph.ops.tflite_average_pool2d import TfliteAveragePool2D
from tinyq.graph.ops.window import Window
from tinyq.numerics.formats import find_format


@step(is_code_image)
def draw_step(drawing, source: str) -> str:
    height, width, _ = drawing.type(source).shape
    size = drawing.integer(1, height), drawing.integer(1, width)
    padding = tuple(drawing.integer(0, size[axis // 2] - 1) for axis in range(4))
    window = Window(size, (drawing.integer(1, 2), drawing.integer(1, 2)), (1, 1), padding)
    lo = draw_code(drawing)
    return drawing.apply(TfliteAveragePool2D(window, lo, drawing.integer(lo, 127)), source)


@bench_case("tfliteaveragepool2d")
def draw_case(draw, kernel):
    window, size = draw.window()
    window = Window(window.size, window.stride, (1, 1), window.padding)
    (x,) = kernel.formats
    limits = find_format(x)
    low = draw.integer(limits.lo, 0)
    op = TfliteAveragePool2D(window, low, draw.integer(low, limits.hi))
    return op, [((*size, draw.channels()), x)]


@formula("TfliteAveragePool2D")
def compute(op, x):
    def pixel(taps):
        return [
            clip(mean_away(sum(x[r][c][k] for _, _, r, c in taps), len(taps)), op.lo, op.hi)
            for k in range(len(x[0][0]))
        ]

    return map_windows(pixel, op.window, x)
