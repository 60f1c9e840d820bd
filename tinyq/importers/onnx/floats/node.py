"""What a converter of one float operator sees: its inputs, its attributes, Keras tensors."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from tinyq.importers.onnx.arrangement import View, channel_last
from tinyq.importers.onnx.file_layer import FileLayer
from tinyq.importers.onnx.folding import axes_of
from tinyq.importers.onnx.reader import FileModel, FileNode

Array = npt.NDArray[Any]


@dataclass(frozen=True, slots=True, eq=False)
class Flow:
    """A tensor that the model computes.

    Attributes:
        tensor: Keras' tensor, of fixed shape but for the batch.
        view: Where the elements of the file's tensor lie in it; the batch is one.
        positive: Whether no element is below 0.
    """

    tensor: Any
    view: View
    positive: bool = False

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape in the file."""
        return self.view.shape

    @property
    def inner(self) -> tuple[int, ...]:
        """Keras' shape without the batch."""
        return tuple(self.tensor.shape[1:])


class Building:
    """The model under way."""

    def __init__(self, model: FileModel) -> None:
        self.model = model
        self.values: dict[str, Array | Flow] = {}
        self.names: set[str] = set()

    def name(self, wanted: str) -> str:
        """A name that Keras takes, and no other layer has."""
        stem = re.sub(r"\W+", "_", wanted, flags=re.ASCII).strip("_")[:60] or "layer"
        name, count = stem, 1
        while name in self.names:
            count += 1
            name = f"{stem}_{count}"
        self.names.add(name)
        return name


class Node(FileLayer):
    """One operator of the file."""

    remedy = "build the model of other layers, or write it in Keras"

    def __init__(self, node: FileNode, building: Building) -> None:
        super().__init__(node, building.model)
        self.building = building

    def value(self, position: int) -> Array | Flow:
        """What an input is."""
        self.require(self.has(position), f"input {position} is missing")
        return self.building.values[self.node.inputs[position]]

    def flow(self, position: int = 0) -> Flow:
        """An input that the model computes."""
        value = self.value(position)
        self.require(isinstance(value, Flow), f"input {position} is a constant")
        return value  # type: ignore[return-value]

    def constant(self, position: int) -> Array:
        """An input that is a constant."""
        value = self.value(position)
        self.require(not isinstance(value, Flow), f"input {position} is no constant")
        return value  # type: ignore[return-value]

    def constants(self) -> list[Array | None]:
        """All inputs that are constants, None for the others."""
        found = []
        for position in range(len(self.node.inputs)):
            value = self.value(position) if self.has(position) else None
            found.append(None if isinstance(value, Flow) else value)
        return found

    def axes(self, rank: int) -> list[int] | None:
        """Axes from an attribute or an input, within the rank."""
        found = axes_of(self.node, self.constants())
        self.require(all(-rank <= axis < rank for axis in found or []), f"axes {found}")
        return None if found is None else [axis % rank for axis in found]

    def give(self, value: Flow, position: int = 0) -> None:
        """Say what an output is."""
        self.building.values[self.node.outputs[position]] = value

    def add(self, kind: Callable[..., Any], *inputs: Any, **options: Any) -> Any:
        """The result of a new Keras layer named after the operator's output."""
        label = self.node.outputs[0] if self.node.outputs else self.node.kind
        layer = kind(name=self.building.name(f"{self.node.kind}_{label}"), **options)
        return layer(inputs[0] if len(inputs) == 1 else list(inputs))

    def with_weights(
        self, kind: Callable[..., Any], x: Any, weights: list[Array], **opts: Any
    ) -> Any:
        """Like ``add``, with the weights of the layer."""
        label = self.node.outputs[0]
        layer = kind(name=self.building.name(f"{self.node.kind}_{label}"), **opts)
        y = layer(x)
        layer.set_weights([np.asarray(array, np.float32) for array in weights])
        return y

    def arrange(self, flow: Flow, order: Sequence[int], shape: Sequence[int]) -> Any:
        """Keras' tensor with the axes of the file in an order, under a shape."""
        shape = tuple(shape)
        size = int(np.prod(flow.inner, dtype=np.int64))
        if flow.view.is_dense(order, size):
            return (
                flow.tensor
                if flow.inner == shape
                else self.add(keras.layers.Reshape, flow.tensor, target_shape=shape)
            )
        strides = [int(np.prod(flow.inner[place + 1 :])) for place in range(len(flow.inner))]
        atoms = flow.view.atoms(order)
        axes = [
            next((axis for axis, step in enumerate(strides) if (size, step) == atom), None)
            for atom, size in ((atom, atom[0]) for atom in atoms)
        ]
        whole = sorted(axis for axis in axes if axis is not None and flow.inner[axis] > 1)
        wanted = [axis for axis, size in enumerate(flow.inner) if size > 1]
        self.require(
            flow.view.start == 0 and None not in axes and whole == wanted,
            "the tensor is arranged in a way that Keras has no layer for",
        )
        rest = [axis for axis, size in enumerate(flow.inner) if size == 1]
        turned = [*(axis for axis in axes if axis is not None), *rest]
        moved = self.add(keras.layers.Permute, flow.tensor, dims=[axis + 1 for axis in turned])
        return (
            moved
            if tuple(moved.shape[1:]) == shape
            else self.add(keras.layers.Reshape, moved, target_shape=shape)
        )

    def image(self, flow: Flow) -> Any:
        """Keras' tensor of a sequence or an image, channels last."""
        rank = len(flow.shape)
        self.require(rank in (3, 4), f"an input of shape {flow.shape} is no image and no sequence")
        order = channel_last(rank)
        return self.arrange(flow, order, [flow.shape[axis] for axis in order[1:]])

    def of_image(self, tensor: Any, positive: bool = False) -> Flow:
        """What a result with channels last is in the file."""
        inner = tuple(tensor.shape[1:])
        shape = (1, inner[-1], *inner[:-1])
        return Flow(tensor, View.of(shape, channel_last(len(shape))), positive)

    def same(self, flow: Flow, tensor: Any, positive: bool = False) -> Flow:
        """A result with the layout of an input."""
        return replace(flow, tensor=tensor, positive=positive)
