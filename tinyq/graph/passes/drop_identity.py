"""Operations that hand on their input unchanged."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from tinyq.graph import Graph, Node
from tinyq.graph.ops.lookup import Lookup
from tinyq.graph.ops.rescale import Rescale
from tinyq.graph.ops.reshape import Reshape
from tinyq.graph.passes.rewrite import with_nodes

_ENUMERABLE_BITS = 8


def drop_identity(graph: Graph) -> Graph:
    """Remove reshapes to the same shape, and changes of code that map each one to itself.

    A rescaling or table is tried on all codes of its format. One whose output is the graph's stays
    where its input is no tensor that could be the output instead: an input, a constant, or another
    output. Otherwise the only output of a graph is then the identity's input, and one of several,
    which the world knows by name, keeps its name and is computed by the node before.
    """
    renamed: dict[str, str] = {}
    kept: list[Node] = []
    for node in graph.nodes:
        if not _is_identity(graph, node):
            kept.append(node)
            continue
        source = _follow(node.inputs[0], renamed)
        if node.output not in graph.outputs:
            if node.output in graph.results and not _can_follow(graph, source):
                kept.append(node)
                continue
            renamed[node.output] = source
        elif not _can_be_output(graph, source):
            kept.append(node)
        elif len(graph.outputs) == 1:
            renamed[node.output] = source
        else:
            renamed[source] = node.output
            kept = [
                replace(one, output=node.output) if one.output == source else one for one in kept
            ]
    return with_nodes(graph, kept, renamed)


def _can_be_output(graph: Graph, name: str) -> bool:
    """Whether a tensor can be an output in another's place: computed, and none so far."""
    return not graph.tensors[name].is_constant and name not in (*graph.sources, *graph.outputs)


def _can_follow(graph: Graph, name: str) -> bool:
    """Whether a tensor can be the next value of a state: an input or a computed one."""
    states = [state.name for state in graph.states]
    return not graph.tensors[name].is_constant and name not in states


def _follow(name: str, renamed: dict[str, str]) -> str:
    while name in renamed:
        name = renamed[name]
    return name


def _is_identity(graph: Graph, node: Node) -> bool:
    before = graph.tensors[node.inputs[0]].type
    if before != graph.tensors[node.output].type:
        return False
    if isinstance(node.op, Reshape):
        return True
    if not isinstance(node.op, Rescale | Lookup) or before.format.bits > _ENUMERABLE_BITS:
        return False
    span = np.arange(before.format.lo, before.format.hi + 1, before.format.step, dtype=np.int32)
    codes = np.repeat(span[:, None], before.shape[-1], axis=1)
    constants = [tensor.codes for tensor in graph.constants(node) if tensor.codes is not None]
    return bool(np.array_equal(node.op.run(codes, *constants), codes))
