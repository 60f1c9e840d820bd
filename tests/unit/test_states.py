"""States of a graph: what is refused, what is proven, and what passes and cuts do with them."""

from __future__ import annotations

import json
import zipfile
from dataclasses import replace

import numpy as np
import pytest

from tests.listener import FRAMES, SCORES, VALUES, listener
from tinyq.errors import DataError, ModelError
from tinyq.graph import Graph, GraphBuilder, State, TensorType, reference
from tinyq.graph.cutting import Cut, cut_graph
from tinyq.graph.epilogues import Raw
from tinyq.graph.interface import keep_value
from tinyq.graph.ops.append import Append
from tinyq.graph.ops.concatenate import Concatenate
from tinyq.graph.ops.dense import Dense
from tinyq.graph.ops.reshape import Reshape
from tinyq.graph.ops.strided_copy import StridedCopy
from tinyq.graph.passes import simplify
from tinyq.graph.passes.drop_dead_nodes import drop_dead_nodes
from tinyq.graph.passes.form_rings import form_rings
from tinyq.graph.storage import digest, load_graph, save_graph
from tinyq.memory.planner import plan
from tinyq.numerics.formats import find_format

S8, S32 = find_format("s8"), find_format("s32")


def kept(**changes) -> Graph:
    """The listener with something else in the place of its first state."""
    graph = listener()
    first = replace(graph.states[0], **changes)
    return replace(graph, states=(first, *graph.states[1:]))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"name": "nothing"}, "does not exist"),
        ({"name": "input"}, "input or a state twice"),
        ({"name": "before"}, "input or a state twice"),
        ({"name": "weights"}, "is a constant"),
        ({"name": "heard"}, "before it is computed|computed twice"),
        ({"next": "nothing"}, "neither an input nor computed"),
        ({"next": "before"}, "neither an input nor computed"),
        ({"next": "weights"}, "neither an input nor computed"),
        ({"next": "scores"}, "its next value s8"),
        ({"first": np.array(200, np.int32)}, "leaves format s8"),
        ({"first": np.zeros((2, 2), np.int32)}, "first value has shape"),
        ({"first": np.zeros(0, np.int32)}, "first value has shape"),
    ],
)
def test_what_is_no_state_is_refused(changes, message):
    with pytest.raises(ModelError, match=message):
        kept(**changes).verify()


def test_a_builder_wants_a_next_value():
    builder = GraphBuilder.start("m", TensorType((2,), S8))
    builder.add_state("a", TensorType((2,), S8))
    out = builder.apply("out", Reshape((2,)), "a")
    with pytest.raises(ModelError, match="has no next value"):
        builder.build(out)
    with pytest.raises(ModelError, match="is no state"):
        builder.keep("input", out)


def test_a_state_of_sums_has_their_range():
    """Two products of -128 and 127 at least; no code of int32 beyond them comes in any step."""
    builder = GraphBuilder.start("m", TensorType((1,), S8))
    builder.add_state("sum", TensorType((1,), S8))
    both = builder.apply("both", Concatenate(), "sum", "input")
    weights = builder.constant("weights", np.full((1, 2), 127), S8)
    bias = builder.constant("bias", [0], S32)
    total = builder.apply("total", Dense(Raw(1.0)), both, weights, bias)
    builder.add_state("wide", TensorType((1,), S32, 1.0))
    builder.keep("sum", "input")
    builder.keep("wide", total)
    assert builder.build(total).find_spans()["wide"] == (-32512, 32258)


def test_a_ring_has_the_codes_of_its_columns():
    """Widened until they hold: the first value is one code, the columns are from 0 on."""
    builder = GraphBuilder.start("m", TensorType((1, 2), S8, 0.5, 0))
    limited = builder.constant("limited", [[7, -3]], S8, 0.5, 0)
    ring = builder.add_state("ring", TensorType((4, 2), S8, 0.5, 0), 1)
    window = builder.apply("window", Append(0), ring, limited)
    builder.keep(ring, window)
    spans = builder.build(window).find_spans()
    assert spans["ring"] == spans["window"] == (-3, 7)


def test_states_that_no_output_needs_go():
    graph = listener()
    builder = GraphBuilder.start("m", TensorType((2,), S8))
    for name in "ab":
        builder.add_state(name, TensorType((2,), S8))
    other = builder.apply("other", Reshape((1, 2)), "a")
    builder.keep("a", builder.apply("a_next", Reshape((2,)), other))
    out = builder.apply("out", Reshape((1, 2)), "b")
    keep_value(builder, "b", "input")
    dropped = drop_dead_nodes(builder.build(out))
    assert [state.name for state in dropped.states] == ["b"]
    assert {node.name for node in dropped.nodes} == {"b_next", "out"}
    assert len(drop_dead_nodes(graph).states) == 2


def test_a_joint_and_its_last_columns_become_a_ring(rng):
    kind = TensorType((3, 2), S8, 0.5, 0)
    builder = GraphBuilder.start("m", TensorType((2, 2), S8, 0.5, 0))
    first = rng.integers(-9, 9, (3, 2))
    state = builder.add_state("state", kind, first)
    flat = [
        builder.apply(f"flat_{it}", Reshape((size,)), it) for it, size in ((state, 6), ("input", 4))
    ]
    joint = builder.apply("joint", Concatenate(), *flat)
    window = builder.apply("window", Reshape((5, 2)), joint)
    builder.keep(state, builder.apply("last", StridedCopy((3, 2), (2, 1), 4), window))
    graph = builder.build(builder.apply("out", Reshape((1, 5, 2)), window))
    changed = form_rings(graph)
    changed.verify()
    assert [type(node.op) for node in changed.nodes if not isinstance(node.op, Reshape)] == [Append]
    assert plan(changed).copies == ()
    inputs = {"input": rng.integers(-128, 128, (2, 6, 2, 2)).astype(np.int32)}
    (expected,) = reference.run_sequences(graph, inputs).values()
    for one in (changed, simplify(graph)):
        (found,) = reference.run_sequences(one, inputs).values()
        np.testing.assert_array_equal(found.reshape(expected.shape), expected)


@pytest.mark.parametrize("start", [0, 1])
def test_other_columns_are_no_ring(start):
    """Not the last of both: the ring would hold others."""
    builder = GraphBuilder.start("m", TensorType((2,), S8))
    state = builder.add_state("state", TensorType((3,), S8))
    joint = builder.apply("joint", Concatenate(), state, "input")
    builder.keep(state, builder.apply("some", StridedCopy((3,), (1,), start), joint))
    graph = builder.build(builder.apply("out", Reshape((1, 5)), joint))
    assert [node.op for node in form_rings(graph).nodes] == [node.op for node in graph.nodes]


class TestCut:
    def test_what_a_state_needs_comes_along(self):
        part = cut_graph(listener(), Cut((), ("heard",)))
        assert [state.name for state in part.states] == ["ring", "before"]
        assert "scores" in {node.output for node in part.nodes}

    def test_a_state_that_is_an_input_is_none(self):
        part = cut_graph(listener(), Cut(("ring", "input", "before"), ("scores",)))
        assert part.states == ()
        assert part.inputs == ("ring", "input", "before")

    def test_a_part_without(self):
        part = cut_graph(listener(), Cut(("heard",), ("scores",)))
        assert part.states == ()


class TestReference:
    def test_samples_are_first_steps(self, rng):
        graph = listener()
        x = rng.integers(-128, 128, (3, 1, VALUES)).astype(np.int32)
        sequences = reference.run_sequences(graph, {"input": x[:, None]})["scores"][:, 0]
        np.testing.assert_array_equal(reference.run(graph, x), sequences)

    def test_a_step_hands_on_what_it_keeps(self, rng):
        graph = listener()
        x = rng.integers(-128, 128, (2, 7, 1, VALUES)).astype(np.int32)
        expected = reference.run_sequences(graph, {"input": x})["scores"]
        states = reference.reset(graph, 2)
        for index in range(7):
            outputs, states = reference.step(graph, {"input": x[:, index]}, states)
            np.testing.assert_array_equal(outputs["scores"], expected[:, index])
        assert states["ring"].shape == (2, FRAMES, VALUES)
        np.testing.assert_array_equal(states["before"], expected[:, -1])

    @pytest.mark.parametrize("shape", [(3,), (0, 4, 1, VALUES), (3, 4, 1, 5), (3, 1, VALUES)])
    def test_other_shapes_are_refused(self, shape):
        with pytest.raises(DataError):
            reference.run_sequences(listener(), {"input": np.zeros(shape, np.int32)})


class TestFile:
    def test_first_values_belong_to_the_digest(self, tmp_path):
        graph = listener()
        save_graph(graph, tmp_path / "a.tqg")
        again = load_graph(tmp_path / "a.tqg")
        assert digest(again) == digest(graph)
        np.testing.assert_array_equal(again.states[1].first, [3, 1, 4, 1, 5])
        for state, first in ((0, np.array(4)), (1, np.arange(SCORES))):
            states = list(graph.states)
            states[state] = State(states[state].name, states[state].next, first.astype(np.int32))
            assert digest(replace(graph, states=tuple(states))) != digest(graph)

    @pytest.mark.parametrize(
        "states",
        [
            [{"name": "ring", "next": "window", "fill": 2**40}],
            [{"name": "ring", "next": "window", "fill": "3"}],
            [{"name": "ring", "next": "window", "fill": None}],
            [{"name": 3, "next": "window", "fill": 1}],
            [{"name": "ring"}],
            7,
        ],
    )
    def test_other_states_are_refused(self, states, tmp_path):
        path, changed = tmp_path / "a.tqg", tmp_path / "b.tqg"
        save_graph(kept(first=np.array(3, np.int32)), path)
        with zipfile.ZipFile(path) as source, zipfile.ZipFile(changed, "w") as target:
            for name in source.namelist():
                content = source.read(name)
                if name == "graph.json":
                    content = json.dumps({**json.loads(content), "states": states}).encode()
                if not name.startswith("state"):
                    target.writestr(name, content)
        with pytest.raises(ModelError):
            load_graph(changed)
