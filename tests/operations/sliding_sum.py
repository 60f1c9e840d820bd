"""The sum over a window that moves on: what comes in is added, what goes out is taken off."""

from __future__ import annotations

import numpy as np

from tests.drawing.graphs import Drawing, draw_bias, is_image, is_small, widest
from tests.drawing.registry import bench_case, formula, step
from tinyq.graph.epilogues import Raw
from tinyq.graph.ops.sliding_sum import SlidingSum
from tinyq.graph.ops.sum_pool2d import SumPool2D
from tinyq.graph.ops.window import Window


@step(lambda x: is_image(x) and is_small(x))
def draw_step(drawing: Drawing, source: str) -> str:
    """Of three sums over parts of one image, between limits that clip some of them."""
    x = drawing.type(source)
    reach = widest(x, x.zero_point) * x.shape[0] * x.shape[1]
    sums = [add_sum(drawing, source, reach) for _ in range(3)]
    limits = sorted(drawing.integer(-3 * reach, 3 * reach) for _ in range(2))
    return drawing.apply(SlidingSum(*limits), *sums)


def add_sum(drawing: Drawing, source: str, reach: int) -> str:
    x = drawing.type(source)
    size = (drawing.integer(1, x.shape[0]), drawing.integer(1, x.shape[1]))
    window = Window(size, (x.shape[0], x.shape[1]))
    bias = np.clip(draw_bias(drawing, np.full(x.shape[2], reach)), -reach, reach)
    name = drawing.constant(f"bias_{len(drawing.tensors)}", bias, "s32")
    return drawing.apply(SumPool2D(Raw(), window, x.zero_point), source, name)


@bench_case("slidingsum")
def draw_case(draw, kernel):
    shape = (draw.size(3), draw.channels())
    limits = sorted(draw.integer(-(2**21), 2**21) for _ in range(2))
    return SlidingSum(*limits), [(shape, "s32")] * 3


@formula("SlidingSum")
def compute(op, x, coming, leaving):
    def join(one, two, three):
        if isinstance(one, list):
            return [join(*each) for each in zip(one, two, three, strict=True)]
        return min(max(one + two - three, op.lo), op.hi)

    return join(x, coming, leaving)
