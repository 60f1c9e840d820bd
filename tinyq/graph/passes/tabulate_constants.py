"""Operations of two operands one of which is a single number: functions of one code."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from tinyq.graph import Graph, Node, Tensor, TensorType
from tinyq.graph.ops.add import Add
from tinyq.graph.ops.extremum import Extremum
from tinyq.graph.ops.lookup import Lookup
from tinyq.graph.ops.multiply import Multiply
from tinyq.graph.ops.tflite_add import TfliteAdd
from tinyq.graph.ops.tflite_squared_difference import TfliteSquaredDifference
from tinyq.graph.passes.rewrite import with_nodes
from tinyq.numerics.formats import Codes, find_format

_PAIRS = (Add, Extremum, Multiply, TfliteAdd, TfliteSquaredDifference)


def tabulate_constants(graph: Graph) -> Graph:
    """Turn 8-bit sums, products and the like with one number into tables of 256 codes.

    A table takes one load for each code and spares the constant, which is as large as the tensor
    where it was repeated.
    """
    tensors = dict(graph.tensors)
    nodes = [_tabulated(node, tensors) for node in graph.nodes]
    if all(new is old for new, old in zip(nodes, graph.nodes, strict=True)):
        return graph
    return with_nodes(replace(graph, tensors=tensors), nodes, {})


def _tabulated(node: Node, tensors: dict[str, Tensor]) -> Node:
    """The node as a table, or itself."""
    output = tensors[node.output].type
    if not isinstance(node.op, _PAIRS) or output.format.name != "s8":
        return node
    data = [name for name in node.inputs[:2] if not tensors[name].is_constant]
    if len(data) != 1 or tensors[data[0]].type.format.name != "s8":
        return node
    operands: list[Codes] = []
    for name in node.inputs:
        codes = tensors[name].codes
        if codes is None:
            operands.append(np.arange(-128, 128, dtype=np.int32)[:, None])
        elif (codes == codes[..., :1]).all() and (name not in node.inputs[:2] or _is_one(codes)):
            operands.append(codes.reshape(-1)[:1] if name in node.inputs[:2] else codes[..., :1])
        else:
            return node
    table = node.op.run(*operands).reshape(-1)
    name = f"{node.output}_table"
    while name in tensors:
        name += "_"
    tensors[name] = Tensor(name, TensorType((256,), find_format("s8")), table)
    operation = Lookup(output.scale, output.zero_point)
    return replace(node, op=operation, inputs=(data[0], name))


def _is_one(codes: Codes) -> bool:
    return int(codes.min()) == int(codes.max())
