"""Operations that hand on their input unchanged."""

from __future__ import annotations

import numpy as np

from tinyq.graph import Graph, Node
from tinyq.graph.ops.lookup import Lookup
from tinyq.graph.ops.rescale import Rescale
from tinyq.graph.ops.reshape import Reshape
from tinyq.graph.passes.rewrite import with_nodes

_ENUMERABLE_BITS = 8


def drop_identity(graph: Graph) -> Graph:
    """Remove reshapes to the same shape, and changes of code that map each one to itself.

    A rescaling or table is tried on all codes of its format. An identity from the graph's input
    right to its output stays, because a graph has at least one node.
    """
    renamed: dict[str, str] = {}
    kept: list[Node] = []
    for node in graph.nodes:
        if _is_identity(graph, node) and not _is_whole(graph, node, renamed):
            renamed[node.output] = node.inputs[0]
        else:
            kept.append(node)
    return with_nodes(graph, kept, renamed)


def _is_whole(graph: Graph, node: Node, renamed: dict[str, str]) -> bool:
    source = renamed.get(node.inputs[0], node.inputs[0])
    return node.output in graph.outputs and source in graph.inputs


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
