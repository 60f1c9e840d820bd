"""The newest columns of a sequence: the oldest go, new ones come behind."""

from __future__ import annotations

import math

from tests.drawing.graphs import draw_codes, is_small
from tests.drawing.registry import bench_case, formula, step
from tinyq.graph import TensorType
from tinyq.graph.ops.append import Append
from tinyq.graph.ops.strided_copy import StridedCopy


def list_axes(x: TensorType) -> list[int]:
    """Axes that have columns: not the last one of codes of less than a byte."""
    return list(range(len(x.shape) - bool(x.format.bits % 8)))


def has_columns(x: TensorType) -> bool:
    return is_small(x) and not x.format.table and bool(list_axes(x))


@step(has_columns)
def draw_step(drawing, source: str) -> str:
    """A constant, or the first columns of the tensor itself, behind the tensor or before it."""
    x = drawing.type(source)
    axis = int(drawing.choose(list_axes(x)))
    count = drawing.integer(1, x.shape[axis])
    shape = (*x.shape[:axis], count, *x.shape[axis + 1 :])
    if drawing.chance(0.5) and x.format.name in ("s8", "u8", "s16", "s32"):
        steps = tuple(math.prod(x.shape[place + 1 :]) for place in range(len(shape)))
        return drawing.apply(Append(axis), source, drawing.apply(StridedCopy(shape, steps), source))
    name = f"constant_{drawing.count}_columns_{len(drawing.tensors)}"
    codes = draw_codes(drawing.rng, x.format, shape)
    new = drawing.builder.constant(name, codes, x.format, x.scale, x.zero_point)
    return drawing.apply(Append(axis), source, new)


@bench_case("append")
def draw_case(draw, kernel):
    (x,) = kernel.formats
    shape = (draw.size(4), draw.integer(4, 12), draw.channels())
    axis = draw.integer(0, 1 if x in ("b1", "s2", "s3", "s4", "u2", "u4") else 2)
    count = draw.integer(1, shape[axis])
    return Append(axis), [(shape, x), ((*shape[:axis], count, *shape[axis + 1 :]), x)]


@formula("Append")
def compute(op, x, new):
    def join(one, other, depth):
        if depth == 0:
            return (one + other)[len(other) :]
        return [join(a, b, depth - 1) for a, b in zip(one, other, strict=True)]

    return join(x, new, op.axis)
