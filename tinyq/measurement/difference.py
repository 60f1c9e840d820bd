"""How the codes of a layer differ: where first, how many, by how much."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tinyq.graph import Graph
from tinyq.graph.summary import describe_node
from tinyq.numerics.formats import Codes

_BARS = 11


@dataclass(frozen=True, slots=True)
class Bar:
    """A bar of a histogram: how many codes differ by ``low`` to ``high``."""

    low: int
    high: int
    count: int


@dataclass(frozen=True, slots=True)
class Difference:
    """How two executions differ at a layer.

    Attributes:
        layer: Name of the tensor.
        description: Operation, formats and shapes.
        codes: Codes compared, over all samples.
        differing: How many differ.
        sample: The first sample with a difference.
        position: Index of the first differing code in that sample.
        first: That code in the first execution.
        second: That code in the second execution.
        histogram: Differences, second minus first, zero left out.
    """

    layer: str
    description: str
    codes: int
    differing: int
    sample: int
    position: tuple[int, ...]
    first: int
    second: int
    histogram: tuple[Bar, ...]


def describe_difference(graph: Graph, layer: str, first: Codes, second: Codes) -> Difference:
    """Where and by how much the codes of a layer differ; at least one must."""
    delta = second.astype(np.int64) - first.astype(np.int64)
    place = tuple(int(index) for index in np.argwhere(delta)[0])
    node = next((node for node in graph.nodes if node.output == layer), None)
    return Difference(
        layer=layer,
        description="" if node is None else f"{node.op.kernel}, {describe_node(graph, node)}",
        codes=delta.size,
        differing=int(np.count_nonzero(delta)),
        sample=place[0],
        position=place[1:],
        first=int(first[place]),
        second=int(second[place]),
        histogram=make_histogram(delta),
    )


def make_histogram(delta: npt.NDArray[np.int64]) -> tuple[Bar, ...]:
    """Counts of differences other than zero: a bar each, or of intervals where they are many."""
    values, counts = np.unique(delta[delta != 0], return_counts=True)
    if len(values) <= _BARS:
        return tuple(Bar(int(v), int(v), int(n)) for v, n in zip(values, counts, strict=True))
    low, high = int(values[0]), int(values[-1])
    width = -(-(high - low + 1) // _BARS)
    bars = []
    for start in range(low, high + 1, width):
        inside = (values >= start) & (values < start + width)
        bars.append(Bar(start, min(start + width - 1, high), int(counts[inside].sum())))
    return tuple(bars)
