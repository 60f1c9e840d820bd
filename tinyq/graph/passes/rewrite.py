"""Graphs made of changed nodes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from tinyq.graph import Graph, Node, Tensor


def with_nodes(graph: Graph, nodes: Iterable[Node], renamed: Mapping[str, str]) -> Graph:
    """A graph of other nodes.

    Args:
        graph: The graph to change.
        nodes: Its nodes from now on, in execution order.
        renamed: Tensors that are read under another name from now on.

    Returns:
        The new graph; tensors that nothing names are gone.
    """
    kept = tuple(
        replace(node, inputs=tuple(_follow(name, renamed) for name in node.inputs))
        for node in nodes
    )
    outputs = tuple(_follow(name, renamed) for name in graph.outputs)
    states = tuple(replace(it, next=_follow(it.next, renamed)) for it in graph.states)
    changed = replace(graph, nodes=kept, outputs=outputs, states=states)
    named = {*changed.sources, *changed.results}
    for node in kept:
        named.update((*node.inputs, node.output))
    tensors: dict[str, Tensor] = {
        name: tensor for name, tensor in graph.tensors.items() if name in named
    }
    return replace(changed, tensors=tensors)


def readers(graph: Graph) -> dict[str, list[Node]]:
    """Nodes that read each tensor."""
    found: dict[str, list[Node]] = {name: [] for name in graph.tensors}
    for node in graph.nodes:
        for name in node.inputs:
            found[name].append(node)
    return found


def name_outputs(graph: Graph, labels: Sequence[str]) -> Graph:
    """The same graph, whose outputs have the names by which their users know them.

    Args:
        graph: A verified graph.
        labels: One for each output; an empty one, or one of an input or a state, leaves a name as
            it is. A tensor of the middle that has such a name gets another.
    """
    names: dict[str, str] = {}
    for output, label in zip(graph.outputs, labels, strict=True):
        others = {*graph.sources, *graph.outputs, *names.values()} - {output}
        if not label or label == output or label in others:
            continue
        names[output] = label
        if label in graph.tensors:
            other = f"{label}_inner"
            while other in graph.tensors or other in labels:
                other += "_"
            names[label] = other
    return rename_tensors(graph, names) if names else graph


def rename_tensors(graph: Graph, names: Mapping[str, str]) -> Graph:
    """The same graph with some tensors under other names, which no other tensor has."""

    def new(name: str) -> str:
        return names.get(name, name)

    nodes = tuple(
        replace(node, inputs=tuple(map(new, node.inputs)), output=new(node.output))
        for node in graph.nodes
    )
    return replace(
        graph,
        inputs=tuple(map(new, graph.inputs)),
        outputs=tuple(map(new, graph.outputs)),
        nodes=nodes,
        states=tuple(replace(it, name=new(it.name), next=new(it.next)) for it in graph.states),
        tensors={new(name): replace(it, name=new(name)) for name, it in graph.tensors.items()},
    )


def _follow(name: str, renamed: Mapping[str, str]) -> str:
    while name in renamed:
        name = renamed[name]
    return name
