"""How each operation hands on time, and what it becomes for the columns of one step.

Both are found by the class of the operation; one that is not known here ends time: it is computed
over the whole window in each step, which is right for any operation.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import singledispatch

from tinyq.graph import Graph, Node, Op, TensorType
from tinyq.graph.streaming.timeline import Reach, Timeline, Trace

Lines = tuple[Timeline | None, ...]


@dataclass(frozen=True, slots=True)
class Cut:
    """The columns for which an operation is needed.

    Attributes:
        before: Types of its inputs in the window version.
        output: Type of its output there.
        trace: How it hands on time.
        lines: Timelines of its inputs.
        first: First column of its first input that it is given.
        given: Columns of it that it is given.
        new: Columns of its output; 0 where time ends.
    """

    before: tuple[TensorType, ...]
    output: TensorType
    trace: Trace
    lines: Lines
    first: int
    given: int
    new: int


@singledispatch
def trace(operation: Op, graph: Graph, node: Node, lines: Lines) -> Trace:
    """How an operation hands on time; ``lines`` are those of its inputs, one at least is not None.

    Raises:
        ModelError: It looks into the future, or pads in a way that a step cannot.
    """
    del operation, graph, node
    return end_time(lines)


@singledispatch
def shorten(operation: Op, cut: Cut) -> Op:
    """The operation for the columns of one step; most take any number of columns as they are."""
    del cut
    return operation


def end_time(lines: Lines) -> Trace:
    """The whole window is read, and what comes out has no time any more."""
    return Trace(None, tuple(Reach(0, 0, line.length) if line else None for line in lines))
