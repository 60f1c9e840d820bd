"""Random cases for every kernel: sizes around the words, all strides and paddings.

The operations and operands are drawn by tests/operations.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from tests.bitexact.bench import Case, type_of
from tests.drawing.bench import Draw
from tests.drawing.graphs import draw_table
from tests.operations import REGISTRY
from tinyq.graph import Op, TensorType
from tinyq.graph.accumulating import Accumulating
from tinyq.kernels.base import Kernel
from tinyq.kernels.epilogues import EpilogueFunction, list_epilogues
from tinyq.kernels.registry import list_kernels

_FIRST = frozenset(("b1", "t2", "s4", "s8", "s16", "s32", "u4", "u8"))
_EACH = 5  # no divisor of the number of formats


def draw_cases(kernel: Kernel, rng: np.random.Generator, count: int) -> Iterator[Case]:
    """Cases of a kernel: ``count`` with each of its epilogues, or ``count`` where it has none."""
    draw = Draw(rng)
    if kernel.operation in REGISTRY.plain:
        for _ in range(count):
            op, operands = REGISTRY.plain[kernel.operation](draw, kernel)
            yield from finish_case(draw, kernel, None, op, operands)
        return
    for epilogue in _list_epilogues(kernel):
        for _ in range(count):
            output = draw.epilogue(epilogue)
            op, operands = REGISTRY.finishing[kernel.operation](draw, kernel, output)
            yield from finish_case(draw, kernel, epilogue, op, operands)


def _list_epilogues(kernel: Kernel) -> tuple[EpilogueFunction, ...]:
    """All epilogues for the kernels of the first formats, every fifth in turn for the many others.

    Loops and epilogues meet in every combination of the former; formats change the product alone.
    """
    epilogues = list_epilogues()
    if _FIRST.issuperset(kernel.formats):
        return epilogues
    place = [entry.name for entry in list_kernels()].index(kernel.name)
    return epilogues[place % _EACH :: _EACH]


def finish_case(
    draw: Draw,
    kernel: Kernel,
    epilogue: EpilogueFunction | None,
    op: Op,
    operands: list[tuple[tuple[int, ...], str]],
) -> Iterator[Case]:
    axis = -1 if op.kernel == "depthwise2d" else 0
    types = [TensorType(shape, draw_table(draw.rng, name, shape, axis)) for shape, name in operands]
    codes = [draw.codes(entry.shape, entry.format) for entry in types]
    if op.kernel in REGISTRY.tables:
        REGISTRY.tables[op.kernel](draw, op, codes)
    if epilogue is not None and isinstance(op, Accumulating):
        data = [c[None] if index in op.batched else c for index, c in enumerate(codes)]
        acc = op.accumulate(*data)
        tables = [table.astype(np.int32) for table in draw.tables(op.output, acc)]
        codes += tables
        types += [type_of(table.shape, "s32") for table in tables]
    case = Case(op, tuple(types), tuple(codes), kernel, epilogue)
    yield case
    for index in op.in_place:
        output = case.output
        if types[index].format == output.format and types[index].shape == output.shape:
            yield Case(op, tuple(types), tuple(codes), kernel, epilogue, shares=index)
