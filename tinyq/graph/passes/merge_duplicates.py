"""Nodes that compute the same, and constants with the same value."""

from __future__ import annotations

from dataclasses import replace

from tinyq.graph import Graph, Node, Op, Tensor, TensorType
from tinyq.graph.ops.reshape import Reshape
from tinyq.graph.passes.rewrite import with_nodes


def merge_duplicates(graph: Graph) -> Graph:
    """Let the readers of equal constants and of equal nodes share the first one.

    An output that is equal to another tensor is copied from it.
    """
    renamed = _equal_constants(graph)
    first: dict[tuple[Op, tuple[str, ...], TensorType], str] = {}
    kept: list[Node] = []
    for node in graph.nodes:
        inputs = tuple(renamed.get(name, name) for name in node.inputs)
        key = (node.op, inputs, graph.tensors[node.output].type)
        if first.setdefault(key, node.output) == node.output:
            kept.append(node)
        elif node.output in graph.outputs:
            kept.append(_copied(graph, node, first[key]))
        else:
            renamed[node.output] = first[key]
    return with_nodes(graph, kept, renamed)


def _copied(graph: Graph, node: Node, source: str) -> Node:
    """The node as a copy of an equal tensor; itself where it only moves codes."""
    if isinstance(node.op, Reshape):
        return node
    return replace(node, op=Reshape(graph.tensors[node.output].type.shape), inputs=(source,))


def _equal_constants(graph: Graph) -> dict[str, str]:
    first: dict[tuple[TensorType, bytes], str] = {}
    renamed: dict[str, str] = {}
    for name, tensor in graph.tensors.items():
        if tensor.codes is not None:
            other = first.setdefault(_value(tensor), name)
            if other != name:
                renamed[name] = other
    return renamed


def _value(tensor: Tensor) -> tuple[TensorType, bytes]:
    assert tensor.codes is not None
    return tensor.type, tensor.codes.tobytes()
