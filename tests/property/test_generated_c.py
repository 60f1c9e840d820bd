"""Random graphs: the generated C, under AddressSanitizer and UBSan, equals the reference.

``TINYQ_FUZZ_GRAPHS`` sets how many graphs are drawn. A graph that fails is cut to its first wrong
node and kept in build/fuzz/ as a graph file, beside a text that says what went wrong.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from tests.harness import SanitizerError, compile_models, differences
from tests.random_graphs import NOT_DRAWN, draw_graph, draw_inputs
from tinyq.codegen import SourceTree, emit
from tinyq.errors import TinyqError
from tinyq.graph import Graph
from tinyq.graph.accumulating import Accumulating
from tinyq.graph.epilogues import Raw
from tinyq.graph.ops import EPILOGUES, OPERATIONS
from tinyq.graph.storage import save_graph
from tinyq.kernels.epilogues import list_epilogues
from tinyq.kernels.registry import list_kernels
from tinyq.memory.planner import plan

WANTED = os.environ.get("TINYQ_FUZZ_GRAPHS")
GRAPHS = int(WANTED or 300)
PARTS = 4
EMIT = emit
KEPT = Path(__file__).parents[2] / "build" / "fuzz"
# Graphs of one executable: the compiler and its sanitizers start once for all.
BATCH = 50
# Sanitizers find the same at -O0, which compiles in half the time.
FLAGS = ("-g", "-O0", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")


@dataclass(frozen=True, slots=True, eq=False)
class Case:
    """A graph and its inputs, repeatable from the seed and the index."""

    seed: int
    index: int
    graph: Graph
    inputs: np.ndarray

    @property
    def tree(self) -> SourceTree:
        return EMIT(self.graph, plan(self.graph))

    def prefix(self, count: int) -> Case:
        """The case cut after ``count`` nodes."""
        nodes = self.graph.nodes[:count]
        return replace(self, graph=replace(self.graph, nodes=nodes, outputs=(nodes[-1].output,)))


def draw_case(seed: int, index: int) -> Case:
    rng = np.random.default_rng((seed, index))
    graph = draw_graph(rng, f"model_{index}")
    return Case(seed, index, graph, draw_inputs(rng, graph))


def parts(graph: Graph) -> set[tuple[str, ...]]:
    """What the graph exercises: kernels by operation and formats, epilogues by name and format."""
    found: set[tuple[str, ...]] = set()
    for node in graph.nodes:
        formats = [operand.format.name for operand in graph.types(node)]
        found.add((node.op.kernel, *(formats[index] for index in node.op.keyed)))
        if isinstance(node.op, Accumulating):
            epilogue = type(node.op.output).__name__.lower()
            found.add((epilogue, graph.tensors[node.output].type.format.name))
    return found


# Random networks hand sums to no addition; tests/operations/offset_add.py has these.
SUMS_OF_TWO_FORMATS = {("offsetadd", "s32", "s8"), ("offsetadd", "s8", "s32")}
# Random graphs have no plain integers of 32 bits side by side: tests/bitexact/test_kernels.py has
# these, and whole front ends in tests/bitexact/test_front_end.py.
OF_PLAIN_INTEGERS = {("choose", "s32"), ("concatenate", "s32"), ("extremum", "s32", "s32")}


def all_parts() -> set[tuple[str, ...]]:
    known = {operation.kernel for name, operation in OPERATIONS.items() if name not in NOT_DRAWN}
    known |= {name.lower() for name in EPILOGUES if name not in NOT_DRAWN}
    generic = [kernel for kernel in list_kernels() if kernel.isa == "generic"]
    kernels = {(kernel.operation, *kernel.formats) for kernel in generic}
    epilogues = {(it.epilogue, it.format) for it in list_epilogues()}
    # Of 16-bit codes few operations are drawn; tests/bitexact has a network of all of them.
    drawn = {part for part in kernels | epilogues if part[0] in known and "s16" not in part}
    return drawn - SUMS_OF_TWO_FORMATS - OF_PLAIN_INTEGERS


def draw_cases(seed: int, count: int) -> Iterator[Case]:
    """``count`` cases, then more for the kernels and epilogues that those left out."""
    missing = all_parts()
    for index in range(count + 20_000):
        if index >= count and not missing:
            return
        case = draw_case(seed, index)
        found = parts(case.graph)
        if index < count or found & missing:
            yield case
        missing -= found
    pytest.fail(f"no random graph has {sorted(missing)}")


def find_faults(cases: Sequence[Case]) -> list[tuple[Case, str]]:
    """Cases whose program differs from the reference, and how; compiled together."""
    faults, trees = [], []
    for case in cases:
        try:
            trees.append((case, case.tree))
        except TinyqError as error:
            faults.append((case, f"no code: {error}"))
    try:
        programs = compile_models([tree for _, tree in trees], flags=FLAGS)
    except AssertionError as error:
        if len(trees) == 1:
            return [*faults, (trees[0][0], f"does not compile: {error}")]
        return faults + [fault for case, _ in trees for fault in find_faults([case])]
    for (case, _), program in zip(trees, programs, strict=True):
        try:
            wrong = differences(case.graph, program, case.inputs)
        except SanitizerError as error:
            faults.append((case, str(error)[:4000]))
            continue
        if wrong:
            what = "padding bits are not 0" if wrong < 0 else f"{wrong} output codes differ"
            faults.append((case, what))
    return faults


def shorten(case: Case, what: str) -> tuple[Case, str]:
    """The shortest start of the graph that fails, so that its last node is the wrong one."""
    for count in range(1, len(case.graph.nodes)):
        if found := find_faults([case.prefix(count)]):
            return found[0]
    return case, what


def keep(case: Case, what: str) -> str:
    """Write a failing case to build/fuzz/; returns one line about it."""
    stem = f"seed_{case.seed}_graph_{case.index}"
    save_graph(case.graph, KEPT / f"{stem}.tqg")
    last = case.graph.nodes[-1]
    operands = ", ".join(str(operand) for operand in case.graph.types(last))
    line = f"{stem}: {what.splitlines()[0]}; last node {last.op.kernel}({operands})"
    text = f"{line}\n{last}\n\n{what}\n\nrepeat: draw_case({case.seed}, {case.index})\n"
    (KEPT / f"{stem}.txt").write_text(text, "utf-8")
    return line


def progress_bar(shown: bool) -> Progress:
    return Progress(
        TextColumn("graphs"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[faults]} faults"),
        console=Console(stderr=True),
        disable=not shown,
    )


def batches(cases: Iterator[Case]) -> Iterator[list[Case]]:
    batch: list[Case] = []
    for case in cases:
        batch.append(case)
        if len(batch) == BATCH:
            yield batch
            batch = []
    if batch:
        yield batch


@pytest.mark.slow
@pytest.mark.spread
@pytest.mark.requires("gcc")
@pytest.mark.parametrize("part", range(PARTS))
def test_generated_c_equals_the_reference(part, seed, capsys):
    """Each part takes every ``PARTS``-th graph, so that several workers share them."""
    lines: list[str] = []
    shown = WANTED is not None
    cases = itertools.islice(draw_cases(seed, GRAPHS), part, None, PARTS)
    with capsys.disabled() if shown else nullcontext(), progress_bar(shown) as bar:
        task = bar.add_task("graphs", total=-(-GRAPHS // PARTS), faults=0)
        for batch in batches(cases):
            lines += [keep(*shorten(*fault)) for fault in find_faults(batch)]
            bar.update(task, advance=len(batch), faults=len(lines))
    assert not lines, f"kept in {KEPT}:\n" + "\n".join(lines)


def test_a_wrong_program_is_found_cut_and_kept(seed, monkeypatch, tmp_path):
    """The net has no hole: code of a graph whose first bias is one off is a fault of node one."""
    monkeypatch.setattr(f"{__name__}.KEPT", tmp_path)
    case = next(
        case
        for case in draw_cases(seed, 1000)
        if isinstance(case.graph.nodes[0].op, Accumulating)
        and isinstance(case.graph.nodes[0].op.output, Raw)
        and len(case.graph.nodes) > 1
    )
    bias = case.graph.tensors[case.graph.nodes[0].inputs[-1]]
    nearer = replace(bias, codes=bias.codes - np.where(bias.codes < 0, -1, 1).astype(np.int32))
    tensors = {**case.graph.tensors, bias.name: nearer}

    def emit_wrong(graph, planned):
        return emit(replace(graph, tensors=tensors), planned)

    monkeypatch.setattr(f"{__name__}.EMIT", emit_wrong)
    kept, what = shorten(case, "wrong")
    assert len(kept.graph.nodes) == 1
    assert "output codes differ" in what
    keep(kept, what)
    assert {path.suffix for path in tmp_path.iterdir()} == {".tqg", ".txt"}
