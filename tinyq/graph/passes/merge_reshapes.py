"""Reshapes of reshapes."""

from __future__ import annotations

from dataclasses import replace

from tinyq.graph import Graph, Node
from tinyq.graph.ops.reshape import Reshape
from tinyq.graph.passes.drop_dead_nodes import drop_dead_nodes


def merge_reshapes(graph: Graph) -> Graph:
    """Let a reshape of a reshape read the first one's input, as row-major order is the same."""
    origins: dict[str, str] = {}
    nodes: list[Node] = []
    for node in graph.nodes:
        if isinstance(node.op, Reshape):
            origin = origins.get(node.inputs[0], node.inputs[0])
            origins[node.output] = origin
            node = replace(node, inputs=(origin,))
        nodes.append(node)
    return drop_dead_nodes(replace(graph, nodes=tuple(nodes)))
