"""LayerSpec: what a kernel may know of the layer that it computes."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import cast

from tinyq.graph import Graph, Node, TensorType
from tinyq.graph.accumulating import Accumulating
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
        epilogue: Class of the epilogue in lower case, empty without one.
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
    """What a node has to do in one inference; taps of windows in the padding are no work."""
    types, output = graph.types(node), graph.tensors[node.output].type
    elements = math.prod(output.shape)
    geometry = node.op.geometry(*types)
    rows, out_rows, height = _count_taps(geometry, "height")
    columns, out_columns, width = _count_taps(geometry, "width")
    inside = elements * rows * columns // (out_rows * out_columns)
    own = node.op.taps(*types)
    taps = inside if own is None else own
    shapes = (graph.tensors[name].type.shape for name in split_inputs(node)[1])
    each = sum(math.prod(shape[:-1]) for shape in shapes)
    epilogue = type(node.op.output).__name__.lower() if isinstance(node.op, Accumulating) else ""
    return Work(
        macs=graph.macs(node) * taps // (elements * height * width),
        elements=elements,
        lines=elements * rows // out_rows,
        constants=elements * max(each - _USUAL_CONSTANTS, 0),
        taps=taps,
        rows=output.rows,
        inputs=math.prod(types[0].shape),
        words=output.words * taps // elements,
        epilogue=f"{epilogue}_{output.format.name}" if epilogue else "",
        shared=any(other is not node and _is_equal(graph, node, other) for other in graph.nodes),
    )


def _is_equal(graph: Graph, node: Node, other: Node) -> bool:
    """Whether two nodes have the same operation and formats, and so the same generic kernel."""
    return node.op.kernel == other.op.kernel and (
        name_formats(graph, node) == name_formats(graph, other)
    )


def _count_taps(geometry: Mapping[str, int], side: str) -> tuple[int, int, int]:
    """Along one side: taps inside the image over all windows, windows, taps of a window.

    The windows of a transposed convolution lie on its output: all their taps are looked at.
    """
    size, windows = geometry.get(f"kernel_{side}", 1), geometry.get(f"out_{side}", 1)
    dilation = geometry.get(f"dilation_{side}", 0)
    if not dilation:
        return size * windows, windows, size
    pad = geometry["pad_top" if side == "height" else "pad_left"]
    starts = (window * geometry[f"stride_{side}"] - pad for window in range(windows))
    inside = sum(
        0 <= start + tap * dilation < geometry[f"in_{side}"]
        for start in starts
        for tap in range(size)
    )
    return inside, windows, size


def split_inputs(node: Node) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Names of a node's operands, and of the constants of its epilogue."""
    count = node.op.operands if isinstance(node.op, Accumulating) else len(node.inputs)
    return node.inputs[:count], node.inputs[count:]
