"""Nodes and states whose result nobody reads."""

from __future__ import annotations

from dataclasses import replace

from tinyq.graph import Graph
from tinyq.graph.passes.rewrite import with_nodes


def drop_dead_nodes(graph: Graph) -> Graph:
    """Remove nodes and states on which no output of any step depends."""
    producers = {node.output: node for node in graph.nodes}
    following = {state.name: state.next for state in graph.states}
    needed: set[str] = set()
    left = list(graph.outputs)
    while left:
        name = left.pop()
        if name in needed:
            continue
        needed.add(name)
        if name in producers:
            left += producers[name].inputs
        elif name in following:
            left.append(following[name])
    kept = [node for node in graph.nodes if node.output in needed]
    states = tuple(state for state in graph.states if state.name in needed)
    return with_nodes(replace(graph, states=states), kept, {})
