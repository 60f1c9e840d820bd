"""What the rebuilding of one operator sees, and the registry of such functions."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import keras
import numpy as np
from keras import ops

from tinyq.graph import Shape
from tinyq.importers.tflite.file_layer import FileLayer
from tinyq.importers.tflite.layer import graph_shape
from tinyq.importers.tflite.reader import FileModel, FileOperator
from tinyq.importers.tflite.rebuilding.weights import Reals, real_values
from tinyq.support.modules import import_modules

_FUSED = ("NONE", "RELU", "RELU_N1_TO_1", "RELU6", "TANH")


class Layer(FileLayer):
    """One operator of a float file: Keras tensors in, Keras tensors out.

    A tensor of the file is a Keras tensor of `graph_shape` behind a batch axis.
    """

    def __init__(self, operator: FileOperator, model: FileModel, known: dict[int, Any]) -> None:
        super().__init__(operator, model)
        self.known = known

    def is_constant(self, position: int) -> bool:
        """Whether an input is a constant of the file."""
        return self.source(position).index not in self.known

    def constant(self, position: int) -> Reals:
        """Values of a constant input, float32."""
        return real_values(self.source(position))

    def integers(self, position: int) -> list[int]:
        """A short constant vector, such as axes or a shape."""
        tensor = self.source(position)
        self.require(
            tensor.type in ("INT32", "INT64") and tensor.elements <= 64,
            f"{tensor} is no short vector of integers",
        )
        kind = "<i4" if tensor.type == "INT32" else "<i8"
        self.require(tensor.data is not None, f"{tensor} is not a constant")
        return [int(value) for value in np.frombuffer(tensor.data or b"", kind)]

    def input(self, position: int = 0) -> Any:
        """Keras tensor of an input, behind a batch axis.

        Raises:
            ModelError: Nothing has computed it.
        """
        tensor = self.source(position)
        self.require(tensor.index in self.known, f"reads {tensor}, which nothing computes")
        return self.known[tensor.index]

    def under(self, x: Any, shape: Shape) -> Any:
        """The same values under another shape behind the batch axis."""
        if tuple(x.shape[1:]) == tuple(shape):
            return x
        self.require(
            math.prod(shape) == math.prod(x.shape[1:]), f"{tuple(x.shape[1:])} is not {shape}"
        )
        return keras.layers.Reshape(shape)(x)

    def along(self, position: int, axis: int) -> tuple[Any, int]:
        """An input under a shape that has the file's axis, and where it is then."""
        shape = self.source(position).shape
        self.require(-len(shape) <= axis < len(shape), f"axis {axis} of {self.source(position)}")
        place = axis % len(shape)
        if len(shape) > 1 and shape[0] == 1 and place > 0:
            return self.input(position), place
        return self.under(self.input(position), shape), place + 1

    def finish(self, value: Any, position: int = 0) -> None:
        """Say what an output is; brings it to the shape of the file."""
        tensor = self.result(position)
        shape = graph_shape(tensor.shape)
        self.require(
            None not in value.shape[1:] and math.prod(value.shape[1:]) == math.prod(shape),
            f"computes {tuple(value.shape[1:])}, the file says {tensor}",
        )
        self.known[tensor.index] = self.under(value, shape)

    def finish_activated(self, value: Any) -> None:
        """Finish behind the operator's fused activation."""
        kind = self.option("FusedActivationFunction", 0)
        self.require(0 <= kind < len(_FUSED), f"unknown fused activation {kind}")
        self.finish(activate(_FUSED[kind], value))


def activate(kind: str, value: Any) -> Any:
    """A tensor behind one of the activations that operators carry along."""
    return _ACTIVATIONS[kind](value)


_ACTIVATIONS: Mapping[str, Callable[[Any], Any]] = MappingProxyType(
    {
        "NONE": lambda x: x,
        "RELU": lambda x: keras.layers.ReLU()(x),
        "RELU6": lambda x: keras.layers.ReLU(6.0)(x),
        "RELU_N1_TO_1": lambda x: ops.clip(x, -1.0, 1.0),
        "RELU_0_TO_1": lambda x: ops.clip(x, 0.0, 1.0),
        "TANH": ops.tanh,
    }
)

Rebuilder = Callable[[Layer], None]
_FOUND: dict[str, Rebuilder] = {}


def rebuilds(*names: str) -> Callable[[Rebuilder], Rebuilder]:
    """Register a function that makes Keras layers of an operator, by the schema's names."""

    def register(function: Rebuilder) -> Rebuilder:
        for name in names:
            _FOUND[name] = function
        return function

    return register


def find_rebuilders() -> Mapping[str, Rebuilder]:
    """All such functions by operator name; the folder ``operators`` is walked."""
    import_modules("tinyq.importers.tflite.rebuilding.operators")
    return MappingProxyType(_FOUND)
