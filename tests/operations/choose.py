"""One of two tensors, by a code that is computed."""

from __future__ import annotations

import math

from tests.drawing.formulas import flatten, pairs
from tests.drawing.graphs import is_codes
from tests.drawing.registry import bench_case, formula, step
from tests.operations.tflite_wide_softmax import add_wide
from tinyq.graph.ops.choose import Choose
from tinyq.graph.ops.linear_filter import LinearTransform
from tinyq.graph.ops.reshape import Reshape


@step(is_codes)
def draw_step(drawing, source: str) -> str:
    """One scaling or another, by the sign of a sum."""
    wide = add_wide(drawing, source)
    count = math.prod(drawing.type(wide).shape)
    signs = drawing.constant("signs", drawing.rng.integers(-1, 2, (1, count)), "s16")
    flat = drawing.apply(Reshape((count,)), wide)
    condition = drawing.apply(LinearTransform(0), flat, signs)
    other = add_wide(drawing, source)
    return drawing.apply(Choose(), wide, other, condition)


@bench_case("choose")
def draw_case(draw, kernel):
    shape, (name,) = (draw.size(3), draw.channels()), kernel.formats
    return Choose(), [(shape, name), (shape, name), ((1,), "s16")]


@formula("Choose")
def compute(op, x, y, condition):
    (first,) = flatten(condition)
    return pairs(lambda a, b: a if first > 0 else b, x, y)
