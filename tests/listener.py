"""The smallest network that listens: scores of the last four frames and of its own last scores."""

from __future__ import annotations

import numpy as np

from tinyq.graph import Graph, GraphBuilder, TensorType
from tinyq.graph.epilogues import Requantize
from tinyq.graph.ops.append import Append
from tinyq.graph.ops.concatenate import Concatenate
from tinyq.graph.ops.dense import Dense
from tinyq.graph.ops.reshape import Reshape
from tinyq.numerics.formats import find_format
from tinyq.numerics.rounding import fold_affine

FRAMES, VALUES, SCORES = 4, 6, 5


def listener(seed: int = 7) -> Graph:
    """A ring of frames, scores that are read again a step later, and random weights of 4 bits."""
    rng, s8 = np.random.default_rng(seed), find_format("s8")
    frame = TensorType((1, VALUES), s8, 0.1, 3)
    builder = GraphBuilder.start("listener", frame)
    ring = builder.add_state("ring", TensorType((FRAMES, VALUES), s8, 0.1, 3), 3)
    before = builder.add_state("before", TensorType((SCORES,), s8, 0.1, 3), [3, 1, 4, 1, 5])
    window = builder.apply("window", Append(0), ring, builder.input)
    flat = builder.apply("flat", Reshape((FRAMES * VALUES,)), window)
    heard = builder.apply("heard", Concatenate(), flat, before)
    weights = builder.constant(
        "weights", rng.integers(-7, 8, (SCORES, FRAMES * VALUES + SCORES)), find_format("s4")
    )
    affine = fold_affine(np.full(SCORES, 0.05), rng.normal(size=SCORES))
    constants = [
        builder.constant(name, getattr(affine, name), find_format("s32"))
        for name in ("bias", "multiplier", "shift")
    ]
    stage = Requantize("s8", 0.1, 3, -128, 127)
    scores = builder.apply("scores", Dense(stage, 3), heard, weights, *constants)
    builder.keep(ring, window)
    builder.keep(before, scores)
    return builder.build(scores)
