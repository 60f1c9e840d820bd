"""Graphs with kernels of given instruction sets: what fits a node, and the sources."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from tinyq.codegen import SourceTree, emit
from tinyq.graph import Graph, Node
from tinyq.kernels.base import Bound, Refusal
from tinyq.selection import force_kernels, list_bound, plan_kernels


def list_specialized(graph: Graph, node: Node, isas: Sequence[str]) -> list[Bound | Refusal]:
    """What kernels that are written for a layer answer."""
    return [it for it in list_bound(graph, node, isas) if not it.kernel.shared]


def emit_for(
    graph: Graph, isas: Sequence[str], names: Mapping[str, str] = MappingProxyType({})
) -> SourceTree:
    """Sources with the kernels that `select_kernels` takes, or those that are named by node."""
    bounds = force_kernels(graph, isas, names)
    return emit(graph, plan_kernels(graph, bounds), bounds)
