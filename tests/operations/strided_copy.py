"""Transpose, slice, reverse, broadcast: a copy whose source address is affine in the index."""

from __future__ import annotations

import numpy as np

from tests.drawing.formulas import flatten
from tests.drawing.registry import bench_case, formula, step
from tinyq.graph import TensorType
from tinyq.graph.ops.strided_copy import StridedCopy


def is_addressed(x: TensorType) -> bool:
    return x.format.name in ("s8", "u8", "s32") and int(np.prod(x.shape)) <= 1500


@step(is_addressed)
def draw_step(drawing, source: str) -> str:
    """A transpose of the axes, some of them reversed or repeated."""
    shape = drawing.type(source).shape
    steps = [int(np.prod(shape[axis + 1 :])) for axis in range(len(shape))]
    order = [int(axis) for axis in drawing.rng.permutation(len(shape))]
    sizes, strides, start = [], [], 0
    for axis in order:
        turned = drawing.chance(0.3)
        sizes.append(shape[axis])
        strides.append(-steps[axis] if turned else steps[axis])
        start += steps[axis] * (shape[axis] - 1) if turned else 0
    if drawing.chance(0.2):
        sizes.insert(0, 2)
        strides.insert(0, 0)
    return drawing.apply(StridedCopy(tuple(sizes), tuple(strides), start), source)


@bench_case("stridedcopy")
def draw_case(draw, kernel):
    (x,) = kernel.formats
    shape = tuple(draw.size(4) for _ in range(draw.integer(1, 4)))
    order = [int(axis) for axis in draw.rng.permutation(len(shape))]
    strides = [int(np.prod(shape[axis + 1 :])) for axis in range(len(shape))]
    target, steps, start = [], [], 0
    for axis in order:
        step = int(draw.rng.choice([-2, -1, 0, 1, 2]))
        count = draw.size(4) if step == 0 else draw.integer(1, -(-shape[axis] // abs(step)))
        reach = abs(step) * (count - 1)
        begin = draw.integer(0, shape[axis] - 1 - reach)
        start += strides[axis] * (begin + (reach if step < 0 else 0))
        target.append(count)
        steps.append(step * strides[axis])
    return StridedCopy(tuple(target), tuple(steps), start), [(shape, x)]


@formula("StridedCopy")
def compute(op, x):
    flat = flatten(x)

    def box(sizes, strides, start):
        if not sizes:
            return flat[start]
        return [box(sizes[1:], strides[1:], start + i * strides[0]) for i in range(sizes[0])]

    return box(op.shape, op.strides, op.start)
