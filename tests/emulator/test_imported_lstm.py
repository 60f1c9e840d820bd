"""What an imported LSTM costs on the emulated Cortex-M4 where tables of its gates are allowed."""

from __future__ import annotations

from contextlib import closing

import numpy as np
import pytest

from tinyq.graph import Graph, GraphBuilder, TensorType
from tinyq.graph.ops.strided_copy import StridedCopy
from tinyq.graph.ops.tflite_lstm import STATE_ROWS, TfliteLstmStates
from tinyq.graph.reference import run_sequences
from tinyq.hardware.boards import find_board
from tinyq.numerics.fixed_point import quantize_multiplier
from tinyq.numerics.formats import find_format
from tinyq.project import Selection, create_project
from tinyq.targets import open_link

BOARD, SAMPLES = "mps2-an386", 3
MOST_PER_MAC = 3.5  # CMSIS-NN takes 6.25 at 16 inputs and 20 cells


def draw_lstm(rng: np.random.Generator, steps: int, inputs: int, cells: int) -> Graph:
    entry = find_format("s8")
    builder = GraphBuilder.start("lstm", TensorType((steps, inputs), entry))
    names = [
        builder.constant(f"weights_{size}_{place}", _draw_weights(rng, (4, cells, size)), entry)
        for place, size in enumerate((inputs, cells))
    ]
    bias = rng.integers(-2000, 2001, (4, cells))
    names.append(builder.constant("bias", bias, find_format("s32")))
    scales = [
        sum((quantize_multiplier(float(rng.uniform(0.05, 0.1))) for _ in range(4)), ())
        for _ in range(2)
    ]
    hidden = quantize_multiplier(2.0**-23)
    operation = TfliteLstmStates(*scales, hidden, 4, 0, 3, -2, 1 / 128, -2)
    kind = TensorType((STATE_ROWS, cells), entry, 1 / 128, -2)
    state = builder.add_state("state", kind, operation.first_state(cells))
    whole = builder.apply("layer", operation, "input", *names, state)
    last = StridedCopy(kind.shape, (cells, 1), (steps - 1) * cells)
    builder.keep(state, builder.apply("kept", last, whole))
    return builder.build(builder.apply("hidden", StridedCopy((steps, cells), (cells, 1)), whole))


def _draw_weights(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    return np.clip(np.rint(rng.normal(0, 40, shape)), -127, 127).astype(np.int32)


@pytest.mark.requires("arm-none-eabi-gcc", "qemu-system-arm")
@pytest.mark.parametrize(("inputs", "cells"), [(16, 16), (16, 20), (64, 64)])
def test_an_lstm_takes_few_instructions(inputs, cells, rng, tmp_path):
    graph = draw_lstm(rng, 20, inputs, cells)
    kernels = Selection(optimize="speed")
    project = create_project(graph, find_board(BOARD), tmp_path / "out", kernels=kernels)
    chosen = {it.layer: it.kernel for it in project.kernels if it.chosen}
    assert chosen["layer"] == "tflitelstmstates_s8_s8_armv7em-tables"
    codes = rng.integers(-128, 128, (SAMPLES, 20, inputs)).astype(np.int32)
    with closing(open_link(project.image, "qemu", counting=True)) as link:
        got = link.infer_sequence(codes.astype(np.int8).view(np.uint8).reshape(SAMPLES, -1))
        counts = link.instruction_counts()
    (wanted,) = run_sequences(graph, {"input": codes[None]}).values()
    np.testing.assert_array_equal(got.view(np.int8).reshape(wanted.shape), wanted)
    assert len(np.unique(wanted)) > 20
    macs = sum(map(graph.macs, graph.nodes))
    assert counts is not None
    taken = sum(layer.max for layer in counts.layers) / macs
    print(f"{inputs} - {cells}: {taken:.2f} instructions a multiply-accumulate")
    assert taken <= MOST_PER_MAC
