"""Which rows of its inputs a layer needs for a row of its output, and the layer for some rows.

Rows are columns along axis 0, as streaming has them along time, so its rules serve here too. What
is different: all rows come within one call, so that padding below the last is known as well.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import get_args

from tinyq.errors import ModelError
from tinyq.graph import Graph, Node, Tensor, TensorType
from tinyq.graph.ops.average_pool2d import AveragePool2D
from tinyq.graph.ops.pad2d import Pad2D
from tinyq.graph.ops.tflite_average_pool2d import TfliteAveragePool2D
from tinyq.graph.streaming.timeline import Reach, Timeline, Trace
from tinyq.graph.streaming.tracing import Cut, shorten, trace
from tinyq.graph.streaming.transform import RULES
from tinyq.graph.streaming.windows import Sliding, find_fill

_SLIDING, _MEANS = get_args(Sliding), (AveragePool2D, TfliteAveragePool2D)
_SAME = Reach(1, 0, 1)
_MOST_ROWS = 4096  # so that the order of a chain is short, whoever made the graph
_FEWEST_AXES = 2  # rows, and the axis along which codes are packed

assert RULES, "importing the rules of streaming registers them"


@dataclass(frozen=True, slots=True)
class Reading:
    """Rows of an input that a layer reads.

    Row j of the output reads ``height`` rows from row ``scale * j - before`` on. Rows above the
    first and below the last are padding, all codes of which are ``fill``.
    """

    scale: int = 1
    height: int = 1
    before: int = 0
    behind: int = 0
    fill: int = 0

    @property
    def pads(self) -> bool:
        """Whether rows outside the image are read."""
        return self.before > 0 or self.behind > 0

    def count(self, rows: int) -> int:
        """Rows that so many rows of the output read."""
        return (rows - 1) * self.scale + self.height


Readings = tuple[Reading | None, ...]
"""For each input: how its rows are read; None for a constant."""


def find_readings(graph: Graph, node: Node) -> Readings | None:
    """How a node reads rows of its inputs; None where it cannot be computed row by row."""
    output = graph.tensors[node.output].type
    data = [graph.tensors[name] for name in node.inputs if not graph.tensors[name].is_constant]
    types = [output, *(tensor.type for tensor in data)]
    if min(len(it.shape) for it in types) < _FEWEST_AXES or output.shape[0] == 1 or not data:
        return None
    if max(it.shape[0] for it in types) > _MOST_ROWS:
        return None
    if isinstance(node.op, (*_SLIDING, Pad2D)):
        return _read_windows(graph, node)
    lines = _list_lines(graph, node)
    try:
        found = trace(node.op, graph, node, lines)
    except ModelError:
        return None
    if found.line is None or found.line.axis or found.pads or found.carries:
        return None
    reaches = tuple(None if line is None else _SAME for line in lines)
    return _read_rows(lines) if found.reaches == reaches else None


def cut_rows(graph: Graph, node: Node, readings: Readings, rows: int) -> Graph | None:
    """The graph of a node alone, for some rows of its output; None where it has no such form.

    Its inputs are the rows that these need, padding above and below them included.
    """
    before, output = graph.types(node), graph.tensors[node.output].type
    lines = _list_lines(graph, node)
    first = next(reading for reading in readings if reading is not None)
    given = first.count(rows)
    height = before[0].shape[0]
    line = Timeline(0, 1, output.shape[0], 0)
    reaches = tuple(None if it is None else _SAME for it in lines)
    cut = Cut(before, output, Trace(line, reaches), lines, height - given, given, rows)
    operation = shorten(node.op, cut)
    tensors = {}
    for position, (name, reading) in enumerate(zip(node.inputs, readings, strict=True)):
        if reading is None and position in node.op.batched:
            return None  # a constant with a value for each row
        tensors[name] = _resize(graph.tensors[name], reading, rows)
    try:
        made = operation.infer(*(tensors[name].type for name in node.inputs))
    except ModelError:
        return None
    if made != _with_rows(output, rows):
        return None
    inputs = tuple(name for name, tensor in tensors.items() if not tensor.is_constant)
    tensors[node.output] = Tensor(node.output, made)
    alone = Node(node.name, operation, node.inputs, node.output)
    return Graph(graph.name, inputs, (node.output,), MappingProxyType(tensors), (alone,))


def _read_windows(graph: Graph, node: Node) -> Readings | None:
    """Of a window that slides over the first input, or a border around it."""
    operation = node.op
    if not all(graph.tensors[name].is_constant for name in node.inputs[1:]):
        return None
    x = graph.tensors[node.inputs[0]].type
    others = (None,) * (len(node.inputs) - 1)
    if isinstance(operation, Pad2D):
        top, bottom = operation.padding[:2]
        return (Reading(1, 1, top, bottom, operation.value), *others)
    assert isinstance(operation, _SLIDING)
    window = operation.window
    rows = graph.tensors[node.output].type.shape[0]
    scale, height, before = window.stride[0], window.extent()[0], window.padding[0]
    behind = max((rows - 1) * scale + height - before - x.shape[0], 0)
    pads = before > 0 or behind > 0
    if pads and (isinstance(operation, _MEANS) or x.format.step != 1):
        return None  # means count the rows inside, and binary codes have none that adds nothing
    line = Timeline(0, 1, x.shape[0], x.zero_point)
    fill = find_fill(operation, graph, node, line) if pads else 0
    return (Reading(scale, height, before, behind, fill), *others)


def _read_rows(lines: Sequence[Timeline | None]) -> Readings:
    return tuple(None if line is None else Reading() for line in lines)


def _list_lines(graph: Graph, node: Node) -> tuple[Timeline | None, ...]:
    """Rows of the inputs as columns in time; a constant has none."""
    tensors = (graph.tensors[name] for name in node.inputs)
    return tuple(
        None if it.is_constant else Timeline(0, 1, it.type.shape[0], it.type.zero_point)
        for it in tensors
    )


def _resize(tensor: Tensor, reading: Reading | None, rows: int) -> Tensor:
    """An operand for some rows of the output."""
    if reading is None:
        return tensor
    return replace(tensor, type=_with_rows(tensor.type, reading.count(rows)))


def _with_rows(kind: TensorType, rows: int) -> TensorType:
    return replace(kind, shape=(rows, *kind.shape[1:]))
