"""The same values under another shape."""

from __future__ import annotations

import numpy as np

from tests.drawing.bench import Draw
from tests.drawing.graphs import Drawing, is_small
from tests.drawing.registry import bench_case, formula, step
from tinyq.graph.ops.reshape import Reshape
from tinyq.kernels.base import Kernel


@step(is_small)
def draw_step(drawing: Drawing, source: str) -> str:
    x = drawing.type(source)
    size = int(np.prod(x.shape))
    divisors = [value for value in range(1, size + 1) if size % value == 0]
    shape: tuple[int, ...] = (size,)
    if drawing.chance(0.6):
        inner = x.shape[-1] if drawing.chance(0.4) else int(drawing.choose(divisors))
        rest = size // inner
        height = int(drawing.choose([value for value in divisors if rest % value == 0]))
        shape = (height, rest // height, inner)
    return drawing.apply(Reshape(shape), source)


@bench_case("reshape")
def draw_case(draw: Draw, kernel: Kernel):
    rows, channels = draw.size(6), draw.channels()
    total = rows * channels
    inner = int(draw.rng.choice([n for n in range(1, total + 1) if total % n == 0]))
    op = Reshape((total // inner, inner))
    return op, [((rows, channels), kernel.formats[0])]


@formula("Reshape")
def compute(op, x):
    flat = x
    while isinstance(flat[0], list):
        flat = [value for part in flat for value in part]
    for size in reversed(op.shape[1:]):
        flat = [flat[start : start + size] for start in range(0, len(flat), size)]
    return flat
