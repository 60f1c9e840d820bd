"""Operations of front ends: frames of samples, and rows of them."""

from __future__ import annotations

from tinyq.graph import Graph, Node, Op
from tinyq.graph.ops.filter_bank import FilterBank, SquareRoot
from tinyq.graph.ops.frames import Frames, FrameStatistics
from tinyq.graph.ops.gain_control import GainControl, Logarithm
from tinyq.graph.ops.headroom import Headroom, LevelCorrection, ShiftUp
from tinyq.graph.ops.linear_filter import DecimatingFilter, LinearTransform
from tinyq.graph.ops.noise import SpectralSubtraction
from tinyq.graph.ops.spectrum import PowerSpectrum, RealFourier, WindowFrame
from tinyq.graph.streaming.elements import trace_rows
from tinyq.graph.streaming.timeline import Reach, Timeline, Trace
from tinyq.graph.streaming.tracing import Lines, end_time, trace


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
