"""Rewrites a float model into a flat one of plain layers that computes the same.

Nested models are taken apart, layers that are used twice become copies, operations such as ``+``
become layers, and layers of many parts become their parts. What follows (fused layers, ranges,
quantized layers) knows the plain layers alone.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import keras
import numpy as np

from tinyq.errors import ModelError
from tinyq.support.limits import describe
from tinyq.training.channels import Turned, has_channels_first, rewrite_channels_first
from tinyq.training.registry import (
    find_quantizations,
    find_refusals,
    find_rewriters,
    is_preserving,
    kind_of,
)
from tinyq.training.tracing import (
    is_functional,
    names_of,
    pack,
    require_functional,
    static_shape,
    structure,
    tensors_in_order,
)
from tinyq.training.unrolling import follow_use

INPUT = "InputLayer"
MERGED_ACTIVATIONS = ("linear", "relu", "relu6")


@dataclass(frozen=True, slots=True)
class Application:
    """One use of a float layer or operation.

    Attributes:
        layer: The layer or operation, with its weights.
        name: Name that its replacement must have.
        inputs: Tensors of the new model that it reads, in order.
        args: Positional arguments, with tensors of the new model.
        kwargs: Arguments by name.
        shape: Shape of the output, without the batch.
    """

    layer: Any
    name: str
    inputs: tuple[Any, ...]
    args: tuple[Any, ...] = ()
    kwargs: dict[str, Any] = field(default_factory=dict)
    shape: tuple[int, ...] = ()

    def refuse(self, message: str, remedy: str) -> ModelError:
        """The error that says why this use is not supported."""
        return ModelError(message, where=self.name, remedy=remedy)


@dataclass(frozen=True, slots=True)
class Rewritten:
    """A flat model of plain layers.

    Attributes:
        model: Functional model with the weights of the float model.
        copied: Names of layers that were used more than once: each use has weights of its own now.
        fixed: Names of layers whose weights became constants.
    """

    model: keras.Model
    copied: tuple[str, ...] = ()
    fixed: tuple[str, ...] = ()


class Rewriting:
    """The new model under construction: gives names, applies layers."""

    def __init__(self, reserved: set[str]) -> None:
        self._reserved = reserved
        self._used: set[str] = set()
        self.copied: dict[str, None] = {}
        self.fixed: dict[str, None] = {}
        self._turned = Turned(self)

    def reserve(self, names: Iterable[str]) -> None:
        """Keep names of layers that were not known before for the layers themselves."""
        self._reserved |= set(names)

    def name(self, wanted: str) -> str:
        """A name that no other layer has."""
        return free_name(wanted, self._reserved | self._used)

    def place(self, name: str, prefix: str = "") -> str:
        """Name of a use of a layer of the float model: its own, or one with the model's name."""
        if name in self._used:
            wanted = f"{prefix}{name}"
            name = wanted if wanted not in self._used | self._reserved else self.name(name)
        self._used.add(name)
        return name

    def add(self, layer: Any, *inputs: Any) -> Any:
        """Apply a plain layer; returns its output."""
        self._used.add(layer.name)
        return layer(list(inputs) if len(inputs) > 1 else inputs[0])

    def copy(self, use: Application) -> Any:
        """Apply a copy of a layer with its weights; an activation that does not merge follows."""
        layer = use.layer
        config = layer.get_config() | {"name": use.name}
        if "dtype" in config:
            config["dtype"] = "float32"
        if config.get("quantization_config", 0) is None:
            del config["quantization_config"]
        activation = getattr(layer, "activation", None)
        apart = name_of(activation) not in MERGED_ACTIVATIONS and kind_of(layer) != "Activation"
        if apart:
            config["activation"] = "linear"
        try:
            twin = type(layer).from_config(config)
        except (TypeError, ValueError) as error:
            raise use.refuse(
                f"Keras cannot build the layer again: {describe(error)}",
                "leave it out, or do this step in the data",
            ) from None
        output = self.add(twin, *use.inputs)
        twin.set_weights(layer.get_weights())
        if not apart:
            return output
        name = self.name(f"{use.name}_{name_of(activation).rpartition('.')[2]}")
        return self.apply(keras.layers.Activation(activation, name=name), output)

    def apply(self, layer: Any, *inputs: Any, name: str | None = None) -> Any:
        """Apply a layer, rewritten where it is not plain; it must have its weights."""
        shape = tuple(layer.compute_output_shape(_shapes(inputs))[1:])
        return self.rewrite(Application(layer, name or layer.name, inputs, inputs, {}, shape))

    def rewrite(self, use: Application) -> Any:
        """Outputs of a use of any layer, by plain layers."""
        if has_channels_first(use, self._turned):
            return rewrite_channels_first(self, use, self._turned)
        kind = kind_of(use.layer)
        self._used.add(use.name)
        rewriter = find_rewriters().get(kind)
        if rewriter is not None:
            return rewriter(self, use)
        if kind in find_quantizations() or is_preserving(use.layer):
            return self.copy(use)
        raise _refusal(use, kind)


def rewrite(model: keras.Model, kind: type[Rewriting] = Rewriting) -> Rewritten:
    """A flat model of plain layers that computes what ``model`` does.

    Args:
        model: Functional or Sequential float model; see ``unroll`` for one of a class.
        kind: How; a subclass may treat what is refused in another way.

    Raises:
        ModelError: The model or a layer is not supported.
    """
    require_functional(model)
    rewriting = kind(set(_names(model)))
    starts = names_of(model.inputs)
    inputs = [
        keras.Input(static_shape(tensor, start), name=rewriting.place(start))
        for tensor, start in zip(model.inputs, starts, strict=True)
    ]
    outputs = _Walk(rewriting).follow(model, inputs)
    plain = keras.Model(
        pack(inputs, structure(model, "inputs")),
        pack(outputs, structure(model, "outputs")),
        name=model.name,
    )
    return Rewritten(plain, tuple(rewriting.copied), tuple(rewriting.fixed))


def name_of(activation: Any) -> str:
    """Name of a function of ``keras.activations``; a user's own keeps its module."""
    if activation is None:
        return "linear"
    name = getattr(activation, "__name__", type(activation).__name__)
    if getattr(keras.activations, name, None) is activation:
        return str(name)
    return f"{getattr(activation, '__module__', '?')}.{name}"


def free_name(wanted: str, taken: set[str]) -> str:
    """``wanted``, with a number where it is taken."""
    found, number = wanted, 2
    while found in taken:
        found, number = f"{wanted}_{number}", number + 1
    return found


@dataclass(slots=True)
class _Walk:
    """Follows a model, and the models inside of it.

    Attributes:
        rewriting: The new model.
        uses: How often each layer was used so far, by its identity.
    """

    rewriting: Rewriting
    uses: dict[int, int] = field(default_factory=dict)

    def follow(self, model: keras.Model, inputs: list[Any], prefix: str = "") -> list[Any]:
        """Outputs of a model, applied to tensors of the new model."""
        known = {id(old): new for old, new in zip(model.inputs, inputs, strict=True)}
        for tensor in tensors_in_order(model.outputs, known):
            layer, node_index, _ = tensor._keras_history
            node = layer._inbound_nodes[node_index]
            if id(tensor) in known:
                continue
            read = [known[id(source)] for source in node.input_tensors]
            if isinstance(layer, keras.Model) or _is_own_layer(layer):
                outputs = self._nested(layer, node.input_tensors, read, prefix)
            else:
                use = self._application(layer, node, known, prefix)
                found = self.rewriting.rewrite(use)
                outputs = list(found) if isinstance(found, list | tuple) else [found]
            for old, new in zip(node.output_tensors, outputs, strict=True):
                known[id(old)] = new
        return [known[id(tensor)] for tensor in model.outputs]

    def _nested(self, model: Any, old: list[Any], read: list[Any], prefix: str) -> list[Any]:
        """Outputs of a model inside, or of a layer of a user's class, by what it is made of."""
        inner = model if is_functional(model) else follow_use(model, old)
        self.rewriting.reserve(_names(inner))
        return self.follow(inner, read, f"{prefix}{model.name}_")

    def _application(
        self, layer: Any, node: Any, known: dict[int, Any], prefix: str
    ) -> Application:
        def renew(value: Any) -> Any:
            return known.get(id(value), value) if isinstance(value, keras.KerasTensor) else value

        self.uses[id(layer)] = self.uses.get(id(layer), 0) + 1
        if self.uses[id(layer)] > 1 and getattr(layer, "weights", None):
            self.rewriting.copied[layer.name] = None
        args, kwargs = keras.tree.map_structure(
            renew, (node.arguments.args, dict(node.arguments.kwargs)), none_is_leaf=True
        )
        name = self.rewriting.place(layer.name, prefix)
        shape = static_shape(node.output_tensors[0], layer.name)
        inputs = tuple(known[id(source)] for source in node.input_tensors)
        return Application(layer, name, inputs, tuple(args), kwargs, shape)


def _is_own_layer(layer: Any) -> bool:
    """Whether a layer is of a user's class and not known here, so that its ``call`` tells."""
    kind = kind_of(layer)
    known = kind in find_rewriters() or kind in find_quantizations() or hasattr(layer, "encoding")
    return "." in kind and isinstance(layer, keras.layers.Layer) and not known


def _names(model: keras.Model) -> Iterator[str]:
    for operation in getattr(getattr(model, "_functional", None) or model, "operations", ()):
        yield operation.name
        if isinstance(operation, keras.Model):
            yield from _names(operation)


def _shapes(inputs: tuple[Any, ...]) -> Any:
    shapes = [tuple(tensor.shape) for tensor in inputs]
    return shapes if len(shapes) > 1 else shapes[0]


def _refusal(use: Application, kind: str) -> ModelError:
    layer = use.layer
    if hasattr(layer, "encoding"):
        return use.refuse("the model is quantized already", "give the float model")
    remedy = find_refusals().get(kind)
    if "." in kind and not kind.startswith("ops."):
        return use.refuse(
            f"layers of class {kind} are not supported: what it computes is not known",
            remedy or "build the model from layers of Keras itself",
        )
    known = (*find_quantizations(), *find_rewriters())
    near = difflib.get_close_matches(kind, known, 3, 0.5)
    hint = f"use layers that do, such as {', '.join(near)}" if near else "leave it out"
    return use.refuse(
        f"layers of class {kind} are not supported", remedy or f"it has no integer form; {hint}"
    )


def constant_of(value: Any) -> np.ndarray | None:
    """A constant argument of an operation as float64, or None for a computed tensor."""
    if value is None or isinstance(value, keras.KerasTensor | list | tuple):
        return None
    return np.asarray(keras.ops.convert_to_numpy(value), np.float64)


def single_constant(use: Application) -> np.ndarray | None:
    """The constant of an operation of a tensor and a constant; None where it has two tensors."""
    found = [value for arg in use.args if (value := constant_of(arg)) is not None]
    return found[0] if len(found) == 1 and len(use.inputs) == 1 else None
