"""LayerSpec: what a kernel may know of the layer that it computes."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import cast

from tinyq.graph import Graph, Node, TensorType
from tinyq.graph.epilogues import Accumulating
from tinyq.kernels.epilogues import EpilogueFunction, find_epilogue
from tinyq.kernels.estimates import Work
from tinyq.numerics.formats import Codes

_USUAL_CONSTANTS = 3  # of an epilogue for each channel


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
        operation: ``Op.kernel`` of its operation.
        formats: Names of the formats that choose its kernel (``Op.keyed``), as the graph has them.
        work: What it has to do in one inference.
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
    operation: str = ""
    formats: tuple[str, ...] = ()
    work: Work = Work(0, 0, 0)

    @property
    def finisher(self) -> EpilogueFunction | None:
        """The epilogue's own function, None without an epilogue or where it has none."""
        return find_epilogue(self.epilogue, self.output.format.name)

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
        operation=node.op.kernel,
        formats=name_formats(graph, node),
        work=measure_work(graph, node),
    )


def name_formats(graph: Graph, node: Node) -> tuple[str, ...]:
    """Names of the formats that choose a node's kernel."""
    types = graph.types(node)
    return tuple(types[index].format.name for index in node.op.keyed)


def measure_work(graph: Graph, node: Node) -> Work:
    """What a node has to do in one inference."""
    elements = math.prod(graph.tensors[node.output].type.shape)
    height = node.op.geometry(*graph.types(node)).get("kernel_height", 1)
    shapes = (graph.tensors[name].type.shape for name in split_inputs(node)[1])
    each = sum(math.prod(shape[:-1]) for shape in shapes)
    return Work(
        graph.macs(node), elements, elements * height, elements * max(each - _USUAL_CONSTANTS, 0)
    )


def split_inputs(node: Node) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Names of a node's operands, and of the constants of its epilogue."""
    count = node.op.operands if isinstance(node.op, Accumulating) else len(node.inputs)
    return node.inputs[:count], node.inputs[count:]
