"""What layers that work value by value share."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from tinyq.training.base import FinishedLayer, wide


class ElementwiseLayer(FinishedLayer):
    """A finished layer whose output has the shape of its first input.

    Args:
        activation: One of ``ACTIVATIONS``.
    """

    def __init__(self, activation: str = "linear", **options: Any) -> None:
        super().__init__(**options)
        self.activation = keras.activations.get(activation)
        _ = self.activation_name

    def build(self, input_shape: Any) -> None:
        """Create the state of the epilogue."""
        self.build_epilogue(self.compute_output_shape(input_shape))

    def compute_output_shape(self, input_shape: Any) -> Any:
        """Shape of the first input."""
        return tuple(input_shape[0] if isinstance(input_shape[0], tuple | list) else input_shape)

    def get_config(self) -> dict[str, Any]:
        """Options of the constructor."""
        return {**super().get_config(), "activation": self.activation_name}


class ProductLayer(ElementwiseLayer):
    """A finished layer that multiplies its two inputs."""

    def accumulator_map(self) -> tuple[Any, Any]:
        """Product of the scales of the inputs, no offset; float64."""
        first, second = (wide(self.input_encoding(index).scale) for index in range(2))
        gain = first * second
        return gain, ops.zeros_like(gain)
