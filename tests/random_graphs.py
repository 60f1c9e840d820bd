"""Random small integer graphs over every operation, format and edge value, from a seed.

Which operations there are, and how each is drawn, is in tests/operations.
"""

from __future__ import annotations

import contextlib
from dataclasses import replace

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
from tinyq.errors import ModelError
from tinyq.graph import Graph, GraphBuilder, Node, State, Tensor, TensorType
from tinyq.graph.interface import own_outputs
from tinyq.numerics.formats import Codes, find_format

__all__ = [
    "NOT_DRAWN",
    "draw_all_inputs",
    "draw_codes",
    "draw_graph",
    "draw_inputs",
    "draw_network",
    "draw_sequences",
    "draw_stateful",
    "draw_table",
    "graphs",
    "networks",
    "stateful_networks",
]

MOST_NODES = 6
# Names of inputs: such as C, macros or the generated text have already, too.
PORTS = ("image", "Image", "mask:0", "int", "arena", "2nd", "model/x", "input", "output", "", "ünï")
# Operations and epilogues that random graphs do not have yet, by class name.
NOT_DRAWN: frozenset[str] = frozenset()


def draw_graph(
    rng: np.random.Generator, name: str = "model", preferred: str | None = None
) -> Graph:
    """A verified graph of 1 to about 6 nodes that the reference can run on any input.

    Args:
        rng: What is drawn from.
        name: Of the graph.
        preferred: An operation that is drawn wherever it fits.
    """
    module = REGISTRY.modules["formula", preferred] if preferred else None
    number_format = str(rng.choice(ACTIVATIONS, p=(0.25, 0.05, 0.05, 0.05, 0.15, 0.2, 0.2, 0.05)))
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
        wished = [step for step in steps if step.__module__ == module]
        chosen = drawing.choose(wished or steps)
        chosen(drawing, source)  # type: ignore[operator]
    return builder.build(drawing.last)


def draw_network(rng: np.random.Generator, name: str = "model") -> Graph:
    """A verified graph of 1 to 3 inputs and 1 to 4 outputs.

    An output can be any tensor: of the middle, an input, a constant, or one that is an output
    already. Inputs are now and then of one type, so that they meet in an operation, or unread.
    """
    names = rng.permutation(PORTS)[: int(rng.integers(1, 4))]
    types: list[TensorType] = []
    for _ in names:
        number_format = str(rng.choice(ACTIVATIONS))
        shape = draw_shape(rng, number_format)
        kind = TensorType(shape, find_format(number_format), 0.5, 0)
        kind = replace(kind, zero_point=draw_zero_point(rng, number_format))
        types.append(types[-1] if types and rng.random() < 0.5 else kind)
    builder = GraphBuilder.start(name, types[0], str(names[0]))
    for port, kind in zip(names[1:], types[1:], strict=True):
        builder.add_input(str(port), kind)
    drawing = Drawing(rng, builder, builder.inputs[-1], [*builder.inputs])
    wanted = drawing.integer(1, MOST_NODES)
    while drawing.count < wanted:
        source = drawing.last if drawing.chance(0.5) else str(drawing.choose(drawing.tensors))
        steps = [step for fits, step in REGISTRY.steps if fits(drawing.type(source))]
        chosen = drawing.choose(steps)
        chosen(drawing, source)  # type: ignore[operator]
    outputs = [drawing.last]
    for _ in range(drawing.integer(0, 3)):
        if drawing.chance(0.1):
            kind = drawing.type(drawing.last)
            codes = draw_codes(rng, kind.format, kind.shape)
            constant = f"constant_output_{len(outputs)}"
            outputs.append(
                builder.constant(constant, codes, kind.format, kind.scale, kind.zero_point)
            )
        else:
            outputs.append(str(drawing.choose(drawing.tensors)))
    chosen_order = [outputs[index] for index in rng.permutation(len(outputs))]
    return builder.build(*own_outputs(builder, chosen_order))


def draw_stateful(rng: np.random.Generator, name: str = "model") -> Graph:
    """A network some of whose nodes read what another tensor was in the step before.

    The other tensor has the same type: an input, one before the node, one behind it, the node's
    own output, an output of the graph. Sums that could grow without end are not drawn.
    """
    graph = draw_network(rng, name)
    for index in range(int(rng.integers(1, 5))):
        edges = [
            (node, position)
            for node in graph.nodes
            for position, read in enumerate(node.inputs)
            if not graph.tensors[read].is_constant
        ]
        node, position = edges[int(rng.integers(len(edges)))]
        kind = graph.tensors[node.inputs[position]].type
        computed = [*graph.inputs, *(node.output for node in graph.nodes)]
        equal = [other for other in computed if graph.tensors[other].type == kind]
        with contextlib.suppress(ModelError):
            graph = _delay(rng, graph, node, position, str(rng.choice(equal)), f"kept:{index}")
    return graph


def _delay(
    rng: np.random.Generator, graph: Graph, node: Node, position: int, source: str, name: str
) -> Graph:
    """The graph whose node reads a new state, the value of ``source`` in the step before."""
    kind = graph.tensors[source].type
    shape = kind.shape if rng.random() < 0.5 else ()
    first = draw_codes(rng, kind.format, shape)
    inputs = (*node.inputs[:position], name, *node.inputs[position + 1 :])
    changed = replace(
        graph,
        tensors={**graph.tensors, name: Tensor(name, kind)},
        nodes=tuple(replace(it, inputs=inputs) if it is node else it for it in graph.nodes),
        states=(*graph.states, State(name, source, np.asarray(first, np.int32))),
    )
    changed.verify()
    return changed


def draw_sequences(
    rng: np.random.Generator, graph: Graph, count: int = 2, steps: int = 4
) -> dict[str, Codes]:
    """Codes of every input by its name, shapes (count, steps, *input shape)."""
    return {
        name: _draw_input(rng, graph.tensors[name].type, count * steps).reshape(
            count, steps, *graph.tensors[name].type.shape
        )
        for name in graph.inputs
    }


def stateful_networks() -> strategies.SearchStrategy[Graph]:
    """Hypothesis strategy over ``draw_stateful``; a failing example is its seed."""
    seeds = strategies.integers(0, 2**32 - 1)
    return seeds.map(lambda seed: draw_stateful(np.random.default_rng(seed)))


def networks() -> strategies.SearchStrategy[Graph]:
    """Hypothesis strategy over ``draw_network``; a failing example is its seed."""
    seeds = strategies.integers(0, 2**32 - 1)
    return seeds.map(lambda seed: draw_network(np.random.default_rng(seed)))


def draw_all_inputs(rng: np.random.Generator, graph: Graph, count: int = 6) -> dict[str, Codes]:
    """Codes of every input by its name, see `draw_inputs`."""
    return {name: _draw_input(rng, graph.tensors[name].type, count) for name in graph.inputs}


def graphs() -> strategies.SearchStrategy[Graph]:
    """Hypothesis strategy over ``draw_graph``; a failing example is its seed."""
    seeds = strategies.integers(0, 2**32 - 1)
    return seeds.map(lambda seed: draw_graph(np.random.default_rng(seed)))


def draw_inputs(rng: np.random.Generator, graph: Graph, count: int = 6) -> Codes:
    """Codes of the graph's input: all smallest, all largest, the two mixed, the rest uniform."""
    return _draw_input(rng, graph.input.type, count)


def _draw_input(rng: np.random.Generator, target: TensorType, count: int) -> Codes:
    codes = draw_codes(rng, target.format, (count, *target.shape))
    codes[0] = target.format.lo
    if count > 1:
        codes[1] = target.format.hi
    if count > 2:
        codes[2] = np.where(rng.random(target.shape) < 0.5, target.format.lo, target.format.hi)
    return codes
