"""Random graphs with state: passes, files, plans, generated C and devices agree, step by step."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.examples import examples
from tests.harness import SanitizerError, compile_models, sequence_differences
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
