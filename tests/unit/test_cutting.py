"""Parts of graphs between named tensors."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tinyq
from tests.networks import pair_network
from tests.random_graphs import draw_all_inputs, draw_network
from tinyq.errors import ModelError
from tinyq.graph.cutting import Cut, cut_graph, make_cut
from tinyq.graph.reference import run_named
from tinyq.graph.storage import save_graph


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=60)
def test_a_part_computes_what_the_whole_does(seed):
    rng = np.random.default_rng(seed)
    graph = draw_network(rng)
    inputs = draw_all_inputs(rng, graph, 3)
    seen = dict(inputs)
    run_named(graph, inputs, seen.__setitem__)
    outputs = [node.output for node in graph.nodes if rng.random() < 0.5] or [
        graph.nodes[-1].output
    ]
    front = _cut(graph, Cut((), tuple(outputs)))
    if front is None:
        return
    assert front.outputs == tuple(outputs)
    assert set(front.inputs) <= set(graph.inputs)
    for name, codes in run_named(front, {key: seen[key] for key in front.inputs}).items():
        np.testing.assert_array_equal(codes, seen[name])
    # From the middle to the end: whatever the outputs read first becomes an input.
    middle = front.nodes[len(front.nodes) // 2].output
    behind = _cut(front, Cut((middle,), ()))
    if behind is not None:
        for name, codes in run_named(behind, {middle: seen[middle]}).items():
            np.testing.assert_array_equal(codes, seen[name])


def _cut(graph, cut):
    """The part, or None where there is none of that kind."""
    try:
        return cut_graph(graph, cut)
    except ModelError as error:
        assert any(
            text in error.message
            for text in ("depend", "is an input of the part", "reads no input")
        ), error
        return None


def test_the_order_is_that_of_the_names():
    part = cut_graph(pair_network(), Cut((), ("best", "scores")))
    assert (part.inputs, part.outputs) == (("image",), ("best", "scores"))
    part = cut_graph(pair_network(), Cut(("mask:0", "image"), ("scores", "boxes")))
    assert (part.inputs, part.outputs) == (("mask:0", "image"), ("scores", "boxes"))


@pytest.mark.parametrize(
    ("inputs", "outputs", "text"),
    [
        (None, "score", r"no tensor 'score'.*the nearest: scores"),
        (None, "scores_w", r"no tensor 'scores_w'.*nearest"),
        ("image", "boxes", r"depend on 'mask:0', which is none of the inputs"),
        ("image,mask:0", "boxes", r"no output depends on 'image'"),
        ("scores", "scores,best", r"'scores' is an input of the part"),
        ("a,,b", None, r"empty or there twice"),
        (["image", "image"], None, r"empty or there twice"),
    ],
)
def test_what_is_no_part_is_refused(inputs, outputs, text):
    with pytest.raises(ModelError, match=text):
        tinyq.load(pair_network(), inputs=inputs, outputs=outputs)


def test_names_are_a_list_or_a_text():
    assert make_cut("a, b", ["c"]) == Cut(("a", "b"), ("c",))
    assert not make_cut(None, None)


def test_a_graph_file_is_cut(tmp_path):
    save_graph(pair_network(), tmp_path / "pair.tqg")
    part = tinyq.load(tmp_path / "pair.tqg", outputs="scores")
    assert (part.inputs, part.outputs) == (("image",), ("scores",))
