"""What a network is: tensors, operations, passes, the reference interpreter, files, summaries.

Takes nothing but integers; gives a verified `Graph`.
"""

from __future__ import annotations

from tinyq.graph.builder import GraphBuilder
from tinyq.graph.graph import Graph, Node, Op
from tinyq.graph.tensors import Operand, Shape, Span, State, Tensor, TensorType

__all__ = [
    "Graph",
    "GraphBuilder",
    "Node",
    "Op",
    "Operand",
    "Shape",
    "Span",
    "State",
    "Tensor",
    "TensorType",
]
