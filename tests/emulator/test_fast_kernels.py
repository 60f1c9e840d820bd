"""Every specialized kernel on the emulated core: its answers equal the reference's, bit for bit.

Many graphs share one image and one start of the emulator, see test_random_graphs.py.
``TINYQ_EMULATOR_CASES`` sets how many graphs each kernel computes.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from tests.cores import CORES
from tests.fast_graphs import draw_fitting, find_maker
from tests.many_graphs import Case, ask_device
from tests.selected import emit_for
from tinyq.graph import Graph
from tinyq.graph.reference import run
from tinyq.kernels.base import Kernel
from tinyq.kernels.registry import list_kernels
from tinyq.kernels.text import UNPACKED
from tinyq.kernels.unpacking import unpack_for

CASES = int(os.environ.get("TINYQ_EMULATOR_CASES", "3"))
SPECIAL = [kernel for kernel in list_kernels() if not kernel.shared]
GROUPS = sorted({(kernel.isa, kernel.operation) for kernel in SPECIAL})
# Operations whose activations may have fewer bits than the kernels read.
NARROW = ("add", "conv2d", "dense", "depthwise2d", "maxpool2d")
NARROWED = [
    unpack_for(kernel, (0,))
    for kernel in SPECIAL
    if kernel.formats[0] == UNPACKED and kernel.operation in NARROW
]


def draw_inputs(rng: np.random.Generator, graph: Graph) -> np.ndarray:
    """All lowest, all highest, a mixture of both, and any codes."""
    entry, shape = graph.input.type.format, graph.input.type.shape
    low, high = np.full(shape, entry.lo), np.full(shape, entry.hi)
    mixed = rng.choice([entry.lo, entry.hi], shape)
    any_codes = mixed if entry.step == 2 else rng.integers(entry.lo, entry.hi + 1, shape)
    return np.stack([low, high, mixed, any_codes]).astype(np.int32)


def make_cases(kernel: Kernel, position: int, seed: int, count: int = CASES) -> list[Case]:
    rng = np.random.default_rng((seed, position, 5))
    cases = []
    isas = (kernel.isa, "generic")
    for graph, names in draw_fitting(rng, kernel, f"model_{position}", count):
        tree = emit_for(graph, isas, names)
        codes = draw_inputs(rng, graph)
        packed = graph.input.type.format.pack(codes).reshape(len(codes), -1)
        answers = graph.output.type.format.pack(run(graph, codes)).reshape(len(codes), -1)
        cases.append(Case(graph, tree, packed, answers))
    return cases


def test_there_is_a_board_for_each_instruction_set():
    assert {kernel.isa for kernel in SPECIAL} == set(CORES)


def test_every_special_kernel_has_layers():
    for kernel in SPECIAL:
        find_maker(kernel)


def test_a_kernel_without_layers_is_asked_for_by_name():
    with pytest.raises(AssertionError, match="sort_s8_mve is tested on no layer: write _make_sort"):
        find_maker(Kernel("sort", ("s8",), "mve"))


@pytest.mark.parametrize(("isa", "operation"), GROUPS)
def test_special_kernels_answer_as_the_reference(isa, operation, seed, tmp_path):
    kernels = [k for k in SPECIAL if (k.isa, k.operation) == (isa, operation)]
    assert_exact(kernels, seed, CASES, CORES[isa], tmp_path / "out")


@pytest.mark.parametrize("isa", sorted({kernel.isa for kernel in NARROWED}))
def test_kernels_behind_an_unpacking_answer_as_the_reference(isa, seed, tmp_path):
    kernels = [kernel for kernel in NARROWED if kernel.isa == isa]
    assert_exact(kernels, seed, max(CASES // 3, 1), CORES[isa], tmp_path / "out")


def assert_exact(kernels: list[Kernel], seed: int, count: int, board: str, folder: Path) -> None:
    named = [(k, make_cases(k, place, seed, count)) for place, k in enumerate(kernels)]
    cases = [case for _, drawn in named for case in drawn]
    owners = [kernel.name for kernel, drawn in named for _ in drawn]
    replies = ask_device(cases, board, folder)
    wrong = [
        f"{owner}: {case.graph.nodes[0].op}, {case.graph.types(case.graph.nodes[0])}"
        for owner, case, got in zip(owners, cases, replies, strict=True)
        if not np.array_equal(got, case.answers)
    ]
    assert not wrong, "\n".join(wrong)
