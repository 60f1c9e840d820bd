"""Two-dimensional transposed convolution."""

from __future__ import annotations

import numpy as np

from tests.drawing.graphs import draw_code, is_code_image
from tests.drawing.registry import bench_case, formula, step
from tinyq.graph.ops.transpose_conv2d import TransposeConv2D
from tinyq.graph.ops.window import Window


@step(is_code_image)
def draw_step(drawing, source: str) -> str:
    x = drawing.type(source)
    size = drawing.integer(1, 3), drawing.integer(1, 3)
    stride = drawing.integer(1, 3), drawing.integer(1, 3)
    padding = tuple(drawing.integer(0, size[axis // 2] - 1) for axis in range(4))
    grown = [
        (length - 1) * step + reach - before - after + drawing.integer(0, step - 1)
        for length, step, reach, (before, after) in zip(
            x.shape[:2], stride, size, (padding[:2], padding[2:]), strict=True
        )
    ]
    if min(grown) < 1:
        padding, grown = (
            (0, 0, 0, 0),
            [
                (length - 1) * step + reach
                for length, step, reach in zip(x.shape[:2], stride, size, strict=True)
            ],
        )
    epilogue, channels = drawing.epilogue(), drawing.integer(1, 9)
    number_format = str(drawing.choose(("s8", "s4")))
    half = 128 if number_format == "s8" else 8
    weights = drawing.rng.integers(-half, half, (channels, *size, x.shape[2]))
    reach = np.abs(weights).sum(axis=(1, 2, 3)) * 255
    name = drawing.constant("weights", weights, number_format)
    constants = drawing.epilogue_constants(epilogue, reach)
    window = Window(size, stride, (1, 1), padding)
    operation = TransposeConv2D(epilogue, window, (grown[0], grown[1]), draw_code(drawing))
    return drawing.apply(operation, source, name, *constants)


@bench_case("transposeconv2d", finishing=True)
def draw_case(draw, kernel, output):
    size = draw.integer(1, 4), draw.integer(1, 4)
    stride = draw.integer(1, 3), draw.integer(1, 3)
    pads = tuple(draw.integer(0, size[axis // 2] - 1) for axis in range(4))
    window = Window(size, stride, (1, 1), pads)
    least = [max(1, size[0] - pads[0] - pads[1]), max(1, size[1] - pads[2] - pads[3])]
    target = (least[0] + draw.size(6) - 1, least[1] + draw.size(6) - 1)
    x, w = kernel.formats
    channels, out_channels = draw.channels(), draw.channels()
    image = (*window.output_size((*target, 1)), channels)
    op = TransposeConv2D(output, window, target, draw.zero_point(x))
    return op, [(image, x), ((out_channels, *size, channels), w)]


@formula("TransposeConv2D")
def compute(op, x, w):
    top, _, left, _ = op.window.padding
    down, across = op.window.stride
    height, width = op.size
    acc = [[[0] * len(w) for _ in range(width)] for _ in range(height)]
    for r, line in enumerate(x):
        for c, codes in enumerate(line):
            for o, kernel in enumerate(w):
                for i, kernel_row in enumerate(kernel):
                    for j, weights in enumerate(kernel_row):
                        row, column = r * down + i - top, c * across + j - left
                        if 0 <= row < height and 0 <= column < width:
                            acc[row][column][o] += sum(
                                weight * (code - op.x_zero)
                                for weight, code in zip(weights, codes, strict=True)
                            )
    return acc
