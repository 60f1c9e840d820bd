"""Operations that move codes without computing: what they do to time is read off a moved clock."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from tinyq.graph import Graph, Node, Op, Shape
from tinyq.graph.ops.reshape import Reshape
from tinyq.graph.ops.strided_copy import StridedCopy
from tinyq.graph.streaming.timeline import Reach, Timeline, Trace
from tinyq.graph.streaming.tracing import Cut, Lines, end_time, shorten, trace
from tinyq.numerics.formats import Codes


@dataclass(frozen=True, slots=True, eq=False)
class _Moved:
    """Where each element of an output comes from.

    Attributes:
        times: Column of the input.
        others: Its place within the column, in row-major order.
        shape: Of the input.
        axis: Of time in the input.
    """

    times: Codes
    others: Codes
    shape: Shape
    axis: int

    def find_axis(self) -> int | None:
        """The axis of the output along which time runs evenly forwards, and nothing else does."""
        for axis, length in enumerate(self.times.shape):
            first = np.take(self.times, [0], axis=axis)
            if length == 1 or not (first == first.flat[0]).all():
                continue
            steps = np.diff(np.moveaxis(self.times, axis, 0).reshape(length, -1)[:, 0])
            still = (self.others == np.take(self.others, [0], axis=axis)).all()
            if still and steps.min() == steps.max() > 0 and self._runs_along(axis):
                return axis
        return None

    def _runs_along(self, axis: int) -> bool:
        line = np.moveaxis(self.times, axis, -1)
        return bool((line == line.reshape(-1, line.shape[-1])[0]).all())

    def locate(self, columns: int, first: int) -> Codes:
        """Flat places in an input of ``columns`` columns from ``first`` on."""
        inner = math.prod(self.shape[self.axis + 1 :])
        outer, rest = np.divmod(self.others.astype(np.int64), inner)
        return (outer * columns + (self.times - first)) * inner + rest


def _follow(operation: Op, shape: Shape, axis: int) -> _Moved:
    """Move a clock and the places within a column as the operation moves codes."""
    clock = np.arange(shape[axis], dtype=np.int32).reshape((-1, *(1,) * (len(shape) - axis - 1)))
    column = (*shape[:axis], 1, *shape[axis + 1 :])
    places = np.arange(math.prod(column), dtype=np.int32).reshape(column)
    times, others = (
        operation.run(np.ascontiguousarray(np.broadcast_to(part, shape))[None])[0]
        for part in (clock, places)
    )
    return _Moved(times, others, shape, axis)


@trace.register
def _(operation: Reshape, graph: Graph, node: Node, lines: Lines) -> Trace:
    """Time goes on where its axis stays one axis."""
    (line,) = lines
    before = graph.tensors[node.inputs[0]].type.shape
    if line is None:
        return end_time(lines)
    outer = math.prod(before[: line.axis])
    for axis, length in enumerate(operation.shape):
        if length == line.length and math.prod(operation.shape[:axis]) == outer:
            after = Timeline(axis, line.stride, length, line.fill, line.padded)
            return Trace(after, (Reach(1, 0, 1),))
    return end_time(lines)


@shorten.register
def _(operation: Reshape, cut: Cut) -> Op:
    """The same shape with fewer columns."""
    line = cut.trace.line
    return Reshape(line.resize(operation.shape, cut.new)) if line else operation


@trace.register
def _(operation: StridedCopy, graph: Graph, node: Node, lines: Lines) -> Trace:
    """Time goes on along the axis of the output along which it runs; one column ends it."""
    (line,) = lines
    if line is None:
        return end_time(lines)
    moved = _follow(operation, graph.tensors[node.inputs[0]].type.shape, line.axis)
    # Places are affine for any number of columns where they are for two.
    if _fit(moved.locate(line.length + 1, 0)) is None:
        return end_time(lines)
    low, high = int(moved.times.min()), int(moved.times.max())
    if low == high:
        return Trace(None, (Reach(0, low, line.length - low),))
    axis = moved.find_axis()
    if axis is None:
        return end_time(lines)
    length = operation.shape[axis]
    scale = (high - low) // (length - 1)
    padded = min(max(-(-(line.padded - low) // scale), 0), length)
    after = Timeline(axis, line.stride * scale, length, line.fill, padded)
    return Trace(after, (Reach(scale, low, line.length - high),))


@shorten.register
def _(operation: StridedCopy, cut: Cut) -> Op:
    """The copy of the newest columns, from the columns that are there."""
    line, after = cut.lines[0], cut.trace.line
    if line is None or cut.given == line.length:
        return operation
    moved = _follow(operation, cut.before[0].shape, line.axis)
    places = moved.locate(cut.given, cut.first)
    if after is not None:
        newest = np.arange(after.length - cut.new, after.length)
        places = np.take(places, newest, axis=after.axis)
    strides = _fit(places)
    assert strides is not None  # as `trace` has found
    return StridedCopy(places.shape, strides, int(places.flat[0]))


def _fit(places: Codes) -> tuple[int, ...] | None:
    """Strides of an affine map from indices to places; None where it is not affine."""
    strides = tuple(
        int(np.take(places, 1, axis=axis).flat[0] - places.flat[0]) if length > 1 else 0
        for axis, length in enumerate(places.shape)
    )
    grid = np.full(places.shape, places.flat[0], np.int64)
    for axis, stride in enumerate(strides):
        shape = [1] * places.ndim
        shape[axis] = -1
        grid = grid + stride * np.arange(places.shape[axis]).reshape(shape)
    return strides if np.array_equal(grid, places) else None
