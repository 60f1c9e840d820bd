"""Operations that go on from step to step: estimates of noise, recurrent layers."""

from __future__ import annotations

from functools import singledispatch

import numpy as np

from tinyq.errors import ModelError
from tinyq.graph import Graph, Node, Op, TensorType
from tinyq.graph.ops.append import Append
from tinyq.graph.ops.choose import Choose
from tinyq.graph.ops.noise import NoiseEstimate
from tinyq.graph.ops.recurrence import Recurrence, RecurrenceStates
from tinyq.graph.ops.reshape import Reshape
from tinyq.graph.ops.strided_copy import StridedCopy
from tinyq.graph.recurrent_steps import state_type, step_recurrence
from tinyq.graph.streaming.timeline import Reach, Timeline, Trace
from tinyq.graph.streaming.tracing import Lines, end_time, trace
from tinyq.graph.streaming.weaving import Need, Weaving
from tinyq.numerics.formats import find_format


@trace.register
def _(operation: NoiseEstimate, graph: Graph, node: Node, lines: Lines) -> Trace:
    """Each column goes on from the estimate of the one before."""
    if graph.tensors[node.inputs[1]].codes is None:
        return end_time(lines)
    return _trace_rows(lines, every=True)


@trace.register
def _(operation: Recurrence, graph: Graph, node: Node, lines: Lines) -> Trace:
    """Each column goes on from the state of the one before; what is asked for, or the last."""
    return _trace_rows(lines, every=bool(operation.every))


@trace.register
def _(operation: RecurrenceStates, graph: Graph, node: Node, lines: Lines) -> Trace:
    """It begins with a state that is given."""
    return end_time(lines)


def _trace_rows(lines: Lines, every: bool) -> Trace:
    """Columns along the first axis that depend on all before them."""
    line, *others = lines
    if line is None or line.axis != 0 or any(others):
        return end_time(lines)
    after = Timeline(0, line.stride, line.length, 0, line.length) if every else None
    reach = Reach(1, 0, 1) if every else Reach(0, 0, line.length)
    return Trace(after, (reach, *(None for _ in others)), carries=True)


def can_begin_anew(operation: Op) -> bool:
    """Whether an operation may be computed over each window from its beginning."""
    return isinstance(operation, Recurrence)


@singledispatch
def carry(operation: Op, weaving: Weaving, node: Node, need: Need) -> None:
    """Add the nodes of an operation that goes on from step to step.

    It begins with the first column of which all frames have come, as in the window version.
    """
    raise AssertionError(f"{node.name} does not go on")


@carry.register
def _(operation: NoiseEstimate, weaving: Weaving, node: Node, need: Need) -> None:
    builder, new = weaving.builder, weaving.count_new(need[0])
    first = weaving.window.tensors[node.inputs[1]]
    assert first.codes is not None
    kept = builder.add_state(weaving.name(f"{node.output}_kept"), first.type, first.codes)
    builder.apply(node.output, operation, weaving.hold(need, new), kept)
    channels = first.type.shape[0]
    copy: Op = Reshape((channels,))
    if new > 1:
        copy = StridedCopy((channels,), (1,), (new - 1) * channels)
    last = builder.apply(weaving.name(f"{node.output}_last"), copy, node.output)
    builder.keep(kept, _hold_back(weaving, node, need, last, kept))


@carry.register
def _(operation: Recurrence, weaving: Weaving, node: Node, need: Need) -> None:
    builder, units = weaving.builder, weaving.type_of(node.inputs[1]).shape[1]
    inputs = (weaving.hold(need, weaving.count_new(need[0])), *map(weaving.take, node.inputs[1:]))
    kind, name = state_type(operation, units), weaving.name(f"{node.output}_kept")
    kept = builder.add_state(name, kind)
    inner = weaving.name(f"{node.output}_step")
    stepped = step_recurrence(builder, node.output, operation, inputs, kept, inner)
    builder.keep(kept, _hold_back(weaving, node, need, stepped.state, kept))


def _hold_back(weaving: Weaving, node: Node, need: Need, new: str, old: str) -> str:
    """The new value, or in the steps before the first whole column the old one."""
    builder, line = weaving.builder, weaving.lines[need[0]]
    columns = weaving.count_new(need[0])
    early = -(-(weaving.frames - (line.length - 1) * line.stride) // line.stride) - 1
    if early % columns:
        raise ModelError(
            f"its first {early} columns have no whole frames, which is no number of whole steps",
            where=node.name,
            remedy=f"give a step of {line.stride} frames",
        )
    steps = early // columns
    if not steps:
        return new
    s16 = find_format("s16")
    count = builder.add_state(
        weaving.name(f"{node.output}_steps"), TensorType((steps + 1,), s16), np.int32(0)
    )
    one = builder.constant(weaving.name(f"{node.output}_one"), [1], s16)
    counted = builder.apply(weaving.name(f"{node.output}_counted"), Append(0), count, one)
    builder.keep(count, counted)
    begun = builder.apply(weaving.name(f"{node.output}_begun"), StridedCopy((1,), (1,)), counted)
    return builder.apply(weaving.name(f"{node.output}_next"), Choose(), new, old, begun)
