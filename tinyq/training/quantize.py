"""From a float model and a recipe to a model of quantized layers with the same weights."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import keras
import numpy as np

from tinyq.errors import ModelError, RecipeError
from tinyq.numerics.formats import find_format
from tinyq.quantizers import find_activations, find_weights
from tinyq.training.elementwise import (
    QuantizedActivation,
    QuantizedAdd,
    QuantizedConcatenate,
    QuantizedInput,
    QuantizedSoftmax,
)
from tinyq.training.patterns import NORMALIZATION, Unit, find_units
from tinyq.training.pooling import (
    QuantizedAveragePooling1D,
    QuantizedAveragePooling2D,
    QuantizedGlobalAveragePooling,
)
from tinyq.training.prelu import FORMAT as SLOPED_FORMAT
from tinyq.training.prelu import QuantizedPReLU
from tinyq.training.recipe import Recipe, Rule, read_recipe, resolve
from tinyq.training.weighted import (
    QuantizedConv1D,
    QuantizedConv2D,
    QuantizedDense,
    QuantizedDepthwiseConv2D,
)

DEFAULT = "int8"
INPUT = "InputLayer"
_POOLS = ("AveragePooling1D", "AveragePooling2D")
_REGULARIZERS = {"kernel_regularizer", "depthwise_regularizer"}
_WHOLE_BITS = 8
_OWN_OPTIONS = ("name", "activation", "dtype", "quantization_config")


def quantize(model: keras.Model, recipe: Recipe | Mapping[str, Any] | str | Path) -> keras.Model:
    """A model of quantized layers with the float model's weights.

    It trains with plain ``compile`` and ``fit``, and saves and loads as ``.keras``. In training it
    simulates; ``evaluate`` and ``predict`` compute the integers of the deployed code.

    A layer's ``activations`` method is the format of its input. Layers keep their names;
    BatchNormalization and ReLU become part of the layer before them. Kernels of fewer than 8 bits
    lose their regularizer, with a warning, unless the recipe says ``weight_decay: true``.

    Args:
        model: Functional or Sequential float model with one input and one output.
        recipe: Methods per layer, as a dict, a YAML file's path, or a ``Recipe``.

    Returns:
        A functional model; the float model is left as it is.

    Raises:
        ModelError: A layer is not supported, or a weight is not finite.
        RecipeError: The recipe is wrong.
    """
    checked = read_recipe(recipe)
    units = find_units(model)
    require_finite(model)
    weighted = [unit.name for unit in units if unit.is_weighted]
    others = [unit.name for unit in units if _may_have_rule(unit)]
    rules = resolve(checked, weighted, others)
    _warn_of_decay(units, rules)
    assembly = _Assembly.plan(units, rules, checked)
    for unit in units:
        assembly.add(unit)
    output = assembly.finished(units[-1].name)
    return keras.Model(assembly.input, output, name=model.name)


def require_finite(model: keras.Model) -> None:
    """Check the weights of all layers.

    Raises:
        ModelError: One is NaN or infinite; the message names layer and variable.
    """
    for layer in model._flatten_layers(include_self=False):
        for variable in layer._trainable_variables + layer._non_trainable_variables:
            values = keras.ops.convert_to_numpy(variable.value)
            if values.dtype.kind == "f" and not np.isfinite(values).all():
                raise ModelError(
                    f"weight {variable.name!r} is NaN or infinite",
                    where=layer.name,
                    remedy="train again with a smaller learning rate",
                )


def _may_have_rule(unit: Unit) -> bool:
    return not (unit.is_weighted or unit.is_preserving or unit.kind == INPUT)


@dataclass(frozen=True, slots=True)
class _Plan:
    """What each unit reads and emits."""

    rules: Mapping[str, Rule]
    readers: Mapping[str, tuple[Unit, ...]]
    input_range: tuple[float, float] | None

    def wanted(self, unit: Unit) -> str:
        """Activation method of a unit's inputs."""
        rule = self.rules[unit.name].activations
        if rule is not None:
            return rule
        wishes = self.wishes(unit)
        joins = unit.kind == "Concatenate" and len(wishes) == 1
        return wishes.pop() if joins and all(map(_takes_plain_signs, wishes)) else DEFAULT

    def wishes(self, unit: Unit) -> set[str]:
        """Activation methods that the readers of a unit want."""
        if unit.softmax and unit.is_weighted:
            return {DEFAULT}
        found: set[str] = set()
        for reader in self.readers[unit.name]:
            found |= self.wishes(reader) if reader.is_preserving else {self.wanted(reader)}
        return found or {DEFAULT}

    def emitted(self, unit: Unit) -> str:
        """Activation method of a unit's output; the widest where the readers differ."""
        wishes = self.wishes(unit)
        return wishes.pop() if len(wishes) == 1 else DEFAULT


@dataclass(slots=True)
class _Assembly:
    """Builds the new model unit by unit."""

    plan_of: _Plan
    input: Any = None
    tensors: dict[str, Any] = field(default_factory=dict)
    methods: dict[str, str] = field(default_factory=dict)
    postponed: dict[str, str] = field(default_factory=dict)
    nonnegative: set[str] = field(default_factory=set)
    adapted: dict[tuple[str, str], Any] = field(default_factory=dict)

    @classmethod
    def plan(cls, units: tuple[Unit, ...], rules: Mapping[str, Rule], recipe: Recipe) -> _Assembly:
        readers = {
            unit.name: tuple(reader for reader in units if unit.name in reader.inputs)
            for unit in units
        }
        return cls(_Plan(rules, readers, recipe.input.range))

    def add(self, unit: Unit) -> None:
        """Append one unit."""
        if unit.kind == INPUT:
            self._add_input(unit)
        elif unit.is_preserving:
            self._add_preserving(unit)
        else:
            self._add_quantized(unit)

    def finished(self, name: str) -> Any:
        """The output tensor, an activation that was put off included."""
        return self._adapt(name, self.methods[name])

    def _add_input(self, unit: Unit) -> None:
        method = self.plan_of.emitted(unit)
        fixed = self.plan_of.input_range
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
        self.input = keras.Input(tuple(unit.layer.batch_shape[1:]), name=unit.name)
        layer = QuantizedInput(name=f"{unit.name}_codes", output_method=method, output_range=fixed)
        self._record(unit.name, layer(self.input), method)

    def _add_preserving(self, unit: Unit) -> None:
        (source,) = unit.inputs
        layer = type(unit.layer).from_config(unit.layer.get_config())
        self._record(unit.name, layer(self.tensors[source]), self.methods[source])
        if source in self.postponed:
            self.postponed[unit.name] = self.postponed[source]
        if source in self.nonnegative:
            self.nonnegative.add(unit.name)

    def _add_quantized(self, unit: Unit) -> None:
        wanted = self.plan_of.wanted(unit)
        inputs = [self._adapt(source, wanted, unit) for source in unit.inputs]
        method, activation = self._emission(unit, wanted)
        options = {
            "name": unit.name,
            "output_method": method,
            "activation": activation,
            "batch_norm": _norm_options(unit.batch_norm),
        }
        layer = _BUILDERS[unit.kind](unit, options, self.plan_of.rules[unit.name])
        self._record(unit.name, layer(inputs if len(inputs) > 1 else inputs[0]), method)
        _copy_weights(unit, layer)
        if unit.softmax and unit.is_weighted:
            softmax = QuantizedSoftmax(name=f"{unit.name}_softmax")
            self.tensors[unit.name] = softmax(self.tensors[unit.name])

    def _emission(self, unit: Unit, wanted: str) -> tuple[str, str]:
        """Method of the output, and the activation that the layer applies itself."""
        if unit.kind in _POOLS:
            if find_activations(wanted).format == "b1":
                raise ModelError(
                    "the mean of signs is no sign",
                    where=unit.name,
                    remedy="pool before the sign, or use max pooling",
                )
            if set(unit.inputs) <= self.nonnegative:
                self.nonnegative.add(unit.name)
            return wanted, "linear"
        if unit.softmax and not unit.is_weighted:
            self.nonnegative.add(unit.name)
            return DEFAULT, "linear"
        if unit.kind == "PReLU":
            return DEFAULT, "linear"
        method = self.plan_of.emitted(unit)
        activation = unit.activation
        if activation != "linear" and _replaces_relu(method):
            activation = "linear"
        elif activation != "linear" and any(map(_replaces_relu, self.plan_of.wishes(unit))):
            self.postponed[unit.name], activation = activation, "linear"
        keeps_sign = not unit.is_weighted and unit.batch_norm is None
        positive = keeps_sign and set(unit.inputs) <= self.nonnegative
        if _replaces_relu(method):
            self._require_signed(unit.name, positive)
        if activation != "linear" or unit.softmax or positive:
            self.nonnegative.add(unit.name)
        return method, activation

    def _adapt(self, source: str, wanted: str, reader: Unit | None = None) -> Any:
        """The output of a unit in the method that a reader wants."""
        activation = self.postponed.get(source, "linear")
        if reader is not None and reader.softmax and not reader.is_weighted:
            wanted = DEFAULT
        if self.methods[source] == wanted and activation == "linear":
            return self.tensors[source]
        key = (source, wanted)
        if key not in self.adapted:
            if _replaces_relu(wanted):
                activation = "linear"
                self._require_signed(source, source in self.nonnegative)
            layer = QuantizedActivation(
                activation=activation,
                output_method=wanted,
                name=re.sub(r"[^\w.]+", "_", f"{source}_{wanted}").rstrip("_"),
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

    def _record(self, name: str, tensor: Any, method: str) -> None:
        self.tensors[name] = tensor
        self.methods[name] = method


def _takes_plain_signs(method: str) -> bool:
    parts = find_activations(method)
    return parts.format == "b1" and parts.whole


def _replaces_relu(method: str) -> bool:
    return find_activations(method).replaces_relu


def _is_shifted(method: str) -> bool:
    parts = find_activations(method)
    return parts.format == "b1" and not parts.whole


def _norm_options(norm: Any) -> dict[str, Any] | None:
    if norm is None:
        return None
    return {
        "momentum": norm.momentum,
        "epsilon": norm.epsilon,
        "center": norm.center,
        "scale": norm.scale,
    }


def _copy_weights(unit: Unit, layer: Any) -> None:
    if unit.is_weighted:
        layer.kernel.assign(unit.layer.kernel)
        if layer.use_bias:
            layer.bias.assign(unit.layer.bias)
    if unit.kind == "PReLU":
        layer.alpha.assign(keras.ops.reshape(unit.layer.alpha, (-1,)))
    if unit.batch_norm is not None:
        layer.batch_norm.set_weights(unit.batch_norm.get_weights())
        layer.batch_norm.trainable = unit.batch_norm.trainable
    layer.trainable = unit.layer.trainable


def _few_bits(rule: Rule) -> bool:
    assert rule.weights is not None
    return find_format(find_weights(rule.weights).format).bits < _WHOLE_BITS


def _warn_of_decay(units: tuple[Unit, ...], rules: Mapping[str, Rule]) -> None:
    """Say which kernels train without the weight decay of the float model."""
    spared = [
        unit.name
        for unit in units
        if unit.is_weighted
        and unit.layer.kernel.regularizer is not None
        and not rules[unit.name].weight_decay
        and _few_bits(rules[unit.name])
    ]
    if spared:
        warnings.warn(
            f"the kernel regularizers of {', '.join(spared)} are left out: they pull weights of "
            "few bits across the borders of their levels; `weight_decay: true` in the recipe "
            "keeps them",
            stacklevel=3,
        )


Builder = Callable[[Unit, dict[str, Any], Rule], Any]


def _weighted(quantized: type) -> Builder:
    def build(unit: Unit, options: dict[str, Any], rule: Rule) -> Any:
        config = {k: v for k, v in unit.layer.get_config().items() if k not in _OWN_OPTIONS}
        if not rule.weight_decay and _few_bits(rule):
            config |= dict.fromkeys(_REGULARIZERS & config.keys())
        methods = {"weight_method": rule.weights, "gradient_method": rule.gradients}
        return quantized(**config, **options, **methods)

    return build


def _finished(quantized: type) -> Builder:
    def build(unit: Unit, options: dict[str, Any], rule: Rule) -> Any:
        del rule
        if unit.kind == "Add" and len(unit.inputs) != 2:
            raise ModelError(
                f"adds {len(unit.inputs)} tensors", where=unit.name, remedy="add two at a time"
            )
        if unit.kind == "Concatenate" and _is_shifted(options["output_method"]):
            raise ModelError(
                "joins signs with learned shifts", where=unit.name, remedy="join int8 or binary"
            )
        if unit.kind == "Concatenate" and unit.layer.axis != -1:
            rank = len(unit.layer.output.shape)
            if unit.layer.axis % rank != rank - 1:
                raise ModelError(
                    "joins another axis than the channels", where=unit.name, remedy="use axis=-1"
                )
        keep = {"keepdims": unit.layer.keepdims} if hasattr(unit.layer, "keepdims") else {}
        return quantized(**options, **keep)

    return build


def _pool(quantized: type) -> Builder:
    def build(unit: Unit, options: dict[str, Any], rule: Rule) -> Any:
        del options, rule
        config = {k: v for k, v in unit.layer.get_config().items() if k not in _OWN_OPTIONS}
        return quantized(name=unit.name, **config)

    return build


def _activation(unit: Unit, options: dict[str, Any], rule: Rule) -> Any:
    del rule
    if unit.softmax:
        return QuantizedSoftmax(name=unit.name)
    return QuantizedActivation(**options)


def _sloped(unit: Unit, options: dict[str, Any], rule: Rule) -> Any:
    if find_activations(rule.activations or DEFAULT).format != SLOPED_FORMAT:
        raise ModelError(
            f"a PReLU cannot read {rule.activations!r}", where=unit.name, remedy="let it read int8"
        )
    return QuantizedPReLU(**options)


_BUILDERS: Mapping[str, Builder] = {
    "Conv2D": _weighted(QuantizedConv2D),
    "DepthwiseConv2D": _weighted(QuantizedDepthwiseConv2D),
    "Conv1D": _weighted(QuantizedConv1D),
    "Dense": _weighted(QuantizedDense),
    "Add": _finished(QuantizedAdd),
    "Concatenate": _finished(QuantizedConcatenate),
    "GlobalAveragePooling1D": _finished(QuantizedGlobalAveragePooling),
    "GlobalAveragePooling2D": _finished(QuantizedGlobalAveragePooling),
    "AveragePooling1D": _pool(QuantizedAveragePooling1D),
    "AveragePooling2D": _pool(QuantizedAveragePooling2D),
    NORMALIZATION: _activation,
    "ReLU": _activation,
    "PReLU": _sloped,
    "Activation": _activation,
    "Softmax": _activation,
}
