"""Layers that move codes: any view that NumPy has of an array is one strided copy."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from tinyq.graph.ops.strided_copy import StridedCopy
from tinyq.training.lowering.emission import Lowering, Value
from tinyq.training.lowering.windows import plain
from tinyq.training.tracing import Step

View = Callable[[np.ndarray], np.ndarray]


def move(lowering: Lowering, step: Step, value: Value, view: View) -> Value:
    """Codes of a layer's input under a view (slice, transpose, broadcast, reverse), reshaped.

    Args:
        lowering: The graph under construction.
        step: The layer.
        value: Its input.
        view: A function of an array of the input's shape that returns a view of it, with the
            elements of the layer's output in their order.
    """
    name = plain(value, step)
    shape = step.shapes[0]
    places = np.arange(int(np.prod(shape)), dtype=np.int64).reshape(shape)
    seen = view(places)
    strides = tuple(int(stride) // places.itemsize for stride in seen.strides)
    operation = StridedCopy(tuple(seen.shape), strides, int(seen.flat[0]))
    if seen.shape == step.shape:
        return lowering.apply(step, operation, name)
    copied = lowering.apply(step, operation, name, suffix="copy")
    return lowering.reshape(step, copied, step.shape)
