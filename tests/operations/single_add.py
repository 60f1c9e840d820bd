"""Sum of two tensors of int8 as float32 computes it with fused multiply-adds, in integers."""

from __future__ import annotations

import numpy as np

from tests.drawing.bench import draw_rows
from tests.drawing.formulas import clip, map_rows
from tests.drawing.graphs import draw_code, is_codes
from tests.drawing.partners import draw_partner
from tests.drawing.registry import bench_case, formula, step
from tinyq.graph.ops.single_add import SingleAdd


def draw_sum(rng: np.random.Generator, zero: int) -> SingleAdd:
    """Factors of up to 2; a third of them powers of two, with halves."""
    shift = int(rng.integers(24, 46))
    numbers: list[int] = []
    for _ in range(3):
        multiplier = int(rng.integers(1 - 2**24, 2**24))
        numbers += [multiplier if rng.random() < 0.7 else 1 << 23, int(rng.integers(0, shift - 23))]
    moved = int(rng.choice([0, 128]))
    return SingleAdd(0.5, zero, int(rng.choice([-128, -50])), 127, moved, *numbers, shift)


@step(is_codes)
def draw_step(drawing, source: str) -> str:
    other = draw_partner(drawing, source)
    return drawing.apply(draw_sum(drawing.rng, draw_code(drawing)), source, other)


@bench_case("singleadd")
def draw_case(draw, kernel):
    shape = draw_rows(draw)
    op = draw_sum(draw.rng, draw.zero_point("s8"))
    return op, [(shape, name) for name in kernel.formats]


@formula("SingleAdd")
def compute(op, x, y):
    unit = 2.0**-op.shift
    factors = [
        float(mantissa * 2**power) * unit
        for mantissa, power in (
            (op.x_multiplier, op.x_shift),
            (op.y_multiplier, op.y_shift),
            (op.offset, op.offset_shift),
        )
    ]

    def code(a, b):  # each float64 sum is exact: its terms have 32 bits and lie close
        inner = np.float32((b + op.moved) * factors[1] + factors[2])
        outer = np.float32((a + op.moved) * factors[0] + float(inner))
        return clip(int(np.rint(outer)) - op.moved, op.lo, op.hi)

    return map_rows(lambda first, second: [*map(code, first, second)], x, y)
