"""Operations that compute each column by itself."""

from __future__ import annotations

import numpy as np

from tinyq.graph import Graph, Node, Op
from tinyq.graph.ops.add import Add
from tinyq.graph.ops.argmax import Argmax
from tinyq.graph.ops.concatenate import Concatenate
from tinyq.graph.ops.curve import Curve
from tinyq.graph.ops.dense import Dense
from tinyq.graph.ops.extremum import Extremum
from tinyq.graph.ops.lookup import Lookup
from tinyq.graph.ops.multiply import Multiply
from tinyq.graph.ops.offset_add import OffsetAdd
from tinyq.graph.ops.prelu import Prelu, TflitePrelu
from tinyq.graph.ops.rescale import Rescale
from tinyq.graph.ops.single_add import SingleAdd
from tinyq.graph.ops.softmax import Softmax
from tinyq.graph.ops.tflite_add import TfliteAdd
from tinyq.graph.ops.tflite_divide import TfliteDivide
from tinyq.graph.ops.tflite_l2_norm import TfliteL2Norm
from tinyq.graph.ops.tflite_log_softmax import TfliteLogSoftmax
from tinyq.graph.ops.tflite_sigmoid import TfliteSigmoid
from tinyq.graph.ops.tflite_softmax import TfliteSoftmax
from tinyq.graph.ops.tflite_squared_difference import TfliteSquaredDifference
from tinyq.graph.ops.tflite_wide_softmax import TfliteWideSoftmax
from tinyq.graph.ops.top_k import TopIndices, TopValues
from tinyq.graph.streaming.timeline import Reach, Timeline, Trace
from tinyq.graph.streaming.tracing import Lines, end_time, trace
from tinyq.graph.tensors import Tensor

_HERE = Reach(1, 0, 1)


@trace.register(Curve)
@trace.register(Extremum)
@trace.register(Lookup)
@trace.register(SingleAdd)
@trace.register(TfliteSigmoid)
def _(operation: Op, graph: Graph, node: Node, lines: Lines) -> Trace:
    """One code of the output from one of each input, the same way everywhere."""
    return trace_columns(operation, graph, node, lines)


@trace.register(Add)
@trace.register(Argmax)
@trace.register(Concatenate)
@trace.register(Dense)
@trace.register(Multiply)
@trace.register(OffsetAdd)
@trace.register(Prelu)
@trace.register(Rescale)
@trace.register(Softmax)
@trace.register(TfliteAdd)
@trace.register(TfliteDivide)
@trace.register(TfliteL2Norm)
@trace.register(TfliteLogSoftmax)
@trace.register(TflitePrelu)
@trace.register(TfliteSoftmax)
@trace.register(TfliteSquaredDifference)
@trace.register(TfliteWideSoftmax)
@trace.register(TopIndices)
@trace.register(TopValues)
def _(operation: Op, graph: Graph, node: Node, lines: Lines) -> Trace:
    """One row of the output from one of each input; rows lie along the last axis."""
    return trace_rows(operation, graph, node, lines)


def trace_rows(operation: Op, graph: Graph, node: Node, lines: Lines) -> Trace:
    """Time of an operation on rows: goes on but along the rows."""
    last = len(graph.tensors[node.inputs[0]].type.shape) - 1
    if any(line is not None and line.axis == last for line in lines):
        return end_time(lines)
    return trace_columns(operation, graph, node, lines)


def trace_columns(operation: Op, graph: Graph, node: Node, lines: Lines) -> Trace:
    """Time of an operation on each column by itself: goes on where all inputs have one time."""
    known = [line for line in lines if line is not None]
    axis, stride, length = known[0].axis, known[0].stride, known[0].length
    if any((line.axis, line.stride, line.length) != (axis, stride, length) for line in known):
        return end_time(lines)
    for position in operation.batched:
        tensor = graph.tensors[node.inputs[position]]
        if lines[position] is None and not _is_steady(tensor, axis):
            return end_time(lines)
    fill = graph.tensors[node.output].type.zero_point
    padded = max(line.padded for line in known)
    after = Timeline(axis, stride, length, fill, padded)
    return Trace(after, tuple(_HERE if line else None for line in lines))


def _is_steady(tensor: Tensor, axis: int) -> bool:
    """Whether a tensor is a constant whose columns are all the same."""
    if tensor.codes is None:
        return False
    return bool((tensor.codes == np.take(tensor.codes, [0], axis=axis)).all())
