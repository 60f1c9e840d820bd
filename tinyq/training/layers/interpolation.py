"""Bilinear interpolation of images."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
from keras import ops

from tinyq.errors import ModelError
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
CENTERS, CORNERS, EDGES = "centers", "corners", "edges"
_PLACES: Mapping[str, Callable[[np.ndarray, int, int], np.ndarray]] = MappingProxyType(
    {
        CENTERS: lambda index, length, wanted: (index + 0.5) * length / wanted - 0.5,
        CORNERS: lambda index, length, wanted: index * (length - 1) / max(wanted - 1, 1),
        EDGES: lambda index, length, wanted: index * length / wanted,
    }
)
ONE = 1024
_SHIFT = ONE * ONE


class Interpolation(Resized):
    """An image of another size; in a plain float model.

    Args:
        height: Height of the output.
        width: Width of the output.
        places: ``centers``, between the centres of pixels; ``corners``, where the pixels in the
            corners keep their values; ``edges``, where the first pixel does.
    """

    def __init__(self, height: int, width: int, places: str = CENTERS, **options: Any) -> None:
        super().__init__(height, width, **options)
        self.places = check_places(places)

    def call(self, inputs: Any) -> Any:
        """Interpolated pixels."""
        return _interpolate(inputs, self.size, self.places)

    def get_config(self) -> dict[str, Any]:
        """Options of the constructor."""
        return {**super().get_config(), "places": self.places}


def check_places(places: str) -> str:
    """The name itself.

    Raises:
        ModelError: There are no such places.
    """
    if places not in _PLACES:
        raise ModelError(f"there are no places {places!r}", remedy=f"use {', '.join(_PLACES)}")
    return places


@serializable
class QuantizedInterpolation(Resized, QuantizedLayer):
    """Weighted mean of four pixels in the encoding of the input, with weights of 10 bits.

    Arguments as of ``Interpolation``.

    Twin: tinyq.graph.ops.interpolate.Interpolate
    """

    def __init__(self, height: int, width: int, places: str = CENTERS, **options: Any) -> None:
        super().__init__(height, width, **options)
        self.places = check_places(places)

    def get_config(self) -> dict[str, Any]:
        """Options of the constructor."""
        return {**super().get_config(), "places": self.places}

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
        rows = find_neighbours(inputs.shape[1], self.size[0], self.places)
        columns = find_neighbours(inputs.shape[2], self.size[1], self.places)
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
        values = _interpolate(inputs, self.size, self.places)
        return with_gradient(lambda x: encoding.centered(x) * encoding.scale, identity)(values)


def find_neighbours(length: int, wanted: int, places: str = CENTERS) -> np.ndarray:
    """Both neighbours of each place and the weight of the second in 1/1024, int64, (wanted, 3)."""
    first, share = _find_places(length, wanted, places)
    both = np.clip(np.stack([first, first + 1], axis=1), 0, length - 1)
    weight = np.floor(share * ONE + 0.5)
    return np.concatenate([both, weight[:, None]], axis=1).astype(np.int64)


def _find_places(length: int, wanted: int, places: str) -> tuple[np.ndarray, np.ndarray]:
    """The pixel at or before each place, and how far behind it the place lies, 0 .. 1."""
    found = _PLACES[places](np.arange(wanted), length, wanted)
    first = np.floor(found)
    return first, found - first


def _interpolate(images: Any, size: tuple[int, int], places: str) -> Any:
    """Real pixels, by the same places."""
    if places == CENTERS:
        return ops.image.resize(images, size, interpolation="bilinear", data_format="channels_last")
    for axis, wanted in enumerate(size, 1):
        length = images.shape[axis]
        first, share = _find_places(length, wanted, places)
        lower, upper = (
            ops.take(images, np.clip(one, 0, length - 1).astype(np.int32), axis=axis)
            for one in (first, first + 1)
        )
        shape = [wanted if place == axis else 1 for place in range(len(images.shape))]
        weight = ops.convert_to_tensor(share.reshape(shape), images.dtype)
        images = lower + (upper - lower) * weight
    return images


def _weights(table: np.ndarray) -> tuple[tuple[np.ndarray, np.ndarray], ...]:
    return (table[:, 0], ONE - table[:, 2]), (table[:, 1], table[:, 2])


@quantizes("Interpolation", reads=METHOD, emits=INPUT, keeps_sign=True)
def build_interpolation(
    fused: FusedLayer, options: dict[str, Any], rule: Rule
) -> QuantizedInterpolation:
    """An interpolation to the size of the float one."""
    del rule
    height, width = fused.layer.size
    return QuantizedInterpolation(height, width, fused.layer.places, name=options["name"])


@lowers("QuantizedInterpolation")
def lower_interpolation(lowering: Lowering, step: Step, inputs: tuple[Value, ...]) -> Value:
    """Interpolation by tables of rows and columns."""
    height, width, _ = step.shapes[0]
    places = step.layer.places
    tables = (
        find_neighbours(height, step.shape[0], places),
        find_neighbours(width, step.shape[1], places),
    )
    rows = lowering.constant(step, "rows", tables[0], "s16")
    columns = lowering.constant(step, "columns", tables[1], "s16")
    return lowering.apply(step, Interpolate(), plain(inputs[0], step), rows, columns)
