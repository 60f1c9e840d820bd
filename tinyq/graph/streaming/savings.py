"""What a step would save, for each axis that could be time."""

from __future__ import annotations

from collections.abc import Iterator

from tinyq.errors import ModelError
from tinyq.graph import Graph
from tinyq.graph.streaming.transform import Streamed, stream

_WORTH = (
    2  # times as many multiply-accumulates in the window version, from which on a step is named
)


def list_savings(graph: Graph) -> tuple[Streamed, ...]:
    """The steps of a network that save half of its work or more, one for an axis of its inputs."""
    return tuple(_try_axes(graph))


def _try_axes(graph: Graph) -> Iterator[Streamed]:
    if graph.states:
        return
    rank = min(len(graph.tensors[name].type.shape) for name in graph.inputs)
    for axis in range(max(rank - 1, 1)):
        try:
            found = stream(graph, axis)
        except ModelError:  # a layer looks into the future, or there are no frames
            continue
        window, step = found.macs
        if 0 < step * _WORTH <= window:
            yield found
