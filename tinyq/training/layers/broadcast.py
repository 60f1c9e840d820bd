"""Tensors repeated along axes, so that two have one shape."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from tinyq.training.lowering.emission import Lowering, Value
from tinyq.training.lowering.moves import move
from tinyq.training.registry import lowers, serializable
from tinyq.training.rewriting import Application, Rewriting
from tinyq.training.tracing import Step


@serializable
class Broadcast(keras.layers.Layer):
    """A tensor repeated along its axes of length 1.

    Args:
        shape: Shape of the output, without the batch.
    """

    def __init__(self, shape: Sequence[int], **options: Any) -> None:
        super().__init__(**options)
        self.shape = tuple(int(length) for length in shape)

    def compute_output_shape(self, input_shape: Any) -> Any:
        """The shape with the batch."""
        return (input_shape[0], *self.shape)

    def call(self, inputs: Any) -> Any:
        """Repeated values."""
        own = tuple(inputs.shape[1:])
        inputs = ops.reshape(inputs, (-1, *(1,) * (len(self.shape) - len(own)), *own))
        repeats = [long // short for long, short in zip(self.shape, inputs.shape[1:], strict=True)]
        return ops.tile(inputs, (1, *repeats))

    def get_config(self) -> dict[str, Any]:
        """Options of the constructor."""
        return {**super().get_config(), "shape": self.shape}


@lowers("Broadcast", preserves=True, whole_bytes=True)
def lower_broadcast(lowering: Lowering, step: Step, inputs: tuple[Value, ...]) -> Value:
    """A copy that stands still along the repeated axes."""
    return move(lowering, step, inputs[0], lambda codes: np.broadcast_to(codes, step.shape))


@lowers("RepeatVector", preserves=True, whole_bytes=True)
def lower_repeat(lowering: Lowering, step: Step, inputs: tuple[Value, ...]) -> Value:
    """A copy that stands still along time."""
    return move(lowering, step, inputs[0], lambda codes: np.broadcast_to(codes, step.shape))


def broadcast(rewriting: Rewriting, use: Application) -> list[Any]:
    """All inputs of a use in the shape of its output."""
    ranks = {len(tensor.shape) for tensor in use.inputs}
    if len(ranks) > 1 and not isinstance(use.layer, keras.layers.Layer):
        raise use.refuse("tensors of different ranks meet", "reshape the smaller one")
    found = []
    for number, tensor in enumerate(use.inputs):
        if tuple(tensor.shape[1:]) != use.shape:
            name = rewriting.name(f"{use.name}_input{number}")
            tensor = rewriting.add(Broadcast(use.shape, name=name), tensor)
        found.append(tensor)
    return found
