"""Networks of several inputs and outputs that tests of many parts share."""

from __future__ import annotations

import numpy as np

from tinyq.graph import Graph, GraphBuilder, TensorType
from tinyq.graph.epilogues import Raw, Requantize
from tinyq.graph.interface import own_outputs
from tinyq.graph.ops.argmax import Argmax
from tinyq.graph.ops.dense import Dense
from tinyq.numerics.formats import find_format

S8, S32 = find_format("s8"), find_format("s32")


def pair_network(name: str = "pair") -> Graph:
    """Two inputs, three outputs: scores of 5 classes, a best class, and two real boxes.

    The scores are read inside, too; the inputs have different formats and sizes.
    """
    rng = np.random.default_rng(5)
    builder = GraphBuilder.start(name, TensorType((12,), S8, 0.5, -3), "image")
    builder.add_input("mask:0", TensorType((7,), find_format("u4"), 0.25, 2))
    stage = Requantize("s8", 0.125, 4, -128, 127)

    def dense(node: str, source: str, outputs: int, output: Raw | Requantize) -> str:
        size = builder.type(source).shape[0]
        zero = builder.type(source).zero_point
        weights = builder.constant(f"{node}_w", rng.integers(-127, 128, (outputs, size)), S8)
        values = {"bias": rng.integers(-99, 99, outputs)}
        if isinstance(output, Requantize):
            values |= {
                "multiplier": rng.integers(2**29, 2**30, outputs),
                "shift": np.full(outputs, 38),
            }
        names = [builder.constant(f"{node}_{key}", codes, S32) for key, codes in values.items()]
        return builder.apply(node, Dense(output, zero), source, weights, *names)

    scores = dense("scores", "image", 5, stage)
    boxes = dense("boxes", "mask:0", 2, Raw(0.01))
    best = builder.apply("best", Argmax(), scores)
    return builder.build(*own_outputs(builder, (boxes, scores, best)))
