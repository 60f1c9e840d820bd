"""Nodes that compute the same, and constants with the same value."""

from __future__ import annotations

from tinyq.graph import Graph, Node, Op, Tensor, TensorType
from tinyq.graph.passes.rewrite import with_nodes


def merge_duplicates(graph: Graph) -> Graph:
    """Let the readers of equal constants and of equal nodes share the first one."""
    renamed = _equal_constants(graph)
    first: dict[tuple[Op, tuple[str, ...], TensorType], str] = {}
    kept: list[Node] = []
    for node in graph.nodes:
        inputs = tuple(renamed.get(name, name) for name in node.inputs)
        key = (node.op, inputs, graph.tensors[node.output].type)
        if node.output in graph.outputs or first.setdefault(key, node.output) == node.output:
            kept.append(node)
        else:
            renamed[node.output] = first[key]
    return with_nodes(graph, kept, renamed)


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
