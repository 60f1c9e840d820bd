"""States that are the newest columns of what is joined to them."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from tinyq.graph import Graph, Node, State, Tensor
from tinyq.graph.ops.append import Append
from tinyq.graph.ops.concatenate import Concatenate
from tinyq.graph.ops.reshape import Reshape
from tinyq.graph.ops.strided_copy import StridedCopy
from tinyq.graph.passes.drop_dead_nodes import drop_dead_nodes
from tinyq.graph.passes.rewrite import readers


def form_rings(graph: Graph) -> Graph:
    """Turn a state that is joined with new columns, and keeps the last of both, into a ring.

        window = [state, new];  state' = window[len(new):]     becomes
        window = append(ring, new);  ring' = window

    The ring holds the whole window, so that nothing is joined in the arena and copied back.
    """
    for state in graph.states:
        joint = _find_joint(graph, state)
        if joint is not None:
            graph = _with_ring(graph, state, joint)
    return drop_dead_nodes(graph) if graph.states else graph


def _find_joint(graph: Graph, state: State) -> Node | None:
    """The node that joins a state with new columns, where the state is the last of both."""
    producers = {node.output: node for node in graph.nodes}
    copy = producers.get(_find_origin(producers, state.next))
    if copy is None or not isinstance(copy.op, StridedCopy):
        return None
    joint = producers.get(_find_origin(producers, copy.inputs[0]))
    if joint is None or not isinstance(joint.op, Concatenate):
        return None
    first, second = graph.types(joint)
    old, new = math.prod(first.shape), math.prod(second.shape)
    plain = tuple(math.prod(copy.op.shape[axis + 1 :]) for axis in range(len(copy.op.shape)))
    fits = (
        first.rows == 1
        and _find_origin(producers, joint.inputs[0]) == state.name
        and _find_origin(producers, joint.inputs[1]) != state.name
        and (math.prod(copy.op.shape), copy.op.strides, copy.op.start) == (old, plain, new)
    )
    return joint if fits and _is_read_once(graph, producers, state.name, joint) else None


def _find_origin(producers: dict[str, Node], name: str) -> str:
    """The tensor whose codes these are under other shapes."""
    while name in producers and isinstance(producers[name].op, Reshape):
        name = producers[name].inputs[0]
    return name


def _is_read_once(graph: Graph, producers: dict[str, Node], name: str, joint: Node) -> bool:
    """Whether reshapes on the way to one node are all that reads a state."""
    reading = readers(graph)
    on_the_way = joint.inputs[0]
    while on_the_way != name:
        if len(reading[on_the_way]) != 1:
            return False
        on_the_way = producers[on_the_way].inputs[0]
    others = [it.next for it in graph.states]
    return len(reading[name]) == 1 and name not in others and joint.output not in others


def _with_ring(graph: Graph, state: State, joint: Node) -> Graph:
    kind, old = graph.tensors[joint.output].type, graph.tensors[state.name].type
    name = f"{state.name}_ring"
    while name in graph.tensors:
        name += "_"
    codes = np.broadcast_to(state.first, old.shape).reshape(-1)
    missing = math.prod(kind.shape) - codes.size
    first = np.concatenate([np.repeat(codes[:1], missing), codes]).reshape(kind.shape)
    ring = State(
        name, joint.output, first if state.fill is None else np.asarray(state.fill, np.int32)
    )
    append = replace(joint, op=Append(len(kind.shape) - 1), inputs=(name, joint.inputs[1]))
    return replace(
        graph,
        nodes=tuple(append if node is joint else node for node in graph.nodes),
        tensors={**graph.tensors, name: Tensor(name, kind)},
        states=tuple(ring if it is state else it for it in graph.states),
    )
