from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tinyq.errors import ModelError
from tinyq.graph import Graph, GraphBuilder, Node, Tensor, TensorType
from tinyq.graph.epilogues import Raw
from tinyq.graph.ops.argmax import Argmax
from tinyq.graph.ops.dense import Dense
from tinyq.graph.ops.reshape import Reshape
from tinyq.numerics.formats import find_format

S8 = find_format("s8")
S32 = find_format("s32")


def build_graph() -> Graph:
    """Input s8[2,3] -> reshape -> dense with 4 outputs -> argmax."""
    builder = GraphBuilder.start("small", TensorType((2, 3), S8, 0.5))
    flat = builder.apply("flat", Reshape((6,)), builder.input)
    weights = builder.constant("weights", np.ones((4, 6)), S8)
    bias = builder.constant("bias", np.zeros(4), S32)
    scores = builder.apply("scores", Dense(Raw()), flat, weights, bias)
    return builder.build(builder.apply("best", Argmax(), scores))


def with_tensor(graph: Graph, name: str, tensor: Tensor) -> Graph:
    return replace(graph, tensors={**graph.tensors, name: tensor})


def with_node(graph: Graph, index: int, **changes: object) -> Graph:
    nodes = list(graph.nodes)
    nodes[index] = replace(nodes[index], **changes)
    return replace(graph, nodes=tuple(nodes))


def refuse(graph: Graph, text: str, where: str) -> None:
    with pytest.raises(ModelError, match=text) as caught:
        graph.verify()
    assert caught.value.where == where


def test_a_graph_tells_its_parts():
    graph = build_graph()
    dense = graph.nodes[1]
    assert (graph.input.name, graph.output.name) == ("input", "best")
    assert [str(operand) for operand in graph.types(dense)] == ["s8[6]", "s8[4,6]", "s32[4]"]
    assert [tensor.name for tensor in graph.constants(dense)] == ["weights", "bias"]
    assert graph.constant_bytes(dense) == 24 + 16
    assert [graph.macs(node) for node in graph.nodes] == [0, 24, 0]


@pytest.mark.parametrize("name", ["", "two words", "2nd", "a-b"])
def test_the_name_is_an_identifier(name):
    refuse(replace(build_graph(), name=name), "is not a C identifier", name)


def test_inputs_and_outputs_are_some_and_different():
    graph = build_graph()
    refuse(replace(graph, inputs=()), "no input", "small")
    refuse(replace(graph, outputs=()), "no output", "small")
    refuse(replace(graph, inputs=("input", "input")), "'input' is an input twice", "small")
    refuse(replace(graph, outputs=("best", "best")), "'best' is an output twice", "small")
    refuse(replace(graph, inputs=("input", "weights")), "'weights' is a constant", "small")
    refuse(replace(graph, inputs=("input", "flat")), "'flat' is computed twice", "flat")


def test_where_one_is_needed_several_are_refused():
    graph = replace(build_graph(), outputs=("scores", "best"))
    graph.verify()
    assert graph.input.name == "input"
    with pytest.raises(ModelError, match=r"2 outputs \(scores, best\), one is needed"):
        _ = graph.output


def test_interface_tensors_exist():
    graph = build_graph()
    refuse(replace(graph, inputs=("other",)), "'other' does not exist", "small")
    refuse(replace(graph, outputs=("other",)), "'other' does not exist", "small")


def test_tensors_are_filed_under_their_names():
    graph = build_graph()
    wrong = replace(graph.tensors["flat"], name="other")
    refuse(with_tensor(graph, "flat", wrong), "'other' is filed under 'flat'", "small")


def test_constants_have_their_shape_and_format():
    graph = build_graph()
    weights = graph.tensors["weights"]
    short = replace(weights, codes=weights.codes[:3])
    refuse(with_tensor(graph, "weights", short), r"shape \(3, 6\)", "weights")
    wide = replace(weights, codes=weights.codes * 128)
    refuse(with_tensor(graph, "weights", wide), "leaves format s8", "weights")


def test_a_node_reads_what_exists():
    refuse(with_node(build_graph(), 2, inputs=("other",)), "'other' does not exist", "best")


def test_a_node_reads_what_was_computed():
    graph = build_graph()
    swapped = replace(graph, nodes=(graph.nodes[1], graph.nodes[0], graph.nodes[2]))
    refuse(swapped, "reads tensor 'flat' before it is computed", "scores")


def test_a_node_writes_what_exists():
    refuse(with_node(build_graph(), 2, output="other"), "output tensor 'other'", "best")


@pytest.mark.parametrize("output", ["flat", "input", "weights"])
def test_a_tensor_is_computed_once(output):
    refuse(with_node(build_graph(), 2, output=output), "is computed twice", "best")


def test_stated_types_are_the_inferred_ones():
    graph = build_graph()
    tensor = graph.tensors["scores"]
    wrong = replace(tensor, type=replace(tensor.type, shape=(5,)))
    refuse(with_tensor(graph, "scores", wrong), r"computes s32\[4\].*says s32\[5\]", "scores")


@pytest.mark.parametrize("output", ["input", "weights"])
def test_the_output_is_computed(output):
    refuse(replace(build_graph(), outputs=(output,)), "never computed", "small")


def test_an_output_without_a_node_is_never_computed():
    graph = build_graph()
    refuse(replace(graph, nodes=graph.nodes[:-1]), "output 'best' is never computed", "small")


def test_the_builder_refuses_a_second_tensor_of_a_name():
    builder = GraphBuilder.start("small", TensorType((4,), S8))
    builder.constant("twice", np.zeros(3), S8)
    with pytest.raises(ModelError, match="'twice' is defined twice"):
        builder.constant("twice", np.zeros(3), S8)
    with pytest.raises(ModelError, match="'input' is defined twice"):
        builder.apply("input", Argmax(), "input")


def test_the_builder_verifies():
    builder = GraphBuilder.start("small", TensorType((4,), S8))
    builder.constant("codes", np.full(3, 200), S8)
    best = builder.apply("best", Argmax(), "input")
    with pytest.raises(ModelError, match="leaves format s8"):
        builder.build(best)


def test_a_graph_is_frozen():
    with pytest.raises(AttributeError):
        build_graph().name = "other"
    assert Node.__dataclass_params__.frozen
