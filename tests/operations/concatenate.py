"""Tensors side by side along the channels."""

from __future__ import annotations

from tests.drawing.bench import Draw
from tests.drawing.formulas import map_rows
from tests.drawing.graphs import (
    WEIGHTED,
    Drawing,
    draw_format,
    draw_requantize,
    is_activation,
    is_small,
)
from tests.drawing.partners import draw_partner
from tests.drawing.registry import bench_case, formula, step
from tests.operations.dense import add_dense
from tinyq.graph.epilogues import Threshold
from tinyq.graph.ops.concatenate import Concatenate
from tinyq.kernels.base import Kernel


@step(lambda x: is_activation(x) and is_small(x))
def draw_step(drawing: Drawing, source: str) -> str:
    """Two branches of one meaning, side by side; or a tensor with one of its own type."""
    if drawing.chance(0.2) or drawing.type(source).format.name not in WEIGHTED:
        return drawing.apply(Concatenate(), source, draw_partner(drawing, source))
    epilogue = Threshold(0.5)
    if drawing.chance(0.7):
        epilogue = draw_requantize(drawing, draw_format(drawing))
    first = add_dense(drawing, source, epilogue)
    second = add_dense(drawing, source, epilogue)
    return drawing.apply(Concatenate(), first, second)


@bench_case("concatenate")
def draw_case(draw: Draw, kernel: Kernel):
    rows, (x,) = draw.size(3), kernel.formats
    shapes = [((rows, draw.channels()), x) for _ in range(2)]
    return Concatenate(), shapes


@formula("Concatenate")
def compute(op, x, y):
    return map_rows(lambda first, second: first + second, x, y)
