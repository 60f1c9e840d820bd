"""Elements of an axis chosen by constant indices, each as often as it is named."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from tinyq.graph.ops.pick_pixels import PickPixels
from tinyq.training.lowering.emission import Lowering, Value
from tinyq.training.lowering.windows import plain
from tinyq.training.registry import lowers, rewrites, serializable
from tinyq.training.rewriting import Application, Rewriting
from tinyq.training.tracing import Step

_MOST = 1 << 16  # of the tables of pixels


@serializable
class Chosen(keras.layers.Layer):
    """Elements of an axis in another order, some several times or not at all.

    Args:
        indices: Places along the axis, from 0 on.
        axis: The axis, at least 1: the batch stays as it is.
    """

    def __init__(self, indices: Sequence[int], axis: int, **options: Any) -> None:
        super().__init__(**options)
        self.indices = [int(index) for index in indices]
        self.axis = int(axis)

    def compute_output_shape(self, input_shape: Any) -> Any:
        """As many elements as there are indices."""
        before, behind = input_shape[: self.axis], input_shape[self.axis + 1 :]
        return (*before, len(self.indices), *behind)

    def call(self, inputs: Any) -> Any:
        """The elements."""
        return ops.take(inputs, np.asarray(self.indices, np.int32), axis=self.axis)

    def get_config(self) -> dict[str, Any]:
        """Options of the constructor."""
        return {**super().get_config(), "indices": self.indices, "axis": self.axis}


@lowers("Chosen", preserves=True, whole_bytes=True)
def lower_chosen(lowering: Lowering, step: Step, inputs: tuple[Value, ...]) -> Value:
    """Columns of an image whose rows are what lies before the axis."""
    shape, place = step.shapes[0], step.layer.axis - 1
    outer, inner = math.prod(shape[:place]), math.prod(shape[place + 1 :])
    image = lowering.reshape(
        step, Value(plain(inputs[0], step)), (outer, shape[place], inner), suffix="image"
    )
    rows = lowering.constant(step, "rows", np.arange(outer), "u16")
    columns = lowering.constant(step, "columns", np.asarray(step.layer.indices), "u16")
    chosen = lowering.apply(step, PickPixels(), image.name, rows, columns, suffix="chosen")
    return lowering.reshape(step, chosen, step.shape)


@rewrites("ops.Take")
def rewrite_take(rewriting: Rewriting, use: Application) -> Any:
    """Elements of an axis; indices of several axes or of none change the shape besides."""
    given = use.args[1] if len(use.args) > 1 else use.kwargs.get("indices")
    x, axis = use.inputs[0], use.layer.axis
    if len(use.inputs) != 1 or isinstance(given, keras.KerasTensor):
        raise use.refuse("chooses by computed indices", "choose rows of a table by an Embedding")
    if axis is None or axis % len(x.shape) == 0:
        raise use.refuse("takes some samples of the batch", "choose along another axis")
    place = axis % len(x.shape)
    length, wanted = x.shape[place], np.asarray(given, np.int64)
    indices = [int(index) for index in np.where(wanted < 0, wanted + length, wanted).reshape(-1)]
    outer, reach = math.prod(x.shape[1:place]), range(length)
    if not all(index in reach for index in indices) or max(outer, length) >= _MOST:
        raise use.refuse(
            f"chooses among {length} elements by {given!s:.60}", "choose what is there"
        )
    if wanted.ndim == 1:
        return rewriting.add(Chosen(indices, place, name=use.name), x)
    chosen = rewriting.add(Chosen(indices, place, name=rewriting.name(f"{use.name}_chosen")), x)
    return rewriting.add(keras.layers.Reshape(use.shape, name=use.name), chosen)
