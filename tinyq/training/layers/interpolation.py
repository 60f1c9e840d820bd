"""Bilinear interpolation of images."""

from __future__ import annotations

from typing import Any

import numpy as np
from keras import ops

from tinyq.graph.ops.interpolate import Interpolate
from tinyq.quantizers import Encoding
from tinyq.quantizers.parts.gradients import identity, with_gradient
from tinyq.training.base import QuantizedLayer
from tinyq.training.lowering.emission import Lowering, Value
from tinyq.training.lowering.windows import plain
from tinyq.training.patterns import FusedLayer
from tinyq.training.recipe import Rule
from tinyq.training.registry import INPUT, lowers, quantizes, serializable
from tinyq.training.resized import Resized
from tinyq.training.tracing import Step

METHOD = "int8"
ONE = 1024
_SHIFT = ONE * ONE


class Interpolation(Resized):
    """An image of another size, between the centres of pixels; in a plain float model."""

    def call(self, inputs: Any) -> Any:
        """Interpolated pixels."""
        return ops.image.resize(
            inputs, self.size, interpolation="bilinear", data_format="channels_last"
        )


@serializable
class QuantizedInterpolation(Resized, QuantizedLayer):
    """Weighted mean of four pixels in the encoding of the input, with weights of 10 bits.

    Twin: tinyq.graph.ops.interpolate.Interpolate
    """

    def encoding(self) -> Encoding:
        """That of the input."""
        return self.input_encoding()

    def call(self, inputs: Any, training: bool = False) -> Any:
        """Output values: simulated in training, exact integers in inference."""
        if training:
            return self._simulate(inputs)
        encoding = self.encoding()
        zero = ops.cast(encoding.zero_point, "int64")
        codes = ops.cast(encoding.centered(inputs), "int64") + zero
        rows = find_neighbours(inputs.shape[1], self.size[0])
        columns = find_neighbours(inputs.shape[2], self.size[1])
        total = ops.zeros((), "int64")
        for row, down in _weights(rows):
            for column, across in _weights(columns):
                pixels = ops.take(ops.take(codes, row, axis=1), column, axis=2)
                weight = down[:, None, None] * across[None, :, None]
                total = total + pixels * ops.convert_to_tensor(weight, "int64")
        size = ops.floor_divide(2 * ops.abs(total) + _SHIFT, 2 * _SHIFT)
        return encoding.real(ops.where(total < 0, -size, size))

    def _simulate(self, inputs: Any) -> Any:
        encoding = self.encoding()
        values = ops.image.resize(
            inputs, self.size, interpolation="bilinear", data_format="channels_last"
        )
        return with_gradient(lambda x: encoding.centered(x) * encoding.scale, identity)(values)


def find_neighbours(length: int, wanted: int) -> np.ndarray:
    """Both neighbours of each place and the weight of the second in 1/1024, int64, (wanted, 3)."""
    places = (np.arange(wanted) + 0.5) * length / wanted - 0.5
    first = np.floor(places)
    weight = np.floor((places - first) * ONE + 0.5)
    both = np.clip(np.stack([first, first + 1], axis=1), 0, length - 1)
    return np.concatenate([both, weight[:, None]], axis=1).astype(np.int64)


def _weights(table: np.ndarray) -> tuple[tuple[np.ndarray, np.ndarray], ...]:
    return (table[:, 0], ONE - table[:, 2]), (table[:, 1], table[:, 2])


@quantizes("Interpolation", reads=METHOD, emits=INPUT, keeps_sign=True)
def build_interpolation(
    fused: FusedLayer, options: dict[str, Any], rule: Rule
) -> QuantizedInterpolation:
    """An interpolation to the size of the float one."""
    del rule
    return QuantizedInterpolation(*fused.layer.size, name=options["name"])


@lowers("QuantizedInterpolation")
def lower_interpolation(lowering: Lowering, step: Step, inputs: tuple[Value, ...]) -> Value:
    """Interpolation by tables of rows and columns."""
    height, width, _ = step.shapes[0]
    rows = lowering.constant(step, "rows", find_neighbours(height, step.shape[0]), "s16")
    columns = lowering.constant(step, "columns", find_neighbours(width, step.shape[1]), "s16")
    return lowering.apply(step, Interpolate(), plain(inputs[0], step), rows, columns)
