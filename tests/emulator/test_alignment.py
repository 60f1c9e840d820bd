"""Buffers at odd addresses, on every core: the same answers.

Kernels read and write words, which faults on a Cortex-M0 wherever a word is not aligned, and on the
others for several at once. Inputs and outputs lie in the arena, where the function copies them.
"""

from __future__ import annotations

import os

import numpy as np
import pytest

from tests.cores import CORES
from tests.many_graphs import Case, ask_device
from tests.selected import emit_for
from tinyq.graph import Graph, GraphBuilder, TensorType
from tinyq.graph.epilogues import Requantize
from tinyq.graph.ops.conv2d import Conv2D
from tinyq.graph.ops.dense import Dense
from tinyq.graph.ops.reshape import Reshape
from tinyq.graph.ops.window import Window
from tinyq.graph.reference import run
from tinyq.hardware.boards import find_board
from tinyq.numerics.formats import find_format
from tinyq.selection import prefer_isas

S8, S32 = find_format("s8"), find_format("s32")
GRAPHS = int(os.environ.get("TINYQ_EMULATOR_CASES", "3"))
BOARDS = {"microbit-v1": find_board("microbit-v1"), **CORES}
SHIFTS = (1,) if GRAPHS <= 3 else (1, 2, 3)


def draw_network(rng: np.random.Generator, name: str) -> Graph:
    """Two convolutions and a dense layer."""
    height, width, channels = (int(rng.integers(low, 8)) for low in (4, 4, 1))
    builder = GraphBuilder.start(name, TensorType((height, width, channels), S8, 1.0))
    value = builder.input
    for index in range(2):
        outputs = int(rng.integers(5, 13))
        weights = builder.constant(
            f"w{index}", rng.integers(-127, 128, (outputs, 3, 3, channels)).astype(np.int32), S8
        )
        value = builder.apply(
            f"c{index}",
            Conv2D(Requantize("s8", 1.0, 0, -128, 127), Window((3, 3), padding=(1, 1, 1, 1))),
            value,
            weights,
            *add_scaling(builder, rng, f"c{index}", outputs),
        )
        channels = outputs
    value = builder.apply("flat", Reshape((height * width * channels,)), value)
    weights = builder.constant(
        "wd", rng.integers(-127, 128, (5, height * width * channels)).astype(np.int32), S8
    )
    value = builder.apply(
        "scores",
        Dense(Requantize("s8", 1.0, 0, -128, 127)),
        value,
        weights,
        *add_scaling(builder, rng, "scores", 5),
    )
    return builder.build(value)


def add_scaling(builder: GraphBuilder, rng: np.random.Generator, name: str, count: int):
    tables = (rng.integers(-500, 500, count), rng.integers(2**29, 2**30, count), [40] * count)
    return [
        builder.constant(f"{name}_{key}", np.asarray(table, np.int32), S32)
        for key, table in zip(("bias", "multiplier", "shift"), tables, strict=True)
    ]


def make_case(rng: np.random.Generator, name: str, isa: str) -> Case:
    graph = draw_network(rng, name)
    codes = rng.integers(-128, 128, (3, *graph.input.type.shape)).astype(np.int32)
    return Case(
        graph,
        emit_for(graph, prefer_isas(isa)),
        codes.astype(np.int8).view(np.uint8).reshape(3, -1),
        run(graph, codes).astype(np.int8).view(np.uint8).reshape(3, -1),
    )


@pytest.mark.spread
@pytest.mark.parametrize("core", BOARDS)
def test_buffers_begin_anywhere(core, seed, tmp_path):
    board = BOARDS[core]
    rng = np.random.default_rng((seed, 61))
    cases = [make_case(rng, f"model_{index}", board.isa) for index in range(GRAPHS)]
    for shift in SHIFTS:
        replies = ask_device(cases, board, tmp_path / str(shift), shift=shift)
        for case, got in zip(cases, replies, strict=True):
            np.testing.assert_array_equal(got, case.answers, f"{case.graph.name} at {shift}")
