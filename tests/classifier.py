"""The smallest network that classifies: a dense layer from twelve values to five scores."""

from __future__ import annotations

import numpy as np

from tinyq.graph import Graph, GraphBuilder, TensorType
from tinyq.graph.epilogues import Requantize
from tinyq.graph.ops.dense import Dense
from tinyq.numerics.formats import find_format
from tinyq.numerics.rounding import fold_affine


def classifier(seed: int = 7) -> Graph:
    """Random weights of 4 bits: five scores are an answer of several bytes."""
    rng = np.random.default_rng(seed)
    builder = GraphBuilder.start("classifier", TensorType((12,), find_format("s8"), 0.1, 3))
    weights = builder.constant("weights", rng.integers(-7, 8, (5, 12)), find_format("s4"))
    affine = fold_affine(np.full(5, 0.05), rng.normal(size=5))
    constants = [
        builder.constant(name, getattr(affine, name), find_format("s32"))
        for name in ("bias", "multiplier", "shift")
    ]
    stage = Requantize("s8", 0.2, -4, -128, 127)
    return builder.build(builder.apply("scores", Dense(stage, 3), "input", weights, *constants))
