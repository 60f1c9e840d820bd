"""Convolutions and pools along time."""

from __future__ import annotations

from dataclasses import replace

from tinyq.errors import ModelError
from tinyq.graph import Graph, Node, Op
from tinyq.graph.ops.average_pool2d import AveragePool2D
from tinyq.graph.ops.conv2d import Conv2D
from tinyq.graph.ops.depthwise_conv2d import DepthwiseConv2D
from tinyq.graph.ops.max_pool2d import MaxPool2D
from tinyq.graph.ops.pad2d import Pad2D
from tinyq.graph.ops.reshape import Reshape
from tinyq.graph.ops.sum_pool2d import SumPool2D
from tinyq.graph.ops.tflite_average_pool2d import TfliteAveragePool2D
from tinyq.graph.ops.window import Window
from tinyq.graph.streaming.timeline import Reach, Timeline, Trace
from tinyq.graph.streaming.tracing import Cut, Lines, end_time, shorten, trace

Sliding = Conv2D | DepthwiseConv2D | SumPool2D | MaxPool2D | AveragePool2D | TfliteAveragePool2D
_Weighted = Conv2D | DepthwiseConv2D
_CHANNELS = 2  # the axis of an image along which no window slides


@trace.register(Conv2D)
@trace.register(DepthwiseConv2D)
@trace.register(SumPool2D)
@trace.register(MaxPool2D)
@trace.register(AveragePool2D)
@trace.register(TfliteAveragePool2D)
def _(operation: Sliding, graph: Graph, node: Node, lines: Lines) -> Trace:
    """Each output column reads the columns under the window."""
    line, window = lines[0], operation.window
    if line is None or line.axis == _CHANNELS:
        return end_time(lines)
    shape = graph.tensors[node.inputs[0]].type.shape
    axis, length = line.axis, window.output_size(shape)[line.axis]
    if length == 1:
        return end_time(lines)
    scale, before = window.stride[axis], window.padding[2 * axis]
    end = scale * (length - 1) - before + window.extent()[axis]
    if end > line.length:
        raise _explain_future(node, before, (end - line.length) * line.stride)
    if before:
        _require_padding(operation, graph, node)
    padded = min(-(-(before + line.padded) // scale), length)
    fill = graph.tensors[node.output].type.zero_point
    after = Timeline(axis, line.stride * scale, length, fill, padded)
    reach = Reach(scale, -before, line.length - scale * (length - 1) + before)
    return Trace(after, (reach, *(None,) * (len(lines) - 1)), pads=before > 0)


def find_fill(operation: Op, graph: Graph, node: Node, line: Timeline) -> int:
    """The code of what is before the first column of an operation's first input."""
    x = graph.tensors[node.inputs[0]].type
    if isinstance(operation, MaxPool2D) and any(operation.window.padding):
        return x.format.lo  # which never wins
    if isinstance(operation, _Weighted) and x.format.step == 1:
        return operation.x_zero
    return line.fill


@shorten.register(Conv2D)
@shorten.register(DepthwiseConv2D)
@shorten.register(SumPool2D)
@shorten.register(MaxPool2D)
@shorten.register(AveragePool2D)
@shorten.register(TfliteAveragePool2D)
def _(operation: Sliding, cut: Cut) -> Op:
    """The same window without padding in time: the columns before are there."""
    line = cut.lines[0]
    if cut.trace.line is None or line is None:
        return operation
    return replace(operation, window=_without_padding(operation.window, line.axis))


def _without_padding(window: Window, axis: int) -> Window:
    top, bottom, left, right = window.padding
    padding = (0, 0, left, right) if axis == 0 else (top, bottom, 0, 0)
    return replace(window, padding=padding)


@trace.register
def _(operation: Pad2D, graph: Graph, node: Node, lines: Lines) -> Trace:
    """Padding before the first column is what is there before the first frame."""
    (line,) = lines
    if line is None or line.axis == _CHANNELS:
        return end_time(lines)
    before, behind = operation.padding[2 * line.axis : 2 * line.axis + 2]
    if behind:
        raise _explain_future(node, before, behind * line.stride)
    padded = line.padded + before
    fill = operation.value if before else line.fill
    after = Timeline(line.axis, line.stride, line.length + before, fill, padded)
    return Trace(after, (Reach(1, -before, before + 1),), pads=before > 0)


@shorten.register
def _(operation: Pad2D, cut: Cut) -> Op:
    """Only what is padded across time."""
    line = cut.lines[0]
    if cut.trace.line is None or line is None:
        return operation
    top, bottom, left, right = operation.padding
    padding = (0, 0, left, right) if line.axis == 0 else (top, bottom, 0, 0)
    if any(padding):
        return replace(operation, padding=padding)
    return Reshape(line.resize(cut.before[0].shape, cut.given))


def _explain_future(node: Node, before: int, frames: int) -> ModelError:
    """The error of a layer that needs frames which have not come yet."""
    side = f"{before} columns before and " if before else ""
    return ModelError(
        f"it pads {side}{frames} frames behind the newest one, so it would have to know the future",
        where=node.name,
        remedy="train it with padding 'valid' along time, or pad before the first frame alone "
        f"('causal'), which gives the same answers {frames} frames later",
    )


def _require_padding(operation: Sliding, graph: Graph, node: Node) -> None:
    """Check that a code can stand for the padding.

    Raises:
        ModelError: A mean leaves padding out, and binary codes have none that adds nothing.
    """
    x = graph.tensors[node.inputs[0]].type
    if isinstance(operation, AveragePool2D | TfliteAveragePool2D):
        raise ModelError(
            "it pads in time and counts the columns inside alone, fewer at the first columns",
            where=node.name,
            remedy="pool with padding 'valid' along time",
        )
    if isinstance(operation, _Weighted) and x.format.step != 1:
        raise ModelError(
            f"it pads {x} in time with zeros, which the format has no code for",
            where=node.name,
            remedy="train it with padding 'valid' along time",
        )
