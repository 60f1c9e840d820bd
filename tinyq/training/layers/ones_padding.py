"""Ones around an image, which binary networks pad with: signs have no zero."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops

from tinyq.graph.ops.pad2d import Pad2D
from tinyq.training.lowering.emission import Lowering, Value
from tinyq.training.lowering.windows import plain
from tinyq.training.registry import lowers, rewrites, serializable
from tinyq.training.rewriting import Application, Rewriting
from tinyq.training.sign_layers import convolve_padded, sides_of
from tinyq.training.tracing import Step

Sides = tuple[tuple[int, int], tuple[int, int]]


@serializable
class OnesPadding2D(keras.layers.Layer):
    """An image with ones around it, whose reader takes the signs of all values.

    Args:
        padding: Rows before and behind, columns before and behind.
    """

    def __init__(self, padding: Sides, **options: Any) -> None:
        super().__init__(**options)
        self.padding = tuple((int(before), int(behind)) for before, behind in padding)

    def compute_output_shape(self, input_shape: Any) -> Any:
        """The image and its border."""
        batch, height, width, channels = input_shape
        rows, columns = self.padding
        return (batch, height + sum(rows), width + sum(columns), channels)

    def call(self, inputs: Any) -> Any:
        """The padded image."""
        return ops.pad(inputs, ((0, 0), *self.padding, (0, 0)), constant_values=1.0)

    def get_config(self) -> dict[str, Any]:
        """Options of the constructor."""
        return {**super().get_config(), "padding": self.padding}


@lowers("OnesPadding2D", preserves=True)
def lower_ones(lowering: Lowering, step: Step, inputs: tuple[Value, ...]) -> Value:
    """The code of 1, or the nearest one, which has the same sign."""
    kind = lowering.type(inputs[0])
    one = 1
    if kind.format.step != 2:
        code = np.floor(1.0 / (kind.scale or 1.0) + 0.5) + kind.zero_point
        one = int(np.clip(code, kind.format.lo, kind.format.hi))
    (top, bottom), (left, right) = step.layer.padding
    return lowering.apply(step, Pad2D((top, bottom, left, right), one), plain(inputs[0], step))


class PaddedConv2D(keras.layers.Conv2D):
    """A convolution of signs with ``same`` padding by +1, as a layer of another tool has it."""

    def call(self, inputs: Any) -> Any:
        """Convolution of the padded image."""
        return convolve_padded(self, inputs, super().call, 1.0)


class PaddedDepthwiseConv2D(keras.layers.DepthwiseConv2D):
    """The same, channel by channel."""

    def call(self, inputs: Any) -> Any:
        """Convolution of the padded image."""
        return convolve_padded(self, inputs, super().call, 1.0)


_PLAIN = {
    "PaddedConv2D": keras.layers.Conv2D,
    "PaddedDepthwiseConv2D": keras.layers.DepthwiseConv2D,
}


@rewrites(*_PLAIN)
def rewrite_padded(rewriting: Rewriting, use: Application) -> Any:
    """A border of ones, then a convolution without padding."""
    layer, (source,) = use.layer, use.inputs
    border = OnesPadding2D(sides_of(layer, source.shape), name=rewriting.name(f"{use.name}_ones"))
    padded = rewriting.add(border, source)
    config = {**layer.get_config(), "padding": "valid", "name": use.name}
    twin = _PLAIN[type(layer).__name__].from_config(config)
    twin.build(padded.shape)
    twin.set_weights(layer.get_weights())
    return rewriting.apply(twin, padded)
