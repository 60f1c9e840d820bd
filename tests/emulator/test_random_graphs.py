"""Random graphs on emulated Cortex-M4 cores: the answers of the device equal the reference's.

Many graphs share one image and one start of the emulator: the first word of an input says which
graph the rest is for.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePath

import numpy as np
import pytest

from tests.random_graphs import draw_graph, draw_inputs
from tinyq.boards import find_board
from tinyq.build import BuildOptions, build
from tinyq.codegen import SourceTree, emit, plan_kernels, prefer_isas
from tinyq.graph import Graph
from tinyq.reference import run
from tinyq.targets import open_link
from tinyq.wire import payload_bytes

GRAPHS = int(os.environ.get("TINYQ_EMULATOR_GRAPHS", "40"))
# The board's own machine has less memory, and every graph of the image keeps its own arena.
COUNTS = {"mps2-an386": GRAPHS, "stm32": max(GRAPHS // 4, 1)}
ISAS = prefer_isas("armv7em")
SAMPLES = 4
WORD = 4

_INSTANCE = """
#include "tq_model.h"

{includes}

static void run(const void *input, void *output)
{{
    const uint32_t *words = input;
    switch (words[0]) {{
{cases}
    default:
        break;
    }}
}}

const tq_model tq_model_instance = {{
    "many", {{0}}, {input_bytes}, {output_bytes}, 0, {layers}, run,
}};
"""


@dataclass(frozen=True, slots=True, eq=False)
class Case:
    """A graph, its code, its inputs, and the packed answers that it must give."""

    graph: Graph
    tree: SourceTree
    inputs: np.ndarray
    answers: np.ndarray


def draw_case(seed: int, index: int) -> Case:
    rng = np.random.default_rng((seed, index, 4))
    graph = draw_graph(rng, f"model_{index}")
    codes = draw_inputs(rng, graph, SAMPLES)
    return Case(
        graph,
        emit(graph, plan_kernels(graph, ISAS), ISAS),
        graph.input.type.format.pack(codes).reshape(SAMPLES, -1),
        graph.output.type.format.pack(run(graph, codes)).reshape(SAMPLES, -1),
    )


def join_sources(cases: Sequence[Case], input_bytes: int, output_bytes: int) -> dict[PurePath, str]:
    """Sources of all graphs, and one instance that chooses among them."""
    files = {path: text for case in cases for path, text in case.tree.files.items()}
    files[PurePath("tq_model_instance.c")] = _INSTANCE.format(
        includes="\n".join(f'#include "{case.graph.name}.h"' for case in cases),
        cases="\n".join(
            f"    case {index}:\n        {case.graph.name}_run(words + 1, output);\n        break;"
            for index, case in enumerate(cases)
        ),
        input_bytes=input_bytes,
        output_bytes=output_bytes,
        layers=max(len(case.graph.nodes) for case in cases),
    )
    return files


@pytest.mark.parametrize("board", COUNTS)
def test_the_device_answers_as_the_reference(board, seed, tmp_path):
    cases = [draw_case(seed, index) for index in range(COUNTS[board])]
    input_bytes = WORD + max(case.inputs.shape[1] for case in cases)
    output_bytes = max(case.answers.shape[1] for case in cases)
    requests = np.zeros((len(cases), SAMPLES, input_bytes), np.uint8)
    for index, case in enumerate(cases):
        requests[index, :, :WORD] = np.array([index], "<u4").view(np.uint8)
        requests[index, :, WORD : WORD + case.inputs.shape[1]] = case.inputs
    request, reply = payload_bytes(input_bytes, output_bytes, 8)
    image = build(
        join_sources(cases, input_bytes, output_bytes),
        find_board(board),
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
        f"{case.graph.name}: {[node.op.kernel for node in case.graph.nodes]}"
        for case, got in zip(cases, replies, strict=True)
        if not np.array_equal(got[:, : case.answers.shape[1]], case.answers)
    ]
    assert not wrong, "\n".join(wrong)
