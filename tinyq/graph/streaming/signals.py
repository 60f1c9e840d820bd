"""Operations of front ends: frames of samples, rows of them, estimates that go on."""

from __future__ import annotations

import numpy as np

from tinyq.errors import ModelError
from tinyq.graph import Graph, Node, Op, TensorType
from tinyq.graph.ops.append import Append
from tinyq.graph.ops.choose import Choose
from tinyq.graph.ops.filter_bank import FilterBank, SquareRoot
from tinyq.graph.ops.frames import Frames, FrameStatistics
from tinyq.graph.ops.gain_control import GainControl, Logarithm
from tinyq.graph.ops.headroom import Headroom, LevelCorrection, ShiftUp
from tinyq.graph.ops.linear_filter import DecimatingFilter, LinearTransform
from tinyq.graph.ops.noise import NoiseEstimate, SpectralSubtraction
from tinyq.graph.ops.reshape import Reshape
from tinyq.graph.ops.spectrum import PowerSpectrum, RealFourier, WindowFrame
from tinyq.graph.ops.strided_copy import StridedCopy
from tinyq.graph.streaming.elements import trace_rows
from tinyq.graph.streaming.timeline import Reach, Timeline, Trace
from tinyq.graph.streaming.tracing import Lines, end_time, trace
from tinyq.graph.streaming.weaving import Need, Weaving
from tinyq.numerics.formats import find_format


@trace.register(FilterBank)
@trace.register(FrameStatistics)
@trace.register(GainControl)
@trace.register(Headroom)
@trace.register(LevelCorrection)
@trace.register(LinearTransform)
@trace.register(Logarithm)
@trace.register(PowerSpectrum)
@trace.register(RealFourier)
@trace.register(ShiftUp)
@trace.register(SpectralSubtraction)
@trace.register(SquareRoot)
@trace.register(WindowFrame)
def _(operation: Op, graph: Graph, node: Node, lines: Lines) -> Trace:
    """One row of the output from one of each input."""
    return trace_rows(operation, graph, node, lines)


@trace.register
def _(operation: Frames, graph: Graph, node: Node, lines: Lines) -> Trace:
    """Time along the samples goes on along the frames."""
    return _slide(operation.hop, graph, node, lines)


@trace.register
def _(operation: DecimatingFilter, graph: Graph, node: Node, lines: Lines) -> Trace:
    """Time along the samples goes on along fewer of them."""
    return _slide(operation.step, graph, node, lines)


def _slide(scale: int, graph: Graph, node: Node, lines: Lines) -> Trace:
    """What reads along the last axis, so far from one output to the next."""
    line, shape = lines[0], graph.tensors[node.inputs[0]].type.shape
    axis = len(shape) - 1
    length = graph.tensors[node.output].type.shape[axis]
    if line is None or line.axis != axis or length == 1:
        return end_time(lines)
    begun = min(-(-line.padded // scale), length)
    after = Timeline(axis, line.stride * scale, length, 0, begun)
    reach = Reach(scale, 0, line.length - scale * (length - 1))
    return Trace(after, (reach, *(None,) * (len(lines) - 1)))


@trace.register
def _(operation: NoiseEstimate, graph: Graph, node: Node, lines: Lines) -> Trace:
    """Each column goes on from the estimate of the one before."""
    line, first = lines[0], graph.tensors[node.inputs[1]]
    if line is None or line.axis != 0 or first.codes is None:
        return end_time(lines)
    after = Timeline(0, line.stride, line.length, 0, line.length)
    return Trace(after, (Reach(1, 0, 1), None), carries=True)


def keep_estimate(weaving: Weaving, node: Node, need: Need) -> None:
    """Add the nodes of an estimate that goes on from step to step.

    It begins with the first column of which all frames have come, as in the window version.
    """
    source, builder = need[0], weaving.builder
    new, line = weaving.count_new(source), weaving.lines[source]
    first = weaving.window.tensors[node.inputs[1]]
    assert first.codes is not None
    kept = builder.add_state(weaving.name(f"{node.output}_kept"), first.type, first.codes)
    builder.apply(node.output, node.op, weaving.hold(need, new), kept)
    channels = first.type.shape[0]
    copy: Op = Reshape((channels,))
    if new > 1:
        copy = StridedCopy((channels,), (1,), (new - 1) * channels)
    last = builder.apply(weaving.name(f"{node.output}_last"), copy, node.output)
    early = -(-(weaving.frames - (line.length - 1) * line.stride) // line.stride) - 1
    if early % new:
        raise ModelError(
            f"its first {early} columns have no whole frames, which is no number of whole steps",
            where=node.name,
            remedy=f"give a step of {line.stride} frames",
        )
    builder.keep(kept, _hold_back(weaving, node, last, kept, early // new))


def _hold_back(weaving: Weaving, node: Node, new: str, old: str, steps: int) -> str:
    """The new value, or in the first steps the old one."""
    if not steps:
        return new
    builder, s16 = weaving.builder, find_format("s16")
    count = builder.add_state(
        weaving.name(f"{node.output}_steps"), TensorType((steps + 1,), s16), np.int32(0)
    )
    one = builder.constant(weaving.name(f"{node.output}_one"), [1], s16)
    counted = builder.apply(weaving.name(f"{node.output}_counted"), Append(0), count, one)
    builder.keep(count, counted)
    begun = builder.apply(weaving.name(f"{node.output}_begun"), StridedCopy((1,), (1,)), counted)
    return builder.apply(weaving.name(f"{node.output}_next"), Choose(), new, old, begun)
