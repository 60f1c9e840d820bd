"""Operations of two operands: constants in the place of data, equal operands, one channel.

Every pair of formats that the operation has kernels for, on every core with kernels of its own.
``TINYQ_EMULATOR_CASES`` sets how many graphs each operation and constant has.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping
from itertools import product
from types import MappingProxyType

import numpy as np
import pytest

from tests.cores import CORES
from tests.drawing.bench import Draw
from tests.fast_graphs import add_tables
from tests.many_graphs import Case, ask_device
from tests.operations import REGISTRY
from tests.operations.offset_add import draw_table
from tests.operations.single_add import draw_sum
from tests.selected import emit_for
from tinyq.graph import Graph, GraphBuilder, Op, TensorType
from tinyq.graph.accumulating import Accumulating
from tinyq.graph.epilogues import Requantize, RequantizeTwice
from tinyq.graph.ops import OPERATIONS
from tinyq.graph.reference import run
from tinyq.hardware.boards import find_board
from tinyq.kernels.registry import list_kernels
from tinyq.numerics.formats import find_format
from tinyq.selection import prefer_isas

BOARDS = {**CORES, "rv32": find_board("riscv-virt")}
# Which operands are constants; "same": both are the input.
OPERANDS = ("first", "second", "same")
SHAPES = ((1, 1, 1), (3, 5, 1), (2, 3, 7), (2, 2, 32))
FORMATS = ("s8", "u4", "u2", "b1")
BINARY = tuple(name for name, kind in OPERATIONS.items() if kind.batched == (0, 1))
SAMPLES = 3
CASES = int(os.environ.get("TINYQ_EMULATOR_CASES", "1"))


def _make_add(rng: np.random.Generator) -> Op:
    factors = (int(value) for value in rng.integers(-99, 99, 2))
    return OPERATIONS["Add"](Requantize("s8", 1.0, 3, -128, 127), *factors)


def _make_tflite_add(rng: np.random.Generator) -> Op:
    terms = [(int(rng.integers(2**30, 2**31)), -int(rng.integers(0, 8))) for _ in range(2)]
    epilogue = RequantizeTwice("s8", 1.0, 5, -128, 127)
    return OPERATIONS["TfliteAdd"](epilogue, *terms[0], *terms[1], 1, 20, 3, -7)


def _make_squared_difference(rng: np.random.Generator) -> Op:
    terms = [(int(rng.integers(2**30, 2**31)), -int(rng.integers(1, 8))) for _ in range(2)]
    epilogue = RequantizeTwice("s8", 1.0, 5, -128, 127)
    return OPERATIONS["TfliteSquaredDifference"](epilogue, *terms[0], *terms[1], 3, -7)


def _make_divide(rng: np.random.Generator) -> Op:
    scale = int(rng.integers(2**30, 2**31)), int(rng.integers(-31, 24))
    return OPERATIONS["TfliteDivide"](*scale, *map(int, rng.integers(-128, 128, 3)), 0.5, -128, 127)


MAKERS: Mapping[str, Callable[[np.random.Generator], Op]] = MappingProxyType(
    {
        "Add": _make_add,
        "Concatenate": lambda _: OPERATIONS["Concatenate"](),
        "MatrixMultiply": lambda _: OPERATIONS["MatrixMultiply"](
            Requantize("s8", 1.0, 3, -128, 127)
        ),
        "Extremum": lambda rng: OPERATIONS["Extremum"](int(rng.integers(0, 2))),
        "Gather": lambda rng: OPERATIONS["Gather"](int(rng.integers(0, 2))),
        "Multiply": lambda _: OPERATIONS["Multiply"](Requantize("s8", 1.0, 3, -128, 127), 3, -7),
        "OffsetAdd": lambda _: OPERATIONS["OffsetAdd"](0.5, -3, -128, 127),
        "SingleAdd": lambda rng: draw_sum(rng, int(rng.integers(-128, 128))),
        "TfliteAdd": _make_tflite_add,
        "TfliteDivide": _make_divide,
        "TfliteSquaredDifference": _make_squared_difference,
    }
)
# Imported operations know int8 alone, and a concatenation joins equal formats.
PAIRS: Mapping[str, tuple[tuple[str, str], ...]] = MappingProxyType(
    {
        "Add": tuple(product(FORMATS, FORMATS)),
        "Concatenate": tuple((name, name) for name in FORMATS),
        "MatrixMultiply": (("s8", "s8"),),
        "Extremum": (("s8", "s8"),),
        "Gather": (("s8", "s32"), ("s16", "s32")),
        "Multiply": (("s8", "s8"),),
        "OffsetAdd": (("s8", "s8"), ("s8", "s32"), ("s32", "s8")),
        "SingleAdd": (("s8", "s8"),),
        "TfliteAdd": (("s8", "s8"),),
        "TfliteDivide": (("s8", "s8"),),
        "TfliteSquaredDifference": (("s8", "s8"),),
    }
)


# Shapes of the operands where they are not those of SHAPES, twice.
OPERAND_SHAPES: Mapping[str, Callable[..., tuple[tuple[int, ...], tuple[int, ...]]]] = (
    MappingProxyType({"Gather": lambda rows, columns, channels: ((rows, channels), (columns,))})
)
# Constants after the operands, of so many channels.
CONSTANTS: Mapping[str, Callable[[np.random.Generator, int], np.ndarray]] = MappingProxyType(
    {"OffsetAdd": lambda rng, channels: draw_table(rng, channels, 20).astype(np.int32)}
)


def test_every_operation_of_two_operands_is_drawn():
    assert MAKERS.keys() == PAIRS.keys()
    drawn = {*MAKERS, *(name for name in BINARY if OPERATIONS[name].kernel in REGISTRY.plain)}
    missing = [name for name in BINARY if name not in drawn]
    assert not missing, f"say in MAKERS and PAIRS of {__name__} how to draw {', '.join(missing)}"


def draw_operand(rng: np.random.Generator, shape: tuple[int, ...], name: str) -> np.ndarray:
    entry = find_format(name)
    if name == "s32":  # as wide as what adds them takes, and as indices both inside and outside
        return rng.integers(-(2**19), 2**19, shape).astype(np.int32) >> int(rng.integers(0, 18))
    low = rng.integers(0, (entry.hi - entry.lo) // entry.step + 1, shape)
    return (entry.lo + low * entry.step).astype(np.int32)


def make_graph(
    rng: np.random.Generator, name: str, kind: str, shape: tuple[int, ...], operands: str
) -> Graph:
    """A graph whose input is one operand, or both."""
    operation, pairs = MAKERS[kind](rng), PAIRS[kind]
    formats = pairs[int(rng.integers(len(pairs)))]
    if operands == "same":
        formats = (formats[0],) * 2
    place = 1 if operands == "first" else 0
    shapes = OPERAND_SHAPES[kind](*shape) if kind in OPERAND_SHAPES else (shape, shape)
    types = [
        TensorType(each, find_format(entry)) for each, entry in zip(shapes, formats, strict=True)
    ]
    builder = GraphBuilder.start(name, types[place])
    names = ["input", "input"]
    if operands != "same":
        names[1 - place] = builder.constant(
            "other",
            draw_operand(rng, shapes[1 - place], formats[1 - place]),
            types[1 - place].format,
        )
    tables: list[str] = []
    if kind in CONSTANTS:
        table = CONSTANTS[kind](rng, shape[-1])
        tables = [builder.constant("constants", table, find_format("s32"))]
    if isinstance(operation, Accumulating):
        samples = [draw_operand(rng, (8, *shape), each) for each in formats]
        sums = operation.accumulate(*samples)
        tables = (
            _add_twice(builder, sums)
            if isinstance(operation.output, RequantizeTwice)
            else add_tables(builder, rng, operation.output, sums, True)
        )
    return builder.build(builder.apply("layer", operation, *names, *tables))


def _add_twice(builder: GraphBuilder, sums: np.ndarray) -> list[str]:
    """Constants of an epilogue that rounds twice, for sums of about 28 bits."""
    channels, s32 = sums.shape[-1], find_format("s32")
    exponent = 7 - math.ceil(math.log2(np.abs(sums).max() + 1))
    values = (7, 2**30 + 12345, min(exponent, 0))
    return [
        builder.constant(f"constant_{index}", np.full(channels, value, np.int32), s32)
        for index, value in enumerate(values)
    ]


def draw_other(
    rng: np.random.Generator, name: str, kind: str, operands: str
) -> tuple[Graph, np.ndarray]:
    """The same of an operation whose operands its file in tests/operations draws, with inputs."""
    draw, operation = Draw(rng), OPERATIONS[kind]
    kernels = [
        each
        for each in list_kernels()
        if each.operation == operation.kernel and each.isa == "generic"
    ]
    kernel = kernels[int(rng.integers(len(kernels)))]
    op, shapes = REGISTRY.plain[kernel.operation](draw, kernel)
    if operands == "same":
        shapes[1] = shapes[0]
    types = [TensorType(shape, find_format(entry)) for shape, entry in shapes]
    place = 1 if operands == "first" else 0
    samples = [draw_codes(draw, op, types) for _ in range(SAMPLES)]
    builder = GraphBuilder.start(name, types[place])
    same = {0, 1} if operands == "same" else {place}
    names = [
        "input"
        if index in same
        else builder.constant(f"constant_{index}", samples[0][index], entry.format)
        for index, entry in enumerate(types)
    ]
    inputs = np.stack([codes[place] for codes in samples])
    return builder.build(builder.apply("layer", op, *names)), inputs


def draw_codes(draw: Draw, op: Op, types: list[TensorType]) -> list[np.ndarray]:
    codes = [draw.codes(entry.shape, entry.format) for entry in types]
    if op.kernel in REGISTRY.tables:
        REGISTRY.tables[op.kernel](draw, op, codes)
    return codes


# The second operand is a number of bits or a divisor: its range is proven, so that it is constant.
PROVEN = ("IntegerDivide", "LevelCorrection", "ShiftUp", "SquareRoot")


def list_operands(kind: str) -> tuple[str, ...]:
    """Which of OPERANDS the operation takes."""
    if kind in PROVEN:
        return ("second",)
    unequal = kind in OPERAND_SHAPES or kind == "NoiseEstimate"
    return tuple(each for each in OPERANDS if each != "same" or not unequal)


def make_case(seed: int, index: int, kind: str, operands: str, isa: str) -> Case:
    rng = np.random.default_rng((seed, index, 6))
    if kind in MAKERS:
        graph = make_graph(rng, f"model_{index}", kind, SHAPES[index % len(SHAPES)], operands)
        entry, shape = graph.input.type.format, graph.input.type.shape
        codes = draw_operand(rng, (SAMPLES, *shape), entry.name)
    else:
        graph, codes = draw_other(rng, f"model_{index}", kind, operands)
    return Case(
        graph,
        emit_for(graph, prefer_isas(isa)),
        graph.input.type.format.pack(codes).reshape(SAMPLES, -1),
        graph.output.type.format.pack(run(graph, codes)).reshape(SAMPLES, -1),
    )


@pytest.mark.parametrize("isa", BOARDS)
def test_constant_and_equal_operands_answer_as_the_reference(isa, seed, tmp_path):
    chosen = [
        (kind, operands)
        for kind in BINARY
        for operands in list_operands(kind)
        for _ in range(CASES * (4 if kind == "Add" else 1))
    ]
    cases = [make_case(seed, i, kind, operands, isa) for i, (kind, operands) in enumerate(chosen)]
    replies = ask_device(cases, BOARDS[isa], tmp_path / "out")
    wrong = [
        f"{kind}, {operands}: {case.graph.types(case.graph.nodes[0])}"
        for (kind, operands), case, got in zip(chosen, cases, replies, strict=True)
        if not np.array_equal(got, case.answers)
    ]
    assert not wrong, "\n".join(wrong)
