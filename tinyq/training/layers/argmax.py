"""The index of the largest value."""

from __future__ import annotations

from typing import Any

from keras import ops

from tinyq.graph.ops import argmax
from tinyq.training.base import QuantizedLayer
from tinyq.training.lowering.emission import Lowering, Value
from tinyq.training.lowering.windows import plain
from tinyq.training.registry import lowers, serializable
from tinyq.training.tracing import Step


@serializable
class Argmax(QuantizedLayer):
    """Index of the largest value along the last axis, the first of equals; for deployment only.

    It has no gradient: add it to a trained model.
    """

    def compute_output_shape(self, input_shape: Any) -> Any:
        """One value in place of the channels."""
        return (*input_shape[:-1], 1)

    def call(self, inputs: Any) -> Any:
        """Indexes as float32."""
        return ops.cast(ops.argmax(inputs, axis=-1, keepdims=True), "float32")


@lowers("Argmax")
def lower_argmax(lowering: Lowering, step: Step, inputs: tuple[Value, ...]) -> Value:
    """Index of the largest value."""
    return lowering.apply(step, argmax.Argmax(), plain(inputs[0], step))
