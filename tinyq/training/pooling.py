"""Average pooling."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops

from tinyq.graph.ops.window import Window, same_padding
from tinyq.quantizers import Encoding
from tinyq.quantizers.parts.gradients import identity, with_gradient
from tinyq.training import integer
from tinyq.training.base import QuantizedLayer, wide
from tinyq.training.elementwise import ElementwiseLayer

register = keras.saving.register_keras_serializable(package="tinyq")


class AveragePoolingLayer(QuantizedLayer):
    """Mean of each window in the encoding of the input, half rounded up.

    y = floor((2 * sum + count) / (2 * count)) in codes
    """

    def encoding(self) -> Encoding:
        """That of the input."""
        return self.input_encoding()

    def window(self, shape: tuple[int, ...]) -> Window:
        """How the pool slides over an image of ``shape``; one row where there is no height."""
        size, stride = tuple(self.pool_size), tuple(self.strides)
        if len(size) == 1:
            size, stride, shape = (1, *size), (1, *stride), (1, *shape)
        padding = (0, 0, 0, 0)
        if self.padding == "same":
            padding = same_padding(shape, size, stride, (1, 1))
        return Window(size, stride, (1, 1), padding)

    def _counts(self, shape: tuple[int, ...]) -> np.ndarray:
        """Taps of each window inside the image, int64, shape (1, spatial..., 1)."""
        image = (1, *shape[:-1]) if len(shape) == 2 else shape[:-1]
        ones = np.ones((1, *image, 1), np.int64)
        counts = self.window(shape).patches(ones, 0).sum(axis=(3, 4))
        return counts[:, 0] if len(shape) == 2 else counts

    def _pool(self, values: Any) -> Any:
        return ops.average_pool(values, self.pool_size, self.strides, self.padding)

    def call(self, inputs: Any, training: bool = False) -> Any:
        """Output values: simulated in training, exact integers in inference."""
        encoding = self.encoding()
        if training:
            return with_gradient(lambda x: encoding.centered(x) * encoding.scale, identity)(
                self._pool(inputs)
            )
        count = ops.convert_to_tensor(self._counts(tuple(inputs.shape[1:])))
        mean = self._pool(encoding.centered(inputs))
        # A window's sum is an integer far below 2**24, so rounding undoes the division.
        total = ops.cast(ops.floor(mean * ops.cast(count, "float32") + 0.5), "int64")
        codes = ops.cast(integer.divide_half_up(total, count), "float32")
        return codes * encoding.scale


@register
class QuantizedAveragePooling2D(AveragePoolingLayer, keras.layers.AveragePooling2D):
    """Average pooling of images; options of AveragePooling2D."""


@register
class QuantizedAveragePooling1D(AveragePoolingLayer, keras.layers.AveragePooling1D):
    """Average pooling over time; options of AveragePooling1D."""


@register
class QuantizedGlobalAveragePooling(ElementwiseLayer):
    """Mean over all positions, rounded once to an encoding of its own.

        acc = sum of (code - zero_point), its division is part of the output stage

    Args:
        keepdims: Whether positions remain as axes of length 1.
    """

    def __init__(self, keepdims: bool = False, **options: Any) -> None:
        super().__init__(**options)
        self.keepdims = keepdims

    def build(self, input_shape: Any) -> None:
        """Create the state of the output stage."""
        self.positions = int(np.prod(input_shape[1:-1]))
        super().build(input_shape)

    def compute_output_shape(self, input_shape: Any) -> Any:
        """Channels, and axes of length 1 if kept."""
        kept = (1,) * (len(input_shape) - 2) if self.keepdims else ()
        return (input_shape[0], *kept, input_shape[-1])

    def get_config(self) -> dict[str, Any]:
        """Options of the constructor."""
        return {**super().get_config(), "keepdims": self.keepdims}

    def accumulator_map(self) -> tuple[Any, Any]:
        """Scale of the input over the number of positions, no offset; float64."""
        gain = wide(self.input_encoding().scale) * (1.0 / self.positions)
        return gain, ops.zeros_like(gain)

    def call(self, inputs: Any, training: bool = False) -> Any:
        """Output values: simulated in training, exact integers in inference."""
        axes = tuple(range(1, len(inputs.shape) - 1))
        if training:
            return self.simulate(ops.mean(inputs, axis=axes, keepdims=self.keepdims))
        centered = ops.cast(self.input_encoding().centered(inputs), "int64")
        return self.finish(ops.sum(centered, axis=axes, keepdims=self.keepdims))
