"""What the rebuilding of one operator sees, and the registry of such functions."""

from __future__ import annotations

import importlib
import math
import pkgutil
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import keras
import numpy as np
from keras import ops

from tinyq.errors import ModelError
from tinyq.graph import Shape
from tinyq.importers.tflite.layer import graph_shape
from tinyq.importers.tflite.reader import FileModel, FileOperator, FileTensor
from tinyq.importers.tflite.rebuilding.weights import Reals, real_values

_FUSED = ("NONE", "RELU", "RELU_N1_TO_1", "RELU6", "TANH")


class Layer:
    """One operator of a float file: Keras tensors in, Keras tensors out.

    A tensor of the file is a Keras tensor of `graph_shape` behind a batch axis.
    """

    def __init__(self, operator: FileOperator, model: FileModel, known: dict[int, Any]) -> None:
        self.operator = operator
        self.model = model
        self.known = known

    def name(self, suffix: str = "") -> str:
        """Name for a layer of this operator."""
        base = f"{self.operator.name.lower()}_{self.operator.index}"
        return f"{base}_{suffix}" if suffix else base

    def option(self, name: str, default: Any) -> Any:
        """An option of the operator, or ``default`` where the file has none."""
        return self.operator.options.get(name, default)

    def require(self, condition: bool, message: str, remedy: str | None = None) -> None:
        """Refuse the operator unless ``condition`` holds.

        Raises:
            ModelError: It does not.
        """
        if not condition:
            raise ModelError(message, remedy=remedy)

    def has(self, position: int) -> bool:
        """Whether an optional input is there."""
        return position < len(self.operator.inputs) and self.operator.inputs[position] >= 0

    def source(self, position: int = 0) -> FileTensor:
        """File tensor of an input."""
        self.require(self.has(position), f"input {position} is missing")
        return self.model.tensors[self.operator.inputs[position]]

    def result(self, position: int = 0) -> FileTensor:
        """File tensor of an output."""
        self.require(position < len(self.operator.outputs), f"output {position} is missing")
        return self.model.tensors[self.operator.outputs[position]]

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
    package = importlib.import_module("tinyq.importers.tflite.rebuilding.operators")
    for module in pkgutil.iter_modules(package.__path__):
        importlib.import_module(f"{package.__name__}.{module.name}")
    return MappingProxyType(_FOUND)
