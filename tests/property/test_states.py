"""Random graphs with state: passes, files, plans, generated C and devices agree, step by step."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.examples import examples
from tests.random_graphs import draw_sequences, stateful_networks
from tinyq.graph.passes import PIPELINE
from tinyq.graph.reference import run_sequences
from tinyq.graph.storage import digest, load_graph, save_graph


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
