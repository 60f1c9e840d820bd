"""Every special kernel on the emulated core: its answers equal the reference's, bit for bit.

Many graphs share one image and one start of the emulator, see test_random_graphs.py.
``TINYQ_EMULATOR_CASES`` sets how many graphs each kernel computes.
"""

from __future__ import annotations

import os

import numpy as np
import pytest

from tests.cores import CORES
from tests.emulator.test_random_graphs import SAMPLES, WORD, Case, join_sources
from tests.fast_graphs import draw_fitting
from tinyq.build import BuildOptions, build
from tinyq.codegen import emit, load_kernels, plan_kernels
from tinyq.codegen.kernels import Kernel
from tinyq.codegen.special import is_special
from tinyq.graph import Graph
from tinyq.reference import run
from tinyq.targets import open_link
from tinyq.wire import payload_bytes

CASES = int(os.environ.get("TINYQ_EMULATOR_CASES", "3"))
SPECIAL = [kernel for kernel in load_kernels() if is_special(kernel)]
GROUPS = sorted({(kernel.isa, kernel.operation) for kernel in SPECIAL})


def draw_inputs(rng: np.random.Generator, graph: Graph) -> np.ndarray:
    """All lowest, all highest, a mixture of both, and any codes."""
    entry, shape = graph.input.type.format, graph.input.type.shape
    low, high = np.full(shape, entry.lo), np.full(shape, entry.hi)
    mixed = rng.choice([entry.lo, entry.hi], shape)
    any_codes = mixed if entry.step == 2 else rng.integers(entry.lo, entry.hi + 1, shape)
    return np.stack([low, high, mixed, any_codes]).astype(np.int32)


def make_cases(kernel: Kernel, position: int, seed: int) -> list[Case]:
    rng = np.random.default_rng((seed, position, 5))
    cases = []
    isas = (kernel.isa, "generic")
    for graph, overrides in draw_fitting(rng, kernel, f"model_{position}", CASES):
        tree = emit(graph, plan_kernels(graph, isas, overrides), isas, overrides)
        codes = draw_inputs(rng, graph)
        packed = graph.input.type.format.pack(codes).reshape(SAMPLES, -1)
        answers = graph.output.type.format.pack(run(graph, codes)).reshape(SAMPLES, -1)
        cases.append(Case(graph, tree, packed, answers))
    return cases


def test_there_is_a_board_for_each_instruction_set():
    assert {kernel.isa for kernel in SPECIAL} == set(CORES)


@pytest.mark.parametrize(("isa", "operation"), GROUPS)
def test_special_kernels_answer_as_the_reference(isa, operation, seed, tmp_path):
    kernels = [k for k in SPECIAL if (k.isa, k.operation) == (isa, operation)]
    named = [(kernel, make_cases(kernel, place, seed)) for place, kernel in enumerate(kernels)]
    cases = [case for _, drawn in named for case in drawn]
    owners = [kernel.path.name for kernel, drawn in named for _ in drawn]
    input_bytes = WORD + -(-max(case.inputs.shape[1] for case in cases) // 4) * 4
    output_bytes = max(case.answers.shape[1] for case in cases)
    requests = np.zeros((len(cases), SAMPLES, input_bytes), np.uint8)
    for index, case in enumerate(cases):
        requests[index, :, :WORD] = np.array([index], "<u4").view(np.uint8)
        requests[index, :, WORD : WORD + case.inputs.shape[1]] = case.inputs
    request, reply = payload_bytes(input_bytes, output_bytes, 8)
    image = build(
        join_sources(cases, input_bytes, output_bytes),
        CORES[isa],
        tmp_path / "out",
        BuildOptions(payload_bytes=request, reply_bytes=reply),
    )
    link = open_link(image, "qemu")
    try:
        replies = link.infer(requests.reshape(-1, input_bytes))
    finally:
        link.close()
    replies = replies.reshape(len(cases), SAMPLES, output_bytes)
    wrong = [
        f"{owner}: {case.graph.nodes[0].op}, {case.graph.types(case.graph.nodes[0])}"
        for owner, case, got in zip(owners, cases, replies, strict=True)
        if not np.array_equal(got[:, : case.answers.shape[1]], case.answers)
    ]
    assert not wrong, "\n".join(wrong)
