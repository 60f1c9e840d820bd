"""A network as a step equals the network over the window, code by code, whatever the network."""

from __future__ import annotations

import os

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tests.causal_graphs import (
    count_wrong,
    draw_causal,
    draw_signal,
    draw_streamed,
    expect_steps,
    join_rows,
    run_steps,
)
from tests.examples import examples
from tests.harness import compile_models
from tests.random_graphs import draw_network
from tinyq.codegen import emit
from tinyq.errors import ModelError
from tinyq.graph.front_ends import PRESETS, build_front_end, make_front_end
from tinyq.graph.reference import run
from tinyq.graph.streaming import stream
from tinyq.memory.planner import plan

GRAPHS = int(os.environ.get("TINYQ_FUZZ_GRAPHS", "20"))
STEPS = 40  # of a signal; windows have at most 24 frames
SEEDS = st.integers(0, 2**32 - 1)


def require_equal(streamed, rng):
    """Steps equal windows as soon as the window has passed, at least five times."""
    steps = -(-streamed.frames // streamed.step) + 5
    in_steps, in_windows = draw_signal(rng, streamed, steps)
    expected = expect_steps(streamed, in_windows)
    for got, wanted in zip(run_steps(streamed, in_steps), expected, strict=True):
        if streamed.padded:  # the first window alone begins where the padding is
            if streamed.frames % streamed.step == 0:
                np.testing.assert_array_equal(got[steps - len(wanted)], wanted[0])
        else:
            np.testing.assert_array_equal(got[steps - len(wanted) :], wanted)


def stream_or_skip(graph, axis, step=None):
    """The step, but where a ring would have to lie along packed codes."""
    try:
        return stream(graph, axis, step)
    except ModelError as error:
        assert "no address of their own" in error.message
        assume(False)


@given(SEEDS)
@settings(max_examples=examples(60), deadline=None)
def test_a_step_equals_the_window(seed):
    rng = np.random.default_rng(seed)
    graph, axis = draw_causal(rng)
    streamed = stream_or_skip(graph, axis)
    assert not streamed.padded
    require_equal(streamed, rng)
    most = streamed.frames // streamed.step
    longer = streamed.step * int(rng.integers(1, most + 1))
    require_equal(stream_or_skip(graph, axis, longer), rng)


@given(SEEDS)
@settings(max_examples=examples(40), deadline=None)
def test_a_causal_network_equals_all_frames_since_the_reset(seed):
    rng = np.random.default_rng(seed)
    graph, axis = draw_causal(rng, padded=True)
    require_equal(stream_or_skip(graph, axis), rng)


@given(SEEDS)
@settings(max_examples=examples(60), deadline=None)
def test_any_network_is_streamed_exactly_or_refused(seed):
    rng = np.random.default_rng(seed)
    graph = draw_network(rng)
    axis = int(rng.integers(0, 3))
    try:
        streamed = stream(graph, axis)
    except ModelError as error:
        assert error.where is not None
        assert error.remedy
        assume(False)
    require_equal(streamed, rng)


@pytest.mark.parametrize("preset", sorted(PRESETS))
def test_a_front_end_goes_on_from_step_to_step(preset, seed):
    """Frames are those of the whole signal; estimates begin with the first whole frame."""
    rng = np.random.default_rng(seed)
    front_end = make_front_end(preset)
    frames = int(rng.integers(2, 9))
    graph = build_front_end(front_end, front_end.size + (frames - 1) * front_end.hop)
    streamed = stream(graph)
    assert streamed.step == front_end.hop
    shape = (STEPS * front_end.hop, *graph.input.type.shape[1:])
    signal = np.clip(rng.normal(0, 4000, shape), -(2**15), 2**15 - 1).astype(np.int32)
    (got,) = run_steps(streamed, {graph.input.name: np.stack(np.split(signal, STEPS))[None]})
    left_out = -front_end.size % front_end.hop
    whole = build_front_end(front_end, len(signal) - left_out)
    expected = run(whole, signal[None, left_out:])[0]
    np.testing.assert_array_equal(got[STEPS - len(expected) :, 0], expected)


@pytest.mark.requires("gcc")
def test_steps_in_c_equal_the_window(seed):
    """Random causal networks on this machine, under AddressSanitizer and UBSan."""
    drawn = [draw_streamed(seed, index, STEPS) for index in range(GRAPHS)]
    programs = compile_models([emit(it.graph, plan(it.graph)) for it, _, _ in drawn])
    wrong = [
        f"{streamed.window}"
        for (streamed, inputs, expected), program in zip(drawn, programs, strict=True)
        if count_wrong(program(join_rows(inputs), STEPS), expected)
    ]
    assert not wrong, "\n".join(wrong)
