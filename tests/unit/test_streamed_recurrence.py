"""Recurrent layers in a stream: a step goes on where the one before ended."""

from __future__ import annotations

import numpy as np
import pytest

from tests.harness import compile_model, sequence_differences
from tests.operations.recurrence import draw_curves
from tinyq.codegen import emit
from tinyq.graph import Graph, GraphBuilder, TensorType
from tinyq.graph.epilogues import Requantize
from tinyq.graph.ops.conv2d import Conv2D
from tinyq.graph.ops.dense import Dense
from tinyq.graph.ops.recurrence import Recurrence
from tinyq.graph.ops.reshape import Reshape
from tinyq.graph.ops.window import Window
from tinyq.graph.reference import run, run_sequences
from tinyq.graph.streaming import stream
from tinyq.memory.planner import plan
from tinyq.numerics.formats import find_format
from tinyq.numerics.recurrence import CELLS

UNITS, CHANNELS, STEPS, SHIFT = 4, 3, 24, 26
S8, S32 = find_format("s8"), find_format("s32")


def scale(builder: GraphBuilder, name: str, channels: int, shift: int) -> list[str]:
    values = {"bias": 3, "multiplier": 2**30 + 777, "shift": shift}
    return [
        builder.constant(f"{name}_{key}", np.full(channels, value, np.int32), S32)
        for key, value in values.items()
    ]


def draw_network(cell: str, every: int, frames: int, taps: int, rng) -> Graph:
    """A convolution over frames, gates, a recurrent layer, and scores."""
    builder = GraphBuilder.start("net", TensorType((frames, 1, CHANNELS), S8, 0.1, 4))
    x, columns = builder.input, frames - taps + 1
    if taps > 1:
        weights = builder.constant("w", rng.integers(-90, 90, (CHANNELS, taps, 1, CHANNELS)), S8)
        operation = Conv2D(Requantize("s8", 0.1, 4, -128, 127), Window((taps, 1)), 4)
        x = builder.apply("conv", operation, x, weights, *scale(builder, "conv", CHANNELS, 37))
    x = builder.apply("rows", Reshape((columns, CHANNELS)), x)
    rows = CELLS[cell].gates * UNITS
    weights = builder.constant("gate_weights", rng.integers(-90, 90, (rows, CHANNELS)), S8)
    wide = Dense(Requantize("s16", 2.0**-12, 0, -(2**15), 2**15 - 1), 4)
    gates = builder.apply("gates", wide, x, weights, *scale(builder, "gates", rows, 31))
    names = [
        builder.constant("weights", rng.integers(-128, 128, (rows, UNITS)), S8),
        builder.constant("bias", rng.integers(-(2**12), 2**12, rows), S32),
        builder.constant("multiplier", rng.integers(-(2**28), 2**28, rows), S32),
        builder.constant("curves", draw_curves(rng, CELLS[cell].curves), find_format("s16")),
    ]
    hidden = builder.apply("layer", Recurrence(cell, every, SHIFT), gates, *names)
    weights = builder.constant("scores_weights", rng.integers(-90, 90, (2, UNITS)), S8)
    scores = Dense(Requantize("s8", 0.1, 0, -128, 127), 0)
    return builder.build(
        builder.apply("scores", scores, hidden, weights, *scale(builder, "scores", 2, 36))
    )


@pytest.mark.requires("gcc")
@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize(("every", "taps", "step"), [(0, 1, 1), (1, 1, 2), (0, 3, 1), (1, 3, 2)])
def test_steps_are_those_of_all_frames_since_the_reset(cell, every, taps, step, seed):
    frames = 8
    graphs = {
        length: draw_network(cell, every, length, taps, np.random.default_rng(seed))
        for length in range(frames, STEPS + 1, step)
    }
    streamed = stream(graphs[frames], step=step, carry=True)
    assert streamed.padded == ("layer",)
    assert streamed.macs[1] < streamed.macs[0]
    signal = np.random.default_rng(seed + 1).integers(-128, 128, (STEPS, 1, CHANNELS))
    inputs = {"input": signal.astype(np.int32).reshape(1, STEPS // step, step, 1, CHANNELS)}
    (found,) = run_sequences(streamed.graph, inputs).values()
    for length, graph in graphs.items():
        wanted = run(graph, signal[None, :length].astype(np.int32))[0]
        got = found[0, length // step - 1]
        np.testing.assert_array_equal(got, wanted[-len(got) :] if every else wanted)
    assert len(np.unique(found)) > 3
    program = compile_model(emit(streamed.graph, plan(streamed.graph)))
    assert sequence_differences(streamed.graph, program, inputs) == 0


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("every", [0, 1])
def test_without_carry_steps_are_windows(cell, every, rng):
    graph = draw_network(cell, every, 8, 3, rng)
    streamed = stream(graph)
    assert streamed.padded == ()
    signal = rng.integers(-128, 128, (STEPS, 1, CHANNELS)).astype(np.int32)
    (found,) = run_sequences(streamed.graph, {"input": signal[None, :, None]}).values()
    windows = np.stack([signal[end - 8 : end] for end in range(8, STEPS + 1)])
    np.testing.assert_array_equal(found[0, 7:], run(graph, windows))
