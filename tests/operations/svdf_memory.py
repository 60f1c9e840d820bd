"""An SVDF layer behind its features: weights over time, times the features of the last steps."""

from __future__ import annotations

import numpy as np

from tests.drawing.graphs import is_codes
from tests.drawing.registry import bench_case, bench_tables, formula, step
from tinyq.graph.epilogues import RequantizeTwice
from tinyq.graph.ops.dense import Dense
from tinyq.graph.ops.reshape import Reshape
from tinyq.graph.ops.svdf_memory import SvdfMemory
from tinyq.numerics.fixed_point import quantize_multiplier

FILTERS = 6


@step(lambda x: is_codes(x) and len(x.shape) == 1)
def draw_step(drawing, source: str) -> str:
    """Features of a dense layer, as if all of them were of one filter's last steps."""
    x, rank = drawing.type(source), int(drawing.choose((1, 2, 3)))
    columns = drawing.integer(1, 4)
    count, units = FILTERS * columns, FILTERS // rank
    weights = drawing.rng.integers(-128, 128, (count, x.shape[-1]))
    mantissa, exponent = quantize_multiplier(float(drawing.rng.uniform(0.001, 0.5)))
    features = drawing.apply(
        Dense(RequantizeTwice("s16", 0.25, 0, -(2**15), 2**15 - 1), x.zero_point),
        source,
        drawing.constant("weights", weights, "s8"),
        drawing.constant("bias", np.zeros(count, int), "s32"),
        drawing.constant("multiplier", np.full(count, mantissa), "s32"),
        drawing.constant("exponent", np.full(count, exponent), "s32"),
    )
    memory = drawing.apply(Reshape((FILTERS, columns)), features)
    time = drawing.rng.integers(-(2**11), 2**11, (FILTERS, columns))
    epilogue = drawing.epilogue()
    reach = np.abs(time).reshape(units, -1).sum(axis=1) * 2**15
    names = drawing.constant("time", time, "s16"), *drawing.epilogue_constants(epilogue, reach)
    return drawing.apply(SvdfMemory(epilogue, rank), memory, *names)


@bench_case("svdfmemory", finishing=True)
def draw_case(draw, kernel, output):
    rank, steps = draw.integer(1, 3), draw.size(6)
    shape = (draw.size(5) * rank, steps)
    return SvdfMemory(output, rank), [(shape, name) for name in kernel.formats]


@bench_tables("svdfmemory")
def narrow_codes(draw, op, codes):
    codes[1] >>= 5  # eighteen products of 15 and 10 bits stay within int32


@formula("SvdfMemory")
def compute(op, x, time):
    filters = [
        sum(a * b for a, b in zip(row, weights, strict=True))
        for row, weights in zip(x, time, strict=True)
    ]
    return [sum(filters[at : at + op.rank]) for at in range(0, len(filters), op.rank)]
