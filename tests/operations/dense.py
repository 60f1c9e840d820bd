"""Fully connected layer."""

from __future__ import annotations

import numpy as np

from tests.drawing.bench import CHANNELS, Draw
from tests.drawing.formulas import map_rows
from tests.drawing.graphs import (
    Drawing,
    draw_epilogue,
    draw_weights,
    draw_x_zero,
    epilogue_constants,
    is_weighted,
    out_channels,
    widest,
)
from tests.drawing.registry import bench_case, formula, step
from tinyq.graph.epilogues import Epilogue
from tinyq.graph.ops.dense import Dense
from tinyq.kernels.base import Kernel


@step(is_weighted)
def add_dense(drawing: Drawing, source: str, epilogue: Epilogue | None = None) -> str:
    x = drawing.type(source)
    epilogue = epilogue or draw_epilogue(drawing)
    x_zero = draw_x_zero(drawing, x)
    shape = (out_channels(drawing, epilogue), x.shape[-1])
    weights, number_format = draw_weights(drawing, shape)
    reach = np.abs(weights.astype(np.int64)).sum(axis=1) * widest(x, x_zero)
    name = drawing.constant("weights", weights, number_format)
    constants = epilogue_constants(drawing, epilogue, reach)
    return drawing.apply(Dense(epilogue, x_zero), source, name, *constants)


@bench_case("dense", finishing=True)
def draw_case(draw: Draw, kernel: Kernel, output: Epilogue):
    channels = int(draw.rng.choice([*CHANNELS, 63, 64, 65, 200]))
    x, w = kernel.formats
    op = Dense(output, draw.zero_point(x))
    return op, [((draw.integer(1, 3), channels), x), ((draw.channels(), channels), w)]


@formula("Dense")
def compute(op, x, w):
    def row(codes):
        return [
            sum(weight * (code - op.x_zero) for weight, code in zip(weights, codes, strict=True))
            for weights in w
        ]

    return map_rows(row, x)
