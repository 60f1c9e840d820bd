"""What a graph is made of, layer by layer: formats, shapes, work, bytes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tinyq.graph import Graph, Node


@dataclass(frozen=True, slots=True)
class LayerSummary:
    """One node of a graph.

    Attributes:
        name: Node name.
        operation: Kernel name.
        formats: Formats and shapes of the operands and the output.
        macs: Multiply-accumulates of one inference, counted from the shapes.
        weight_bytes: Packed constants, the epilogue's included.
        output_bytes: Packed output.
        zero_weights: Share of the weights that are 0, 0 .. 1; None where there are none.
    """

    name: str
    operation: str
    formats: str
    macs: int
    weight_bytes: int
    output_bytes: int
    zero_weights: float | None


def summarize(graph: Graph) -> tuple[LayerSummary, ...]:
    """All nodes in execution order."""
    return tuple(
        LayerSummary(
            name=node.name,
            operation=node.op.kernel,
            formats=describe_node(graph, node),
            macs=graph.macs(node),
            weight_bytes=graph.constant_bytes(node),
            output_bytes=graph.tensors[node.output].type.packed_bytes,
            zero_weights=zero_weights(graph, node),
        )
        for node in graph.nodes
    )


def describe_node(graph: Graph, node: Node) -> str:
    """Operands and output of a node, such as ``u4[8,8,16] x t2[32,3,3,16] -> s8[8,8,32]``."""
    types = graph.types(node)
    operands = " x ".join(str(types[position]) for position in node.op.keyed)
    return f"{operands} -> {graph.tensors[node.output].type}"


def name_nodes(nodes: Sequence[Node]) -> str:
    """Name of nodes that are computed together: of the first and the last."""
    return "..".join(dict.fromkeys((nodes[0].name, nodes[-1].name)))


def describe_nodes(graph: Graph, nodes: Sequence[Node]) -> str:
    """`describe_node` of nodes that are computed together."""
    return "; ".join(describe_node(graph, node) for node in nodes)


def zero_weights(graph: Graph, node: Node) -> float | None:
    """Share of a node's weights that are 0 and could be skipped, 0 .. 1; None without weights."""
    tensors = (graph.tensors[node.inputs[position]] for position in node.op.keyed)
    weights = [tensor.codes for tensor in tensors if tensor.codes is not None and tensor.codes.size]
    if not weights:
        return None
    return sum(int((codes == 0).sum()) for codes in weights) / sum(map(np.size, weights))
