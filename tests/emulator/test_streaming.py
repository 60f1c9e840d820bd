"""Steps of networks on the emulated Cortex-M4: the answers of windows, and what a step costs."""

from __future__ import annotations

import os
from contextlib import closing

import numpy as np

from tests.causal_graphs import count_wrong, draw_streamed, join_rows
from tests.many_graphs import Case, ask_device
from tests.selected import emit_for
from tinyq.graph import Graph, GraphBuilder, TensorType
from tinyq.graph.epilogues import Requantize
from tinyq.graph.ops.conv2d import Conv2D
from tinyq.graph.ops.depthwise_conv2d import DepthwiseConv2D
from tinyq.graph.ops.window import Window
from tinyq.graph.reference import run_batched
from tinyq.graph.streaming import stream
from tinyq.hardware.boards import find_board
from tinyq.numerics.formats import find_format
from tinyq.numerics.rounding import fold_affine
from tinyq.project import Selection, create_project
from tinyq.selection import prefer_isas
from tinyq.targets import open_link

GRAPHS = int(os.environ.get("TINYQ_EMULATOR_GRAPHS", "20"))
STEPS = 40  # of a signal; windows have at most 24 frames
BOARD = "mps2-an386"
FRAMES, FEATURES = 30, 40
# Depthwise taps and channels of MLPerf Tiny's streaming wake word.
LAYERS = ((3, 128), (5, 128), (10, 128), (15, 32))
MOST_INSTRUCTIONS, MOST_BYTES = 90_000, 5 * 1024


def test_random_steps_answer_as_windows(seed, tmp_path):
    drawn = [draw_streamed(seed, index, STEPS) for index in range(GRAPHS)]
    cases = [
        Case(
            streamed.graph,
            emit_for(streamed.graph, prefer_isas("armv7em")),
            join_rows(inputs, 4),
            join_rows([np.resize(part, (STEPS, part.shape[1])) for part in expected], 4),
        )
        for streamed, inputs, expected in drawn
    ]
    replies = ask_device(cases, find_board(BOARD), tmp_path / "out")
    wrong = [
        str(streamed.window)
        for (streamed, _, expected), got in zip(drawn, replies, strict=True)
        if count_wrong(got, expected, 4)
    ]
    assert not wrong, "\n".join(wrong)


def draw_wake_word(rng: np.random.Generator) -> Graph:
    """Layers of the sizes of MLPerf Tiny's streaming wake word, with other weights."""
    entry, words = find_format("s8"), find_format("s32")
    kind = TensorType((FRAMES, 1, FEATURES), entry, 0.1, -5)
    builder = GraphBuilder.start("wake_word", kind)
    last, epilogue = builder.input, Requantize("s8", 0.1, -5, -5, 127)
    for index, (taps, channels) in enumerate(LAYERS):
        shape = builder.type(last).shape
        samples = rng.integers(-128, 128, (4, *shape)).astype(np.int32)
        column = DepthwiseConv2D(epilogue, Window((taps, 1)), -5)
        pixel = Conv2D(epilogue, Window((1, 1)), -5)
        for name, operation, size in (
            (f"column_{index}", column, (taps, 1, shape[2])),
            (f"pixel_{index}", pixel, (channels, 1, 1, shape[2])),
        ):
            weights = rng.integers(-127, 128, size).astype(np.int32)
            acc = operation.accumulate(samples, weights)
            rows = acc.reshape(-1, acc.shape[-1])
            gain = 60 / np.maximum(rows.std(0), rows.std() / 4)  # no channel stays the same
            folded = fold_affine(gain, 20 - gain * rows.mean(0))
            tables = (folded.bias, folded.multiplier, folded.shift)
            samples = epilogue.finish(acc, *tables)
            constants = [
                builder.constant(f"{name}_{part}", codes, each)
                for part, codes, each in zip(
                    ("weights", *epilogue.names),
                    (weights, *tables),
                    (entry, *[words] * 3),
                    strict=True,
                )
            ]
            last = builder.apply(name, operation, last, *constants)
    return builder.build(last)


def test_a_wake_word_is_a_few_instructions_a_frame(seed, tmp_path):
    """The network of a window would take 826,272 multiply-accumulates a frame."""
    rng = np.random.default_rng((seed, 3))
    streamed = stream(draw_wake_word(rng))
    assert streamed.macs == (826_272, 45_944)
    assert streamed.state_bytes == 3_960
    project = create_project(
        streamed.graph, find_board(BOARD), tmp_path / "out", kernels=Selection(optimize="speed")
    )
    assert project.plan.arena_bytes + streamed.state_bytes <= MOST_BYTES
    frames = rng.integers(-128, 128, (100, 1, FEATURES)).astype(np.int32)
    with closing(open_link(project.image, "qemu", counting=True)) as link:
        got = link.infer_sequence(frames.astype(np.int8).view(np.uint8).reshape(len(frames), -1))
        counts = link.instruction_counts()
    windows = np.stack([frames[end - FRAMES : end] for end in range(FRAMES, len(frames) + 1)])
    wanted = run_batched(streamed.window, windows).reshape(len(windows), -1)
    np.testing.assert_array_equal(got.view(np.int8)[FRAMES - 1 :], wanted)
    assert counts is not None
    assert sum(layer.max for layer in counts.layers) <= MOST_INSTRUCTIONS
