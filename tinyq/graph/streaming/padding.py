"""Padding before the first frame: where a step can have it, and what its answers then equal."""

from __future__ import annotations

from collections.abc import Mapping

from tinyq.errors import ModelError
from tinyq.graph import Graph
from tinyq.graph.ops.pad2d import Pad2D
from tinyq.graph.streaming.timeline import Timeline, Trace


def check_padding(
    graph: Graph,
    lines: Mapping[str, Timeline],
    traces: Mapping[str, Trace],
    frames: int,
    step: int,
) -> tuple[str, ...]:
    """Layers on whose padding an output depends, none where no output depends on any.

    Raises:
        ModelError: An output does, and the padding does not stand at the first frame, so that no
            step could have it.
    """
    begun = [
        node
        for node in graph.nodes
        if (found := traces.get(node.name)) and (found.pads or found.carries)
    ]
    pads = [node for node in begun if traces[node.name].pads]
    if not begun or not _depends_on_padding(graph, lines, traces, step):
        return ()
    for node in pads:
        line = lines[node.inputs[0]]
        if line.length * line.stride != frames:
            raise ModelError(
                f"it pads before the first of {line.length} columns of {line.stride} frames, which "
                f"are not the {frames} frames of the window, since layers before it do not pad",
                where=node.name,
                remedy="pad each layer with a kernel along time before its first frame "
                "('causal'), or none ('valid')",
            )
    for node in graph.nodes:
        after = lines.get(node.output)
        if after is None or not after.padded or isinstance(node.op, Pad2D):
            continue
        if after.length * after.stride > frames:
            raise ModelError(
                f"it has {after.length} columns of {after.stride} frames, more than the {frames} "
                "frames of the window",
                where=node.name,
                remedy="pad by the kernel's extent less 1, not more",
            )
    return tuple(node.name for node in begun)


def _depends_on_padding(
    graph: Graph, lines: Mapping[str, Timeline], traces: Mapping[str, Trace], step: int
) -> bool:
    """Whether the newest columns of an output depend on padding in time."""
    reached: set[str] = set()
    for node in graph.nodes:
        found = traces.get(node.name)
        if found is None or found.line is not None:
            if found is None and any(name in reached for name in node.inputs):
                reached.add(node.output)
            continue
        for name, reach in zip(node.inputs, found.reaches, strict=True):
            padded = reach is not None and lines[name].padded > reach.first
            if padded or found.carries or name in reached:
                reached.add(node.output)
    for name in graph.outputs:
        line = lines.get(name)
        if name in reached:
            return True
        if line is not None and line.padded > line.length - line.count_new(step):
            return True
    return False
