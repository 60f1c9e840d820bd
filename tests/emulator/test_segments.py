"""Sums of so many taps that a kernel adds them up from segments, on the emulated core.

Other draws are of layers small enough for many of them to share an image.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from tests.cores import CORES
from tests.emulator.test_fast_kernels import SPECIAL, draw_inputs
from tests.fast_graphs import add_tables, draw_codes, draw_epilogue
from tests.many_graphs import Case, ask_device
from tests.selected import emit_for, list_specialized
from tinyq.errors import ModelError
from tinyq.graph import Graph, GraphBuilder, TensorType
from tinyq.graph.ops import OPERATIONS
from tinyq.graph.ops.window import Window
from tinyq.graph.reference import run
from tinyq.kernels.base import Bound, Kernel
from tinyq.numerics.formats import find_format

ISA = "armv7em"
FORMATS = (("s8", "int8"), ("s16", "s8"))
VARIANTS = ("sumscolumns", "sumslanes", "sumswords", "twicelanes")
KERNELS = [
    kernel
    for kernel in SPECIAL
    if kernel.isa == ISA
    and kernel.variant in VARIANTS
    and kernel.formats in FORMATS
    and (kernel.variant, kernel.formats[0]) != ("sumscolumns", "s8")
]
TRIES, GRAPHS = 200, 2


def draw_long(rng: np.random.Generator, kernel: Kernel, name: str) -> Graph:
    """A layer of hundreds of taps, few channels and few outputs."""
    x, w = find_format(kernel.formats[0]), find_format("s8")
    outputs = int(rng.choice((1, 2, 3, 4, 5, 8, 9)))
    epilogue = draw_epilogue(rng, kernel, ("s8", "u8"))
    zero = int(rng.choice((x.lo, 0, x.hi, rng.integers(x.lo, x.hi + 1))))
    if kernel.operation == "dense":
        inputs = int(rng.integers(260, 900))
        shape, weights = (1, inputs), (outputs, inputs)
        operation = OPERATIONS["Dense"](epilogue, zero)
    else:
        channels, height, width = (int(v) for v in rng.integers((40, 2, 3), (90, 4, 4)))
        shape, weights = (height, width, channels), (outputs, 3, 3, channels)
        operation = OPERATIONS["Conv2D"](epilogue, Window((3, 3), padding=(1, 1, 0, 0)), zero)
    codes = draw_codes(rng, weights, w)
    builder = GraphBuilder.start(name, TensorType(shape, x))
    samples = rng.integers(x.lo, x.hi + 1, (3, *shape)).astype(np.int32)
    tables = add_tables(builder, rng, epilogue, operation.accumulate(samples, codes), False)
    constant = builder.constant("weights", codes, w)
    return builder.build(builder.apply("layer", operation, "input", constant, *tables))


def draw_segmented(rng: np.random.Generator, kernel: Kernel, prefix: str) -> Iterator[Graph]:
    """Graphs of which the kernel takes the sums in several segments."""
    found = 0
    for _ in range(TRIES):
        try:
            graph = draw_long(rng, kernel, f"{prefix}_{found}")
        except ModelError:  # sums of any codes leave int32, those of samples did not
            continue
        if any(
            isinstance(bound, Bound)
            and bound.kernel.name == kernel.name
            and bound.values["s"].segments > 1
            for bound in list_specialized(graph, graph.nodes[0], (ISA,))
        ):
            yield graph
            found += 1
        if found == GRAPHS:
            return
    raise AssertionError(f"{kernel.name} took {found} of {TRIES} graphs in segments")


def make_cases(kernel: Kernel, position: int, seed: int) -> list[Case]:
    rng = np.random.default_rng((seed, position, 11))
    cases = []
    for graph in draw_segmented(rng, kernel, f"model_{position}"):
        tree = emit_for(graph, (ISA, "generic"), {"layer": kernel.name})
        codes = draw_inputs(rng, graph)
        packed = graph.input.type.format.pack(codes).reshape(len(codes), -1)
        answers = graph.output.type.format.pack(run(graph, codes)).reshape(len(codes), -1)
        cases.append(Case(graph, tree, packed, answers))
    return cases


def test_sums_are_added_up_from_segments(seed: int, tmp_path: Path) -> None:
    assert len(KERNELS) == 7, [kernel.name for kernel in KERNELS]
    named = [(k, make_cases(k, place, seed)) for place, k in enumerate(KERNELS)]
    cases = [case for _, drawn in named for case in drawn]
    owners = [kernel.name for kernel, drawn in named for _ in drawn]
    replies = ask_device(cases, CORES[ISA], tmp_path / "out")
    wrong = [
        f"{owner}: {case.graph.nodes[0].op}, {case.graph.types(case.graph.nodes[0])}"
        for owner, case, got in zip(owners, cases, replies, strict=True)
        if not np.array_equal(got, case.answers)
    ]
    assert not wrong, "\n".join(wrong)
