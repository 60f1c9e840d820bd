"""Builds the quantized model fused layer by fused layer: who reads and emits which format."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import keras

from tinyq.errors import ModelError, RecipeError, TinyqWarning
from tinyq.quantizers import find_activations
from tinyq.training.layers.activation import QuantizedActivation
from tinyq.training.layers.front_end import SAMPLES
from tinyq.training.layers.input import QuantizedInput
from tinyq.training.model import QuantizedModel
from tinyq.training.patterns import FusedLayer
from tinyq.training.recipe import Recipe, Rule
from tinyq.training.registry import INPUT, Quantization, find_lowerings, kind_of
from tinyq.training.rewriting import free_name
from tinyq.training.tracing import names_of, pack, structure

DEFAULT = "int8"


@dataclass(frozen=True, slots=True)
class Assembled:
    """A quantized model.

    Attributes:
        model: The Keras model.
        layers: The quantized layer of each fused one, by that one's name; those that hand on values
            have none.
    """

    model: keras.Model
    layers: Mapping[str, Any]


def assemble(
    fused_layers: tuple[FusedLayer, ...],
    rules: Mapping[str, Rule],
    recipe: Recipe,
    plain: keras.Model,
) -> Assembled:
    """The quantized model of all fused layers.

    Inputs and outputs are nested as those of the plain model. An output of several has the name
    that it has there, that of its last part.

    Raises:
        ModelError: A layer cannot be quantized as the recipe says.
        RecipeError: The recipe asks for what the input cannot have.
    """
    readers = {
        fused.name: tuple(reader for reader in fused_layers if fused.name in reader.inputs)
        for fused in fused_layers
    }
    taken = {member for fused in fused_layers for member in (fused.name, fused.end)}
    ends = names_of(plain.outputs)
    layer_of = {fused.end: fused.name for fused in fused_layers}
    outputs = [layer_of[end] for end in ends]
    names = {layer_of[end]: end for end in ends} if len(set(ends)) > 1 else {}
    plan = _Plan(rules, readers, recipe.input.range)
    assembly = _Assembly(plan, taken, names)
    with _whole_floats():
        for fused in fused_layers:
            assembly.add(fused)
        model = QuantizedModel(
            pack(
                (assembly.inputs[name] for name in names_of(plain.inputs)),
                structure(plain, "inputs"),
            ),
            pack((assembly.finished(name) for name in outputs), structure(plain, "outputs")),
            name=plain.name,
        )
    return Assembled(model, assembly.layers)


@contextmanager
def _whole_floats() -> Iterator[None]:
    """Layers of 32-bit floats, whatever policy a program has for others: 16 bits hold no codes."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("float32")
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


@dataclass(frozen=True, slots=True)
class _Plan:
    """What each fused layer reads and emits."""

    rules: Mapping[str, Rule]
    readers: Mapping[str, tuple[FusedLayer, ...]]
    input_range: tuple[float, float] | None

    def wanted(self, fused: FusedLayer) -> str:
        """Activation method of a fused layer's inputs."""
        how = _quantization(fused)
        if how.reads is not None:
            return how.reads
        rule = self.rules[fused.name].activations
        if rule is not None:
            return rule
        wishes = self.wishes(fused)
        joins = how.joins and len(wishes) == 1
        return wishes.pop() if joins and all(map(_takes_plain_signs, wishes)) else DEFAULT

    def wishes(self, fused: FusedLayer) -> set[str]:
        """Activation methods that the readers of a fused layer want."""
        found: set[str] = {DEFAULT} if fused.is_output else set()
        for reader in self.readers[fused.name]:
            if not reader.is_preserving:
                found.add(self.wanted(reader))
            elif needs_bytes(reader):
                found.add(DEFAULT)
            else:
                found |= self.wishes(reader)
        return found or {DEFAULT}

    def readers_of(self, name: str, method: str) -> tuple[str, ...]:
        """Names of the fused layers that read one, behind pools and such too, by a method."""
        found: list[str] = []
        for reader in self.readers[name]:
            if reader.is_preserving:
                found += self.readers_of(reader.name, method)
            elif self.wanted(reader) == method:
                found.append(reader.name)
        return tuple(dict.fromkeys(found))

    def emitted(self, fused: FusedLayer) -> str:
        """Activation method of a fused layer's output; the widest where the readers differ."""
        wishes = self.wishes(fused)
        return wishes.pop() if len(wishes) == 1 else DEFAULT


@dataclass(slots=True)
class _Assembly:
    """The new model under construction."""

    plan: _Plan
    taken: set[str]
    names: Mapping[str, str] = field(default_factory=dict)
    inputs: dict[str, Any] = field(default_factory=dict)
    tensors: dict[str, Any] = field(default_factory=dict)
    layers: dict[str, Any] = field(default_factory=dict)
    methods: dict[str, str] = field(default_factory=dict)
    postponed: dict[str, str] = field(default_factory=dict)
    nonnegative: set[str] = field(default_factory=set)
    adapted: dict[tuple[str, str], Any] = field(default_factory=dict)

    def add(self, fused: FusedLayer) -> None:
        """Append one fused layer."""
        if fused.is_preserving:
            self._add_preserving(fused)
        elif fused.quantization is None:
            self._add_input(fused)
        else:
            self._add_quantized(fused, fused.quantization)

    def finished(self, name: str) -> Any:
        """The output tensor, an activation that was put off included."""
        return self._adapt(name, self.methods[name])

    def _name(self, wanted: str) -> str:
        found = free_name(re.sub(r"[^\w./]+", "_", wanted).rstrip("_"), self.taken)
        self.taken.add(found)
        return found

    def _add_input(self, fused: FusedLayer) -> None:
        method = self.plan.emitted(fused)
        if method == SAMPLES:
            start = keras.Input(tuple(fused.layer.batch_shape[1:]), name=fused.name)
            self.inputs[fused.name] = start
            self._record(fused.name, start, SAMPLES)
            return
        fixed = self.plan.input_range
        if fixed is not None and method != DEFAULT:
            raise RecipeError(
                f"a range is for {DEFAULT} inputs, and the first layer wants {method}",
                where="input.range",
                remedy="leave the range out",
            )
        if not find_activations(method).whole:
            raise RecipeError(
                f"the model's input cannot have method {method!r}, whose codes are not those of "
                "its format",
                where="first.activations",
                remedy="use int8, uint4 or binary for the first layer's activations",
            )
        if not self.plan.readers[fused.name] and not fused.is_output:
            raise ModelError(
                "no layer reads this input",
                where=fused.name,
                remedy="build the model without it: keras.Model(inputs_that_are_read, outputs)",
            )
        start = keras.Input(tuple(fused.layer.batch_shape[1:]), name=fused.name)
        self.inputs[fused.name] = start
        if _is_unsigned(method):
            warnings.warn(
                f"{fused.name}: the model's input has method {method}, which has no codes below 0: "
                "negative values of the data become 0; give the first layer `activations: int8` "
                "if there are any",
                TinyqWarning,
                stacklevel=2,
            )
        if _is_unsigned(method) or (fixed is not None and fixed[0] >= 0):
            self.nonnegative.add(fused.name)
        name = self._name(f"{fused.name}_codes")
        layer = QuantizedInput(name=name, output_method=method, output_range=fixed)
        self._record(fused.name, layer(start), method, layer)

    def _add_preserving(self, fused: FusedLayer) -> None:
        (source,) = fused.inputs
        config = {**fused.layer.get_config(), "dtype": "float32"}
        layer = type(fused.layer).from_config(config)
        if needs_bytes(fused):
            tensor, method = self._adapt(source, DEFAULT), DEFAULT
        else:
            tensor, method = self.tensors[source], self.methods[source]
            if source in self.postponed:
                self.postponed[fused.name] = self.postponed[source]
        self._record(fused.name, layer(tensor), method)
        if source in self.nonnegative:
            self.nonnegative.add(fused.name)

    def _add_quantized(self, fused: FusedLayer, how: Quantization) -> None:
        wanted = self.plan.wanted(fused)
        inputs = [self._adapt(source, wanted) for source in fused.inputs]
        method, activation = self._emission(fused, how, wanted)
        options = {
            "name": self.names.get(fused.name, fused.name),
            "output_method": self._form(fused.name, method),
            "activation": activation,
            "batch_norm": _norm_options(fused.batch_norm),
        }
        layer = how.build(fused, options, self.plan.rules[fused.name])
        output = layer(inputs if len(inputs) > 1 else inputs[0])
        self._record(fused.name, output, method, layer)
        layer.take_weights(fused.layer)
        if fused.batch_norm is not None:
            layer.batch_norm.set_weights(fused.batch_norm.get_weights())
            layer.batch_norm.trainable = fused.batch_norm.trainable
        layer.trainable = fused.layer.trainable

    def _emission(self, fused: FusedLayer, how: Quantization, wanted: str) -> tuple[str, str]:
        """Method of the output, and the activation that the layer applies itself."""
        positive = how.nonnegative(fused.layer) or (
            how.keeps_sign and fused.batch_norm is None and set(fused.inputs) <= self.nonnegative
        )
        if how.emits is not None:
            if positive:
                self.nonnegative.add(fused.name)
            return (wanted if how.emits == INPUT else how.emits), "linear"
        method = self.plan.emitted(fused)
        activation = fused.activation
        if activation != "linear" and _replaces_relu(method):
            activation = "linear"
        elif activation != "linear" and any(map(_replaces_relu, self.plan.wishes(fused))):
            self.postponed[fused.name], activation = activation, "linear"
        if _replaces_relu(method):
            self._require_signed(fused.name, positive)
        if activation != "linear" or positive:
            self.nonnegative.add(fused.name)
        elif fused.name not in self.postponed:
            self._require_sign_kept(fused.name, method)
        return method, activation

    def _adapt(self, source: str, wanted: str) -> Any:
        """The output of a fused layer in the method that a reader wants."""
        activation = self.postponed.get(source, "linear")
        if self.methods[source] == wanted and activation == "linear":
            return self.tensors[source]
        key = (source, wanted)
        if key not in self.adapted:
            if _replaces_relu(wanted):
                activation = "linear"
                self._require_signed(source, source in self.nonnegative)
            elif activation == "linear" and source not in self.nonnegative:
                self._require_sign_kept(source, wanted)
            form = wanted if activation != "linear" else self._form(source, wanted)
            layer = QuantizedActivation(
                activation=activation, output_method=form, name=self._name(f"{source}_{wanted}")
            )
            self.adapted[key] = layer(self.tensors[source])
        return self.adapted[key]

    def _require_signed(self, where: str, nonnegative: bool) -> None:
        if nonnegative:
            raise ModelError(
                "the values are never negative, so their sign says nothing",
                where=where,
                remedy="put BatchNormalization between the ReLU and the binary layer",
            )

    def _form(self, source: str, method: str) -> str:
        """A method, or its form with codes below 0 where values of a unit may be negative."""
        if source in self.nonnegative or source in self.postponed or not _is_unsigned(method):
            return method
        return find_activations(method).signed_form or method

    def _require_sign_kept(self, where: str, method: str) -> None:
        """Refuse a ReLU that the float model does not have."""
        if not _is_unsigned(self._form(where, method)):
            return
        readers = ", ".join(self.plan.readers_of(where, method)) or "its reader"
        raise ModelError(
            f"its values may be negative, and {readers} would read them by {method}, which has no "
            "codes below 0: all negative values would become 0",
            where=where,
            remedy=f"give {readers} `activations: int8` or `lsq4` in the recipe, or put a ReLU "
            f"behind {where}",
        )

    def _record(self, name: str, tensor: Any, method: str, layer: Any = None) -> None:
        self.tensors[name] = tensor
        self.methods[name] = method
        if layer is not None:
            self.layers[name] = layer


def needs_bytes(fused: FusedLayer) -> bool:
    """Whether a fused layer that hands on values can move codes of 8 bits alone."""
    return find_lowerings()[kind_of(fused.layer)].whole_bytes


def _quantization(fused: FusedLayer) -> Quantization:
    assert fused.quantization is not None
    return fused.quantization


def _takes_plain_signs(method: str) -> bool:
    parts = find_activations(method)
    return parts.format == "b1" and parts.whole


def _replaces_relu(method: str) -> bool:
    return find_activations(method).replaces_relu


def _is_unsigned(method: str) -> bool:
    """Whether a method has no codes for negative values; signs of two values have."""
    return not find_activations(method).build(name="probe").signed


def _norm_options(norm: Any) -> dict[str, Any] | None:
    if norm is None:
        return None
    return {
        "momentum": norm.momentum,
        "epsilon": norm.epsilon,
        "center": norm.center,
        "scale": norm.scale,
    }
