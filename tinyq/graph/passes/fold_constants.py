"""Nodes whose result is known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from tinyq.graph import Graph, Node, Tensor

MAX_ELEMENTS = 1 << 20  # of a folded tensor; a larger one would cost more flash than it saves
MAX_MACS = 1 << 28


def fold_constants(graph: Graph) -> Graph:
    """Compute nodes that read constants alone; their results become constants."""
    tensors = dict(graph.tensors)
    kept: list[Node] = []
    for node in graph.nodes:
        if node.output in graph.results or not _is_foldable(node, tensors):
            kept.append(node)
            continue
        operands = []
        for position, name in enumerate(node.inputs):
            codes = tensors[name].codes
            assert codes is not None
            operands.append(codes[None] if position in node.op.batched else codes)
        result = np.ascontiguousarray(node.op.run(*operands)[0])
        tensors[node.output] = replace(tensors[node.output], codes=result)
    used = {*graph.sources, *graph.results}
    for node in kept:
        used.update((*node.inputs, node.output))
    remaining = {name: tensor for name, tensor in tensors.items() if name in used}
    return replace(graph, nodes=tuple(kept), tensors=remaining)


def _is_foldable(node: Node, tensors: dict[str, Tensor]) -> bool:
    types = [tensors[name].type for name in node.inputs]
    elements = int(np.prod(tensors[node.output].type.shape, dtype=np.int64))
    return (
        all(tensors[name].is_constant for name in node.inputs)
        and elements <= MAX_ELEMENTS
        and node.op.macs(*types) <= MAX_MACS
    )
