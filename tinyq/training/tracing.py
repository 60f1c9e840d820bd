"""Walks Keras functional models: operations in order, and the producer of a tensor's codes."""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import keras

from tinyq.errors import ModelError
from tinyq.training.registry import is_preserving


@dataclass(frozen=True, slots=True)
class Step:
    """One application of a layer in a model.

    Attributes:
        name: Name of the layer.
        layer: The layer.
        inputs: Names of the layers whose outputs it reads, in order.
        shapes: Shapes of the inputs, without the batch.
        shape: Shape of the output, without the batch.
    """

    name: str
    layer: Any
    inputs: tuple[str, ...]
    shapes: tuple[tuple[int, ...], ...]
    shape: tuple[int, ...]


def walk(model: keras.Model) -> tuple[Step, ...]:
    """Applications of layers from inputs to outputs, each after those that it reads.

    The inputs come first, in the model's order.

    Raises:
        ModelError: The model is not functional, uses a layer twice, nests another model, or leaves
            a size open.
    """
    require_functional(model)
    steps: dict[str, Step] = {}
    nodes: dict[str, Any] = {}
    for tensor in tensors_in_order([*model.inputs, *model.outputs]):
        layer, node_index, _ = tensor._keras_history
        node = layer._inbound_nodes[node_index]
        if isinstance(layer, keras.Model):
            raise ModelError(
                "a model is nested in the quantized one",
                where=layer.name,
                remedy="build one flat model from the layers",
            )
        if nodes.setdefault(layer.name, node) is not node:
            raise ModelError(
                "the layer is used twice", where=layer.name, remedy="make a layer for each use"
            )
        inputs = [source._keras_history.operation.name for source in node.input_tensors]
        shapes = tuple(static_shape(source, layer.name) for source in node.input_tensors)
        steps[layer.name] = Step(
            layer.name, layer, tuple(inputs), shapes, static_shape(tensor, layer.name)
        )
    return tuple(steps.values())


def find_producer(tensor: Any, reader: str) -> Any:
    """The layer whose encoding a tensor's values have.

    Args:
        tensor: KerasTensor of a functional model.
        reader: Name of the layer that reads it, for the message.

    Raises:
        ModelError: The values are not quantized.
    """
    layer, node_index, _ = tensor._keras_history
    while is_preserving(layer):
        tensor = layer._inbound_nodes[node_index].input_tensors[0]
        layer, node_index, _ = tensor._keras_history
    if not hasattr(layer, "encoding"):
        raise ModelError(
            f"the input comes from {layer.name!r} ({type(layer).__name__}), which is not quantized",
            where=reader,
            remedy="quantize the model with tinyq.quantize, or begin it with QuantizedInput",
        )
    return layer


def is_functional(model: Any) -> bool:
    """Whether a model knows its tensors: one of the functional API, or a Sequential one."""
    try:
        return all(hasattr(t, "_keras_history") for t in (*model.inputs, *model.outputs))
    except (AttributeError, TypeError, ValueError):
        return False


def require_functional(model: keras.Model) -> None:
    """Check that a model is functional or Sequential.

    Raises:
        ModelError: It is not.
    """
    if not isinstance(model, keras.Model) or not getattr(model, "built", False):
        raise ModelError(
            "the model has no fixed input shape", remedy="give it an Input with a shape"
        )
    if not is_functional(model):
        raise ModelError(
            "only functional and Sequential models can be read",
            where=model.name,
            remedy="build the model from layers with the functional API",
        )
    if not (model.inputs and model.outputs):
        raise ModelError(
            f"the model has {len(model.inputs)} inputs and {len(model.outputs)} outputs",
            where=model.name,
            remedy="give the model one input and one output at least",
        )


def names_of(tensors: Iterable[Any]) -> tuple[str, ...]:
    """Names of the layers whose outputs tensors of a functional model are."""
    return tuple(tensor._keras_history.operation.name for tensor in tensors)


def tensors_in_order(outputs: Iterable[Any], known: Container[int] = ()) -> Iterator[Any]:
    """Tensors on which ``outputs`` depend, each after its inputs.

    Args:
        outputs: KerasTensors of a functional model.
        known: Identities of tensors that are not followed any further.
    """
    seen: set[int] = set()
    stack = [(output, False) for output in reversed(list(outputs))]
    while stack:
        tensor, expanded = stack.pop()
        if expanded:
            yield tensor
            continue
        if id(tensor) in seen or id(tensor) in known:
            continue
        seen.add(id(tensor))
        layer, node_index, _ = tensor._keras_history
        stack.append((tensor, True))
        inputs = layer._inbound_nodes[node_index].input_tensors
        stack.extend((source, False) for source in reversed(inputs))


def static_shape(tensor: Any, layer: str) -> tuple[int, ...]:
    """Shape of a tensor without the batch.

    Raises:
        ModelError: A size is open.
    """
    shape = tuple(tensor.shape[1:])
    if any(length is None for length in shape):
        raise ModelError(
            f"the shape {tuple(tensor.shape)} leaves a size open",
            where=layer,
            remedy="give the Input a fixed shape",
        )
    return shape


def structure(model: keras.Model, side: str) -> Any:
    """How the inputs or outputs of a model are nested: one tensor, a list or a mapping of them.

    Args:
        model: Functional or Sequential model.
        side: ``inputs`` or ``outputs``.
    """
    functional = getattr(model, "_functional", None) or model
    found = getattr(functional, f"_{side}_struct", None)
    tensors = getattr(model, side)
    if found is None or len(keras.tree.flatten(found)) != len(tensors):
        found = list(tensors)
    return found[0] if isinstance(found, list | tuple) and len(tensors) == 1 else found


def pack(tensors: Iterable[Any], like: Any) -> Any:
    """Tensors nested as ``like`` is."""
    return keras.tree.pack_sequence_as(like, list(tensors))
