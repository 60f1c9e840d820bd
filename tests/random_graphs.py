"""Random small integer graphs over every operation, format and edge value, from a seed.

Which operations there are, and how each is drawn, is in tests/operations.
"""

from __future__ import annotations

import numpy as np
from hypothesis import strategies

from tests.drawing.graphs import (
    ACTIVATIONS,
    Drawing,
    draw_codes,
    draw_shape,
    draw_table,
    draw_zero_point,
    is_activation,
)
from tests.operations import REGISTRY
from tinyq.graph import Graph, GraphBuilder, TensorType
from tinyq.numerics.formats import Codes, find_format

__all__ = ["NOT_DRAWN", "draw_codes", "draw_graph", "draw_inputs", "draw_table", "graphs"]

MOST_NODES = 6
# Operations and epilogues that random graphs do not have yet, by class name.
NOT_DRAWN: frozenset[str] = frozenset()


def draw_graph(rng: np.random.Generator, name: str = "model") -> Graph:
    """A verified graph of 1 to about 6 nodes that the reference can run on any input."""
    number_format = str(rng.choice(ACTIVATIONS, p=(0.25, 0.15, 0.25, 0.25, 0.05, 0.05)))
    shape = draw_shape(rng, number_format)
    zero_point = draw_zero_point(rng, number_format)
    builder = GraphBuilder.start(
        name, TensorType(shape, find_format(number_format), 0.5, zero_point)
    )
    drawing = Drawing(rng, builder, builder.input, [builder.input])
    wanted = drawing.integer(1, MOST_NODES)
    while drawing.count < wanted:
        # Mostly a chain; now and then an older tensor is read again, more often where the newest
        # has plain integers, which few operations take.
        newest = 0.8 if is_activation(drawing.type(drawing.last)) else 0.3
        source = drawing.last if drawing.chance(newest) else str(drawing.choose(drawing.tensors))
        steps = [step for fits, step in REGISTRY.steps if fits(drawing.type(source))]
        chosen = drawing.choose(steps)
        chosen(drawing, source)  # type: ignore[operator]
    return builder.build(drawing.last)


def graphs() -> strategies.SearchStrategy[Graph]:
    """Hypothesis strategy over ``draw_graph``; a failing example is its seed."""
    seeds = strategies.integers(0, 2**32 - 1)
    return seeds.map(lambda seed: draw_graph(np.random.default_rng(seed)))


def draw_inputs(rng: np.random.Generator, graph: Graph, count: int = 6) -> Codes:
    """Codes of the graph's input: all smallest, all largest, the two mixed, the rest uniform."""
    target = graph.input.type
    codes = draw_codes(rng, target.format, (count, *target.shape))
    codes[0] = target.format.lo
    if count > 1:
        codes[1] = target.format.hi
    if count > 2:
        codes[2] = np.where(rng.random(target.shape) < 0.5, target.format.lo, target.format.hi)
    return codes
