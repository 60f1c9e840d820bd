"""Random graphs on emulated Cortex-M4 cores: the answers of the device equal the reference's."""

from __future__ import annotations

import os

import numpy as np
import pytest

from tests.many_graphs import Case, ask_device
from tests.random_graphs import draw_all_inputs, draw_graph, draw_inputs, draw_network
from tests.selected import emit_for
from tinyq.graph.interface import pack_codes, unpack_codes
from tinyq.graph.reference import run, run_named
from tinyq.hardware.boards import find_board
from tinyq.selection import prefer_isas

GRAPHS = int(os.environ.get("TINYQ_EMULATOR_GRAPHS", "40"))
# The board's own machine has less memory, and every graph of the image keeps its own arena.
COUNTS = {"mps2-an386": GRAPHS, "stm32": max(GRAPHS // 4, 1)}
ISAS = prefer_isas("armv7em")
SAMPLES = 4


def draw_case(seed: int, index: int) -> Case:
    rng = np.random.default_rng((seed, index, 4))
    graph = draw_graph(rng, f"model_{index}")
    codes = draw_inputs(rng, graph, SAMPLES)
    return Case(
        graph,
        emit_for(graph, ISAS),
        graph.input.type.format.pack(codes).reshape(SAMPLES, -1),
        graph.output.type.format.pack(run(graph, codes)).reshape(SAMPLES, -1),
    )


def draw_named(seed: int, index: int) -> Case:
    """A graph of several inputs and outputs."""
    rng = np.random.default_rng((seed, index, 5))
    graph = draw_network(rng, f"model_{index}")
    codes = draw_all_inputs(rng, graph, SAMPLES)
    answers = pack_codes(graph, run_named(graph, codes))
    return Case(graph, emit_for(graph, ISAS), pack_codes(graph, codes), answers)


def test_several_inputs_and_outputs_answer_as_the_reference(seed, tmp_path):
    cases = [draw_named(seed, index) for index in range(max(GRAPHS // 2, 1))]
    replies = ask_device(cases, find_board("mps2-an386"), tmp_path / "out")
    wrong = []
    for case, got in zip(cases, replies, strict=True):
        names = case.graph.outputs
        found, wanted = (unpack_codes(case.graph, names, it) for it in (got, case.answers))
        wrong += [
            f"{case.graph.name} {name}"
            for name in names
            if not np.array_equal(found[name], wanted[name])
        ]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("board", COUNTS)
def test_the_device_answers_as_the_reference(board, seed, tmp_path):
    cases = [draw_case(seed, index) for index in range(COUNTS[board])]
    replies = ask_device(cases, find_board(board), tmp_path / "out")
    wrong = [
        f"{case.graph.name}: {[node.op.kernel for node in case.graph.nodes]}"
        for case, got in zip(cases, replies, strict=True)
        if not np.array_equal(got, case.answers)
    ]
    assert not wrong, "\n".join(wrong)
