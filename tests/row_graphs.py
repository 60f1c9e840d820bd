"""Random networks of images, layers of which are chains by rows."""

from __future__ import annotations

import numpy as np

from tests.drawing.graphs import Drawing, draw_zero_point
from tests.operations import REGISTRY
from tinyq.graph import Graph, GraphBuilder, TensorType
from tinyq.memory.rows import Chain, list_granules, make_chain
from tinyq.numerics.formats import find_format

FORMATS = ("s8", "s8", "s8", "s8", "u4", "s4", "u2", "b1")
MOST_LAYERS = 8
# Files of tests/operations whose steps keep rows.
KEEPING = (
    *("conv2d", "depthwise_conv2d", "depthwise_conv2d", "max_pool2d", "average_pool2d"),
    *("sum_pool2d", "pad2d", "add", "add", "lookup", "concatenate", "rescale", "prelu"),
)
STEPS = [
    (fits, step)
    for fits, step in REGISTRY.steps
    for name in KEEPING
    if step.__module__.rsplit(".", 1)[-1] == name
]


def draw_rows(rng: np.random.Generator, name: str = "model") -> Graph:
    """A network of images, with branches that meet again."""
    number_format = find_format(str(rng.choice(FORMATS)))
    shape = (int(rng.integers(1, 25)), int(rng.integers(1, 6)), int(rng.choice((1, 3, 4, 8))))
    zero = draw_zero_point(rng, number_format.name)
    builder = GraphBuilder.start(name, TensorType(shape, number_format, 0.5, zero))
    drawing = Drawing(rng, builder, builder.input, [builder.input])
    wanted = drawing.integer(2, MOST_LAYERS)
    for _ in range(4 * wanted):
        source = drawing.last if drawing.chance(0.85) else str(drawing.choose(drawing.tensors))
        x = drawing.type(source)
        steps = [step for fits, step in STEPS if fits(x)] if len(x.shape) == 3 else []
        if steps:
            drawing.choose(steps)(drawing, source)  # type: ignore[operator]
        if drawing.count >= wanted:
            break
    if not drawing.count:
        REGISTRY.steps[0][1](drawing, builder.input)
    return builder.build(drawing.last)


def draw_chains(rng: np.random.Generator, graph: Graph) -> list[Chain]:
    """Chains that have no layer in common, the longest first."""
    count = len(graph.nodes)
    spans = [(first, end) for first in range(count) for end in range(first + 2, count + 1)]
    spans.sort(key=lambda span: (span[0] - span[1], rng.random()))
    chains: list[Chain] = []
    taken: set[str] = set()
    for first, end in spans:
        nodes = graph.nodes[first:end]
        names = [node.name for node in nodes]
        granules = [list_granules(graph.tensors[node.output].type) for node in nodes]
        if taken.isdisjoint(names) and all(granules) and rng.random() < 0.9:
            rows = [int(it[0] if rng.random() < 0.6 else rng.choice(it)) for it in granules]
            chain = make_chain(graph, names, rows)
            if chain is not None:
                chains.append(chain)
                taken.update(names)
    order = {node.name: place for place, node in enumerate(graph.nodes)}
    return sorted(chains, key=lambda chain: order[chain.nodes[0].name])
