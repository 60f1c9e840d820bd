"""Ranges of codes: never narrower than what comes out, for every accumulator and every scale."""

from __future__ import annotations

import numpy as np
import pytest

from tests.random_graphs import draw_graph, draw_inputs
from tinyq.graph import Graph, GraphBuilder, TensorType
from tinyq.graph.epilogues import RequantizeTwice
from tinyq.graph.ops.dense import Dense
from tinyq.graph.passes.channel_ranges import channel_ranges
from tinyq.graph.reference import run
from tinyq.numerics.formats import find_format

S8, S32 = find_format("s8"), find_format("s32")


def scaled_up(exponent: int, weight: int = 1) -> Graph:
    """A layer of one weight whose accumulator is multiplied by 2**(exponent - 1)."""
    builder = GraphBuilder.start("one", TensorType((1,), S8, 0.5))
    weights = builder.constant("w", [[weight]], S8)
    values = {"bias": 0, "multiplier": 2**30, "exponent": exponent}
    names = [builder.constant(name, [value], S32) for name, value in values.items()]
    epilogue = RequantizeTwice("s8", 0.5, 0, -128, 127)
    return builder.build(builder.apply("y", Dense(epilogue), "input", weights, *names))


@pytest.mark.parametrize("weight", [1, 2, 3, -1, 127])
@pytest.mark.parametrize("exponent", range(-3, 31))
def test_an_accumulator_that_is_shifted_out_of_int32_has_any_code(exponent, weight):
    """2**exponent times the accumulator is taken modulo 2**32, which no order of codes survives."""
    graph = scaled_up(exponent, weight)
    codes = np.arange(-128, 128, dtype=np.int32)[:, None]
    found = run(graph, codes)
    span = channel_ranges(graph)["y"]
    assert span.lo[0] <= found.min() and found.max() <= span.hi[0]


def test_no_drawn_graph_leaves_its_ranges(seed):
    for index in range(60):
        rng = np.random.default_rng((seed, index, 23))
        graph = draw_graph(rng)
        ranges = channel_ranges(graph)

        def check(name, codes, ranges=ranges):
            rows = codes.reshape(-1, codes.shape[-1])
            assert (rows >= ranges[name].lo).all() and (rows <= ranges[name].hi).all()

        run(graph, draw_inputs(rng, graph, 4), check)
