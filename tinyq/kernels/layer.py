"""LayerSpec: what a kernel may know of the layer that it computes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import cast

from tinyq.graph import Graph, Node, TensorType
from tinyq.graph.epilogues import Accumulating
from tinyq.numerics.formats import Codes


@dataclass(frozen=True, slots=True, eq=False)
class LayerSpec:
    """One node of a graph, for kernels.

    Attributes:
        name: The node.
        inputs: Types of the operands.
        output: Type of the output.
        operands: Codes of the operands that are constants, None for the others.
        data: Indexes of the operands that a kernel reads through pointers, be they constants or
            not: those with a value for each sample (``Op.batched``). The others are weights.
        epilogue: Class of the output stage in lower case, empty without one.
        constants: Codes of the epilogue's constants by their names.
        geometry: Integers of the operation and of the epilogue.
        isas: Instruction sets whose kernels may be used, best first.
    """

    name: str
    inputs: tuple[TensorType, ...]
    output: TensorType
    operands: tuple[Codes | None, ...]
    data: tuple[int, ...]
    epilogue: str
    constants: Mapping[str, Codes]
    geometry: Mapping[str, int]
    isas: tuple[str, ...]

    @property
    def weights(self) -> Codes | None:
        """Codes of the last operand, None where it is no constant."""
        return self.operands[-1]


def describe_layer(graph: Graph, node: Node, isas: Sequence[str]) -> LayerSpec:
    """What kernels may know of a node."""
    operands, finishing = split_inputs(node)
    types = graph.types(node)
    output = node.op.output if isinstance(node.op, Accumulating) else None
    names = zip(output.names, finishing, strict=True) if output else ()
    return LayerSpec(
        name=node.name,
        inputs=types[: len(operands)],
        output=graph.tensors[node.output].type,
        operands=tuple(graph.tensors[name].codes for name in operands),
        data=tuple(index for index in node.op.batched if index < len(operands)),
        epilogue=type(output).__name__.lower() if output else "",
        constants=MappingProxyType(
            {key: cast(Codes, graph.tensors[name].codes) for key, name in names}
        ),
        geometry=MappingProxyType(dict(node.op.geometry(*types))),
        isas=tuple(isas),
    )


def split_inputs(node: Node) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Names of a node's operands, and of the constants of its epilogue."""
    count = node.op.operands if isinstance(node.op, Accumulating) else len(node.inputs)
    return node.inputs[:count], node.inputs[count:]
