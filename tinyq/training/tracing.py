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
    """Applications of layers from input to output, each after those that it reads.

    Raises:
        ModelError: The model is not functional, has several inputs or outputs, uses a layer
            twice, nests another model, or leaves a size open.
    """
    require_functional(model)
    steps: dict[str, Step] = {}
    nodes: dict[str, Any] = {}
    for tensor in tensors_in_order(model.outputs):
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


def require_functional(model: keras.Model) -> None:
    """Check that a model is functional or Sequential, with one input and one output.

    Raises:
        ModelError: It is not.
    """
    if not isinstance(model, keras.Model) or not getattr(model, "built", False):
        raise ModelError(
            "the model has no fixed input shape", remedy="give it an Input with a shape"
        )
    try:
        counts = len(model.inputs), len(model.outputs)
        [tensor._keras_history for tensor in (*model.inputs, *model.outputs)]
    except (AttributeError, TypeError, ValueError):
        raise ModelError(
            "only functional and Sequential models can be read",
            where=model.name,
            remedy="build the model from layers with the functional API",
        ) from None
    if counts != (1, 1):
        raise ModelError(
            f"the model has {counts[0]} inputs and {counts[1]} outputs",
            where=model.name,
            remedy="give the model one input and one output",
        )


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
