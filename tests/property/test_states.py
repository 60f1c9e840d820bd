"""Random graphs with state: passes, files, plans, generated C and devices agree, step by step."""

from __future__ import annotations

import os
import subprocess
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.examples import examples
from tests.harness import (
    SANITIZE,
    STRICT,
    SanitizerError,
    compile_c,
    compile_models,
    sequence_differences,
)
from tests.listener import VALUES, listener
from tests.random_graphs import draw_sequences, draw_stateful, stateful_networks
from tinyq.codegen import emit
from tinyq.graph.passes import PIPELINE
from tinyq.graph.reference import run_sequences
from tinyq.graph.storage import digest, load_graph, save_graph
from tinyq.memory.planner import STATE, plan

GRAPHS = int(os.environ.get("TINYQ_FUZZ_GRAPHS", "24"))


@given(stateful_networks(), st.integers(0, 2**32 - 1))
@settings(max_examples=examples(100))
def test_every_pass_keeps_the_codes_of_every_step(graph, seed):
    inputs = draw_sequences(np.random.default_rng(seed), graph)
    expected = run_sequences(graph, inputs)
    changed = graph
    for transform in PIPELINE:
        changed = transform(changed)
        changed.verify()
        assert changed.inputs == graph.inputs
        got = run_sequences(changed, inputs)
        for one, other in zip(expected.values(), got.values(), strict=True):
            np.testing.assert_array_equal(one, other)


@given(stateful_networks(), st.integers(0, 2**32 - 1))
@settings(max_examples=examples(100))
def test_no_code_of_any_step_leaves_what_is_proven_of_its_tensor(graph, seed):
    spans = graph.find_spans()

    def look(name, codes):
        low, high = spans.get(name, (codes.min(), codes.max()))
        assert low <= codes.min()
        assert codes.max() <= high

    run_sequences(graph, draw_sequences(np.random.default_rng(seed), graph, 2, 12), look)


@given(stateful_networks())
@settings(max_examples=examples(50))
def test_a_graph_comes_back_from_its_file(graph):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "graph.tqg"
        save_graph(graph, path)
        again = load_graph(path)
    assert digest(again) == digest(graph)
    for one, other in zip(graph.states, again.states, strict=True):
        assert (one.name, one.next) == (other.name, other.next)
        np.testing.assert_array_equal(*np.broadcast_arrays(one.first, other.first))


@given(stateful_networks())
@settings(max_examples=examples(100))
def test_states_lie_apart_and_each_takes_its_next_value(graph):
    """What lies where is tried by the program itself; here, that nothing is forgotten."""
    found = plan(graph)
    places = sorted((found.held[it.name], found.sizes[it.name]) for it in graph.states)
    for (start, size), (after, _) in zip(
        places, [*places[1:], (found.state_bytes, 0)], strict=True
    ):
        assert start % 4 == 0
        assert start + size <= after
    copied = dict(found.copies)
    for state in graph.states:
        assert found.buffers[state.name] == STATE
        if state.name in copied:
            assert copied[state.name] == state.next
        else:
            assert found.held[state.next] == found.held[state.name]
            writer = found.lifetimes[state.next][0]
            views = [name for name, place in found.held.items() if place == found.held[state.name]]
            old = [
                name for name in views if found.lifetimes[name][0] < writer and name != state.name
            ]
            assert all(found.lifetimes[name][1] <= writer for name in (state.name, *old))


@pytest.mark.slow
@pytest.mark.spread
@pytest.mark.requires("gcc")
def test_generated_c_equals_the_reference_in_every_step(seed):
    """Two sequences of four steps, under AddressSanitizer and UBSan."""
    cases = []
    for index in range(GRAPHS):
        rng = np.random.default_rng((seed, index, 7))
        graph = draw_stateful(rng, f"model_{index}")
        cases.append((graph, draw_sequences(rng, graph)))
    trees = [emit(graph, plan(graph)) for graph, _ in cases]
    wrong = []
    for start in range(0, GRAPHS, 50):
        batch = slice(start, start + 50)
        programs = compile_models(trees[batch])
        for (graph, inputs), program in zip(cases[batch], programs, strict=True):
            try:
                found: int | str = sequence_differences(graph, program, inputs)
            except SanitizerError as error:
                found = str(error)[:2000]
            if found:
                wrong.append(f"{graph.name}: {graph} {found}")
    assert not wrong, "\n".join(wrong)


@pytest.mark.requires("gcc")
def test_sequences_with_contexts_of_their_own_do_not_meet(rng, tmp_path):
    """Three run in turn: that of NAME_run, one from a context of zeros, one from a reset one."""
    graph = listener()
    tree = emit(graph, plan(graph))
    for path, text in tree.files.items():
        (tmp_path / path).write_text(text, "utf-8")
    (tmp_path / "turns.c").write_text(_TURNS, "utf-8")
    compile_c(tmp_path, ["turns.c", "listener.c"], "gcc", (*STRICT, *SANITIZE))
    inputs = rng.integers(-128, 128, (3, 20, 1, VALUES)).astype(np.int32)
    expected = run_sequences(graph, {"input": inputs})["scores"]
    lines = np.swapaxes(inputs, 0, 1).astype(np.int8).tobytes()
    done = subprocess.run([str(tmp_path / "program")], input=lines, capture_output=True, check=True)
    found = np.frombuffer(done.stdout, np.int8).reshape(20, 3, -1)
    np.testing.assert_array_equal(np.swapaxes(found, 0, 1), expected)


_TURNS = """
#include "listener.h"

#include <stdio.h>

int main(void)
{
    static listener_context zeros;
    listener_context fresh;
    int8_t x[LISTENER_INPUT_BYTES], y[LISTENER_OUTPUT_BYTES];
    listener_reset_context(&fresh);
    for (int turn = 0; fread(x, sizeof x, 1, stdin) == 1; turn = (turn + 1) % 3) {
        if (turn == 0) {
            listener_run(x, y);
        } else {
            listener_run_context(turn == 1 ? &zeros : &fresh, x, y);
        }
        fwrite(y, sizeof y, 1, stdout);
    }
    return 0;
}
"""
