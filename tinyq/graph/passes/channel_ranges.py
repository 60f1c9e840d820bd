"""Which codes each channel of each tensor can have, whatever the input is."""

from __future__ import annotations

from dataclasses import dataclass
from functools import singledispatch

import numpy as np
import numpy.typing as npt

from tinyq.graph import Graph, Node, Op, TensorType
from tinyq.graph.accumulating import Accumulating
from tinyq.graph.epilogues import RequantizeTwice
from tinyq.graph.ops.add import Add
from tinyq.graph.ops.average_pool2d import AveragePool2D
from tinyq.graph.ops.concatenate import Concatenate
from tinyq.graph.ops.conv2d import Conv2D
from tinyq.graph.ops.dense import Dense
from tinyq.graph.ops.depthwise_conv2d import DepthwiseConv2D
from tinyq.graph.ops.lookup import Lookup
from tinyq.graph.ops.max_pool2d import MaxPool2D
from tinyq.graph.ops.multiply import Multiply
from tinyq.graph.ops.pad2d import Pad2D
from tinyq.graph.ops.pick_pixels import PickPixels
from tinyq.graph.ops.rescale import Rescale
from tinyq.graph.ops.reshape import Reshape
from tinyq.graph.ops.sliding_sum import SlidingSum
from tinyq.graph.ops.sum_pool2d import SumPool2D
from tinyq.graph.ops.tflite_add import TfliteAdd
from tinyq.graph.ops.tflite_average_pool2d import TfliteAveragePool2D
from tinyq.numerics.formats import Codes
from tinyq.numerics.rounding import INT32_MAX, INT32_MIN

Int64s = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Range:
    """Smallest and largest code per channel, int64, shape (channels,)."""

    lo: Int64s
    hi: Int64s

    @property
    def is_constant(self) -> npt.NDArray[np.bool_]:
        """Per channel, whether only one code is possible."""
        same: npt.NDArray[np.bool_] = np.equal(self.lo, self.hi)
        return same


def channel_ranges(graph: Graph) -> dict[str, Range]:
    """Ranges of all tensors by interval arithmetic, in one walk over the nodes.

    A range may be wider than what can occur, never narrower. An operation that is not known here
    has the range of its format.
    """
    found = {
        name: _of_codes(tensor.codes) if tensor.codes is not None else whole(tensor.type)
        for name, tensor in graph.tensors.items()
    }
    spans = graph.find_spans() if graph.states else {}
    for state in graph.states:
        found[state.name] = _between(graph.tensors[state.name].type, *spans[state.name])
    for node in graph.nodes:
        inputs = tuple(found[name] for name in node.inputs)
        ranges = _range_of(node.op, graph, node, inputs)
        limits = whole(graph.tensors[node.output].type)
        if ranges is not None:
            limits = Range(np.maximum(ranges.lo, limits.lo), np.minimum(ranges.hi, limits.hi))
        found[node.output] = limits
    return found


def whole(tensor_type: TensorType) -> Range:
    """All codes of the format."""
    return _between(tensor_type, tensor_type.format.lo, tensor_type.format.hi)


def _between(tensor_type: TensorType, lo: int, hi: int) -> Range:
    """The same codes in all channels."""
    channels = tensor_type.shape[-1] if tensor_type.shape else 1
    return Range(np.full(channels, lo, np.int64), np.full(channels, hi, np.int64))


def _of_codes(codes: Codes) -> Range:
    rows = codes.astype(np.int64).reshape(-1, codes.shape[-1] if codes.ndim else 1)
    if not len(rows):
        rows = np.zeros((1, rows.shape[1]), np.int64)
    return Range(rows.min(axis=0), rows.max(axis=0))


def _finished(graph: Graph, node: Node, lo: Int64s, hi: Int64s) -> Range | None:
    """Range after a node's epilogue, which is monotone in the accumulator.

    None where an accumulator could leave int32, or would be shifted out of it.
    """
    operation = node.op
    assert isinstance(operation, Accumulating)
    if lo.min(initial=0) < INT32_MIN or hi.max(initial=0) > INT32_MAX:
        return None
    names = node.inputs[operation.operands :]
    constants = [graph.tensors[name].codes for name in names]
    known = [codes for codes in constants if codes is not None]
    if len(known) != len(names):
        return None
    if isinstance(operation.output, RequantizeTwice):
        bias, _, exponent = (codes.astype(np.int64) for codes in known)
        reach = np.maximum(np.abs(lo + bias), np.abs(hi + bias)) << np.maximum(exponent, 0)
        if reach.max(initial=0) > INT32_MAX:
            return None
    ends = [operation.output.finish(end.astype(np.int32), *known) for end in (lo, hi)]
    return Range(np.minimum(*ends).astype(np.int64), np.maximum(*ends).astype(np.int64))


@singledispatch
def _range_of(operation: Op, graph: Graph, node: Node, inputs: tuple[Range, ...]) -> Range | None:
    """Range of a node's output, None for all codes."""
    del operation, graph, node, inputs
    return None


def _products(weights: Int64s, source: Range, zero: int, *, padded: bool) -> tuple[Int64s, Int64s]:
    """Smallest and largest product per weight; the last axis of ``weights`` is x's channels."""
    lo, hi = source.lo - zero, source.hi - zero
    if padded:
        lo, hi = np.minimum(lo, 0), np.maximum(hi, 0)
    return np.minimum(weights * lo, weights * hi), np.maximum(weights * lo, weights * hi)


def _weights(graph: Graph, node: Node) -> Int64s | None:
    codes = graph.tensors[node.inputs[1]].codes
    return None if codes is None else codes.astype(np.int64)


@_range_of.register
def _(operation: Conv2D, graph: Graph, node: Node, inputs: tuple[Range, ...]) -> Range | None:
    weights = _weights(graph, node)
    if weights is None:
        return None
    padded = any(operation.window.padding)
    lo, hi = _products(weights, inputs[0], operation.x_zero, padded=padded)
    return _finished(graph, node, lo.sum(axis=(1, 2, 3)), hi.sum(axis=(1, 2, 3)))


@_range_of.register
def _(operation: Dense, graph: Graph, node: Node, inputs: tuple[Range, ...]) -> Range | None:
    weights = _weights(graph, node)
    if weights is None:
        return None
    lo, hi = _products(weights, inputs[0], operation.x_zero, padded=False)
    return _finished(graph, node, lo.sum(axis=1), hi.sum(axis=1))


@_range_of.register
def _(
    operation: DepthwiseConv2D, graph: Graph, node: Node, inputs: tuple[Range, ...]
) -> Range | None:
    weights = _weights(graph, node)
    if weights is None:
        return None
    times = weights.shape[2] // len(inputs[0].lo)
    source = Range(np.repeat(inputs[0].lo, times), np.repeat(inputs[0].hi, times))
    padded = any(operation.window.padding)
    lo, hi = _products(weights, source, operation.x_zero, padded=padded)
    return _finished(graph, node, lo.sum(axis=(0, 1)), hi.sum(axis=(0, 1)))


@_range_of.register(Add)
@_range_of.register(TfliteAdd)
@_range_of.register(Multiply)
def _(operation: Accumulating, graph: Graph, node: Node, inputs: tuple[Range, ...]) -> Range | None:
    """The accumulator is monotone in each operand, so its extremes are at the corners."""
    x, y = inputs[:2]
    corners = [
        operation.accumulate(one.astype(np.int32), other.astype(np.int32)).astype(np.int64)
        for one in (x.lo, x.hi)
        for other in (y.lo, y.hi)
    ]
    return _finished(graph, node, np.minimum.reduce(corners), np.maximum.reduce(corners))


@_range_of.register
def _(operation: Rescale, graph: Graph, node: Node, inputs: tuple[Range, ...]) -> Range | None:
    lo, hi = (
        operation.accumulate(end.astype(np.int32)).astype(np.int64)
        for end in (inputs[0].lo, inputs[0].hi)
    )
    return _finished(graph, node, lo, hi)


@_range_of.register
def _(operation: SumPool2D, graph: Graph, node: Node, inputs: tuple[Range, ...]) -> Range | None:
    taps = operation.window.size[0] * operation.window.size[1]
    lo, hi = (taps * (end - operation.x_zero) for end in (inputs[0].lo, inputs[0].hi))
    return _finished(graph, node, lo, hi)


@_range_of.register(MaxPool2D)
@_range_of.register(AveragePool2D)
@_range_of.register(PickPixels)
def _(operation: Op, graph: Graph, node: Node, inputs: tuple[Range, ...]) -> Range:
    """Neither a largest value nor a rounded mean of integers leaves their range."""
    del operation, graph, node
    return inputs[0]


@_range_of.register
def _(operation: SlidingSum, graph: Graph, node: Node, inputs: tuple[Range, ...]) -> Range:
    del graph, node
    ends = (np.full_like(inputs[0].lo, end) for end in (operation.lo, operation.hi))
    return Range(*ends)


@_range_of.register
def _(operation: TfliteAveragePool2D, graph: Graph, node: Node, inputs: tuple[Range, ...]) -> Range:
    del graph, node
    lo, hi = (np.clip(end, operation.lo, operation.hi) for end in (inputs[0].lo, inputs[0].hi))
    return Range(lo, hi)


@_range_of.register
def _(operation: Lookup, graph: Graph, node: Node, inputs: tuple[Range, ...]) -> Range | None:
    del operation
    table = graph.tensors[node.inputs[1]].codes
    if table is None:
        return None
    pairs = list(zip(inputs[0].lo + 128, inputs[0].hi + 129, strict=True))
    lo = np.asarray([table[first:last].min() for first, last in pairs], np.int64)
    hi = np.asarray([table[first:last].max() for first, last in pairs], np.int64)
    return Range(lo, hi)


@_range_of.register
def _(operation: Pad2D, graph: Graph, node: Node, inputs: tuple[Range, ...]) -> Range:
    del graph, node
    if not any(operation.padding):
        return inputs[0]
    value = operation.value
    return Range(np.minimum(inputs[0].lo, value), np.maximum(inputs[0].hi, value))


@_range_of.register
def _(operation: Concatenate, graph: Graph, node: Node, inputs: tuple[Range, ...]) -> Range:
    del operation, graph, node
    return Range(
        np.concatenate([part.lo for part in inputs]), np.concatenate([part.hi for part in inputs])
    )


@_range_of.register
def _(operation: Reshape, graph: Graph, node: Node, inputs: tuple[Range, ...]) -> Range:
    before = graph.tensors[node.inputs[0]].type.shape
    after = (-1, operation.shape[-1])
    lo, hi = (np.broadcast_to(end, before).reshape(after) for end in (inputs[0].lo, inputs[0].hi))
    return Range(lo.min(axis=0), hi.max(axis=0))
