"""Nodes whose result nobody reads."""

from __future__ import annotations

from tinyq.graph import Graph, Node
from tinyq.graph.passes.rewrite import with_nodes


def drop_dead_nodes(graph: Graph) -> Graph:
    """Remove nodes on which the output does not depend."""
    needed = set(graph.outputs)
    kept: list[Node] = []
    for node in reversed(graph.nodes):
        if node.output in needed:
            needed.update(node.inputs)
            kept.append(node)
    return with_nodes(graph, reversed(kept), {})
