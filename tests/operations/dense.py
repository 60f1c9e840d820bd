"""Fully connected layer."""

from __future__ import annotations

import numpy as np

from tests.drawing.bench import CHANNELS, Draw
from tests.drawing.formulas import map_rows
from tests.drawing.graphs import (
    Drawing,
    draw_stage,
    draw_weights,
    draw_x_zero,
    is_weighted,
    out_channels,
    stage_constants,
    widest,
)
from tests.drawing.registry import bench_case, formula, step
from tinyq.graph.epilogues import Epilogue
from tinyq.graph.ops.dense import Dense
from tinyq.kernels.base import Kernel


@step(is_weighted)
def add_dense(drawing: Drawing, source: str, stage: Epilogue | None = None) -> str:
    x = drawing.type(source)
    stage = stage or draw_stage(drawing)
    x_zero = draw_x_zero(drawing, x)
    shape = (out_channels(drawing, stage), x.shape[-1])
    weights, number_format = draw_weights(drawing, shape)
    reach = np.abs(weights.astype(np.int64)).sum(axis=1) * widest(x, x_zero)
    name = drawing.constant("weights", weights, number_format)
    constants = stage_constants(drawing, stage, reach)
    return drawing.apply(Dense(stage, x_zero), source, name, *constants)


@bench_case("dense", staged=True)
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
