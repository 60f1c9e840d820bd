"""A graph in which each chain is one node, for the plan; and the plan for the graph as it is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

from tinyq.graph import Graph, Node, Op
from tinyq.memory.rows.chain import Chain


@dataclass(frozen=True, slots=True)
class ByRows(Op):
    """A chain as one operation. It stands in folded graphs alone, which are planned and not run."""

    kernel: ClassVar[str] = "rows"


def fold(graph: Graph, chains: Sequence[Chain]) -> Graph:
    """The graph with one node in the place of each chain's; tensors between are nobody's."""
    first = {chain.members[0].node.name: chain for chain in chains}
    inner = {node.name for chain in chains for node in chain.nodes}
    nodes = []
    for node in graph.nodes:
        if node.name in first:
            chain = first[node.name]
            nodes.append(Node(chain.name, ByRows(), chain.inputs, chain.output))
        elif node.name not in inner:
            nodes.append(node)
    return replace(graph, nodes=tuple(nodes))


def find_owners(graph: Graph, chains: Sequence[Chain]) -> Mapping[str, str]:
    """Node of the folded graph that stands for each node."""
    owners = {node.name: node.name for node in graph.nodes}
    for chain in chains:
        owners |= {node.name: chain.name for node in chain.nodes}
    return owners


def fold_scratch(chains: Sequence[Chain], scratch: Mapping[str, int]) -> dict[str, int]:
    """Bytes beside the operands of folded nodes: a chain's rings, and the most of its layers."""
    inner = {node.name for chain in chains for node in chain.nodes}
    kept = {name: size for name, size in scratch.items() if name not in inner}
    for chain in chains:
        own = max(scratch.get(node.name, 0) for node in chain.nodes)
        kept[chain.name] = chain.ring_bytes + own
    return kept
