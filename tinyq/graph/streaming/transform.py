"""From a network over a window of frames to one that takes the newest frames alone."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from tinyq.errors import ModelError
from tinyq.graph import Graph, GraphBuilder, Node, TensorType
from tinyq.graph.passes import simplify
from tinyq.graph.streaming import carried, elements, moves, signals, windows
from tinyq.graph.streaming.padding import check_padding
from tinyq.graph.streaming.sums import can_keep_sum, keep_sum
from tinyq.graph.streaming.timeline import Timeline, Trace
from tinyq.graph.streaming.tracing import Cut, end_time, shorten, trace
from tinyq.graph.streaming.weaving import Need, Weaving
from tinyq.graph.streaming.windows import find_fill

RULES = (carried, elements, moves, signals, windows)
"""Modules whose functions say how operations hand on time."""


@dataclass(frozen=True, slots=True, eq=False)
class Streamed:
    """A network as a step.

    Attributes:
        graph: Takes ``step`` new frames; what it needs of those before, it keeps.
        window: The network over ``frames`` frames that it equals, simplified.
        axis: Of time in the inputs.
        step: Frames of a step.
        frames: Frames of the window.
        padded: Layers on whose beginning the answer depends: their padding before the first frame,
            or an estimate that goes on. Where there are some, a step equals the network over all
            frames since the reset; without, it equals the window version as soon as the window has
            passed, whatever was before.
    """

    graph: Graph
    window: Graph
    axis: int
    step: int
    frames: int
    padded: tuple[str, ...]

    @property
    def state_bytes(self) -> int:
        """Bytes that are kept from one step to the next."""
        tensors = self.graph.tensors
        return sum(tensors[state.name].type.packed_bytes for state in self.graph.states)

    @property
    def macs(self) -> tuple[int, int]:
        """Multiply-accumulates of the window version and of a step."""
        window, step = (sum(map(it.macs, it.nodes)) for it in (self.window, self.graph))
        return window, step

    def list_layers(self) -> list[tuple[str, int, int]]:
        """Layers with their multiply-accumulates in the window version and in a step."""
        steps = {node.name: self.graph.macs(node) for node in self.graph.nodes}
        window = {node.name: self.window.macs(node) for node in self.window.nodes}
        names = [name for name in window if window[name] or steps.get(name)]
        return [(name, window[name], steps.get(name, 0)) for name in names]


def stream(graph: Graph, axis: int = 0, step: int | None = None, carry: bool = False) -> Streamed:
    """Turn a network over a window of frames into a step, which takes the newest frames alone.

    Args:
        graph: A graph without state.
        axis: Of the inputs' shapes, without batch, that is time; one column is a frame.
        step: Frames of a step; the fewest with which every layer moves on by whole columns when
            None.
        carry: Whether recurrent layers go on from step to step, so that an answer is that of all
            frames since the reset; without it they begin anew in each window, as they are.

    Raises:
        ModelError: There is no such axis or step, or a layer looks into the future.
    """
    window = simplify(graph)
    frames = _count_frames(window, axis)
    lines, traces = _trace_nodes(window, axis, frames, carry)
    fewest = math.lcm(*(line.stride for line in lines.values()))
    chosen = _check_step(window, lines, frames, fewest, step)
    padded = check_padding(window, lines, traces, frames, chosen)
    made = _weave(window, lines, traces, chosen)
    return Streamed(simplify(made), window, axis, chosen, frames, padded)


def _count_frames(graph: Graph, axis: int) -> int:
    if graph.states:
        raise ModelError(
            f"the graph keeps state already: {graph.states[0].name}",
            where=graph.name,
            remedy="build it as it is: it is a step",
        )
    lengths = []
    for name in graph.inputs:
        shape = graph.tensors[name].type.shape
        if not 0 <= axis < len(shape):
            raise ModelError(
                f"the input has shape {shape}, without an axis {axis}",
                where=name,
                remedy=f"give the axis that is time, from 0 to {len(shape) - 1}",
            )
        lengths.append(shape[axis])
    if len(set(lengths)) > 1:
        raise ModelError(
            f"axis {axis} has {' and '.join(map(str, lengths))} frames in the inputs",
            where=graph.name,
            remedy="give all inputs as many frames, or cut the network at one input",
        )
    if lengths[0] == 1:
        raise ModelError(
            f"the inputs have one frame along axis {axis}",
            where=graph.name,
            remedy="name the axis that is time, or build the network as it is",
        )
    return lengths[0]


def _trace_nodes(
    graph: Graph, axis: int, frames: int, carry: bool
) -> tuple[dict[str, Timeline], dict[str, Trace]]:
    """Timelines of the tensors that have time, and what nodes that read one make of it."""
    lines = {
        name: Timeline(axis, 1, frames, _fill_of(graph.tensors[name].type)) for name in graph.inputs
    }
    traces: dict[str, Trace] = {}
    for node in graph.nodes:
        read = tuple(lines.get(name) for name in node.inputs)
        if not any(read):
            continue
        anew = carried.can_begin_anew(node.op) and not carry
        found = end_time(read) if anew else trace(node.op, graph, node, read)
        traces[node.name] = found
        if found.line is not None:
            kind = graph.tensors[node.output].type
            fill = _fill_of(replace(kind, zero_point=found.line.fill))
            lines[node.output] = replace(found.line, fill=fill)
    return lines, traces


def _fill_of(kind: TensorType) -> int:
    """The code of real zero; the largest where the format has none."""
    zero, number_format = kind.zero_point, kind.format
    holds = number_format.lo <= zero <= number_format.hi and number_format.step == 1
    return zero if holds else number_format.hi


def _check_step(
    graph: Graph, lines: Mapping[str, Timeline], frames: int, fewest: int, step: int | None
) -> int:
    if fewest > frames:
        raise ModelError(
            f"its layers move on by whole columns every {fewest} frames, the window has {frames}",
            where=graph.name,
            remedy="take fewer strides along time, or build the window version",
        )
    if step is None:
        return fewest
    if not 1 <= step <= frames:
        raise ModelError(
            f"a step of {step} frames is none of a window of {frames}",
            where="step",
            remedy=f"give a multiple of {fewest}, at most {frames}",
        )
    if step % fewest:
        slow = next(name for name, line in lines.items() if step % line.stride)
        raise ModelError(
            f"{slow} moves on by a column every {lines[slow].stride} frames, not every {step}",
            where="step",
            remedy=f"give a multiple of {fewest} frames, or leave the step out",
        )
    return step


def _weave(
    graph: Graph, lines: Mapping[str, Timeline], traces: Mapping[str, Trace], step: int
) -> Graph:
    first, *others = (
        (name, _resize(graph.tensors[name].type, lines[name], step)) for name in graph.inputs
    )
    builder = GraphBuilder.start(graph.name, first[1], first[0])
    for name, kind in others:
        builder.add_input(name, kind)
    frames = lines[graph.inputs[0]].length
    weaving = Weaving(graph, lines, frames, step, {}, graph.find_spans(), builder)
    longest: dict[Need, int] = {}
    for node in graph.nodes:
        for need, columns in _list_needs(weaving, traces, node):
            longest[need] = max(longest.get(need, 0), columns)
    weaving.longest = longest
    for node in graph.nodes:
        _weave_node(weaving, traces, node)
    return builder.build(*graph.outputs)


def _resize(kind: TensorType, line: Timeline, columns: int) -> TensorType:
    return replace(kind, shape=line.resize(kind.shape, columns))


def _list_needs(
    weaving: Weaving, traces: Mapping[str, Trace], node: Node
) -> Iterator[tuple[Need, int]]:
    """What a node reads of tensors that have time: which, and how many of their newest columns."""
    found = traces.get(node.name)
    if found is None:
        return
    new = 0 if found.line is None else found.line.count_new(weaving.step)
    column = 0 if found.line is None else found.line.length - new
    for name, reach in zip(node.inputs, found.reaches, strict=True):
        if reach is not None:
            line = weaving.lines[name]
            fill = find_fill(node.op, weaving.window, node, line)
            new_ones, first = line.count_new(weaving.step), reach.first_of(column)
            yield (name, fill), new_ones if found.carries else line.length - first


def _weave_node(weaving: Weaving, traces: Mapping[str, Trace], node: Node) -> None:
    """Add what computes the new columns of a node's output."""
    found, builder = traces.get(node.name), weaving.builder
    if found is None:
        builder.apply(node.output, node.op, *map(weaving.take, node.inputs))
        return
    needs = dict(zip(_list_timed(node, found), _list_needs(weaving, traces, node), strict=True))
    read = tuple(weaving.lines.get(name) for name in node.inputs)
    if 0 in needs and can_keep_sum(node, read[0], weaving.step):
        keep_sum(weaving, node, needs[0][0])
        return
    if found.carries:
        carried.carry(node.op, weaving, node, needs[0][0])
        return
    new = 0 if found.line is None else found.line.count_new(weaving.step)
    inputs = []
    for position, name in enumerate(node.inputs):
        if position in needs:
            need, columns = needs[position]
            inputs.append(weaving.hold(need, columns))
        elif found.line is not None and position in node.op.batched:
            inputs.append(weaving.crop(name, found.line.axis, new))
        else:
            inputs.append(weaving.take(name))
    cut = Cut(
        weaving.window.types(node),
        weaving.type_of(node.output),
        found,
        read,
        *_given(needs, read),
        new,
    )
    builder.apply(node.output, shorten(node.op, cut), *inputs)


def _list_timed(node: Node, found: Trace) -> list[int]:
    return [index for index in range(len(node.inputs)) if found.reaches[index] is not None]


def _given(
    needs: Mapping[int, tuple[Need, int]], read: tuple[Timeline | None, ...]
) -> tuple[int, int]:
    """First column and number of columns of a node's first input."""
    line = read[0]
    if line is None or 0 not in needs:
        return 0, 0
    return line.length - needs[0][1], needs[0][1]
