"""Groups the layers of a plain float model into those that become one quantized layer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import keras

from tinyq.errors import ModelError
from tinyq.training.registry import Quantization, find_quantizations, is_preserving, kind_of
from tinyq.training.tracing import Step, names_of, walk

NORMALIZATION = "BatchNormalization"
_RECTIFIERS = ("ReLU", "Activation")
_RELU6_LIMIT = 6.0


@dataclass(frozen=True, slots=True)
class FusedLayer:
    """Layers that become one quantized layer.

    Attributes:
        name: Name of the first layer; recipes and the new model use it.
        layer: The first layer.
        inputs: Names of the fused layers that it reads.
        end: Name of the last layer.
        batch_norm: The BatchNormalization inside, or None.
        activation: ``linear``, ``relu`` or ``relu6``.
        is_output: Whether its values are an output of the model.
    """

    name: str
    layer: Any
    inputs: tuple[str, ...]
    end: str
    batch_norm: Any = None
    activation: str = "linear"
    is_output: bool = False

    @property
    def kind(self) -> str:
        """Kind of the first layer."""
        return kind_of(self.layer)

    @property
    def quantization(self) -> Quantization | None:
        """How it becomes a quantized layer; None where it hands on values, or is the input."""
        return None if self.is_preserving else find_quantizations().get(self.kind)

    @property
    def is_weighted(self) -> bool:
        """Whether the fused layer has a kernel."""
        return self.quantization is not None and self.quantization.weighted

    @property
    def is_preserving(self) -> bool:
        """Whether the fused layer hands on values as they are."""
        return is_preserving(self.layer) and self.batch_norm is None


def find_fused_layers(model: keras.Model) -> tuple[FusedLayer, ...]:
    """Layers of a plain float model (see ``rewriting``) fused, from input to output.

    A convolution or Dense, its BatchNormalization and its ReLU are one layer where nothing else
    reads the values between them, and they are no output of the model.

    Raises:
        ModelError: The model is not plain.
    """
    steps = walk(model)
    readers = _readers(steps)
    outputs = frozenset(names_of(model.outputs))
    taken: dict[str, str] = {}
    fused_layers: list[FusedLayer] = []
    for step in steps:
        if step.name in taken:
            continue
        fused, members = _grow(step, readers, outputs)
        for member in members:
            taken[member] = fused.name
        fused_layers.append(fused)
    return tuple(
        replace(fused, inputs=tuple(taken[name] for name in fused.inputs)) for fused in fused_layers
    )


def activation_of(layer: Any) -> str:
    """Name of the activation that a plain layer applies last: linear, relu or relu6."""
    if kind_of(layer) == "ReLU":
        return "relu" if layer.max_value is None else "relu6"
    activation = getattr(layer, "activation", None)
    return "linear" if activation is None else str(activation.__name__)


def is_merging_relu(layer: Any) -> bool:
    """Whether a ReLU layer is one that becomes part of the layer before it."""
    plain = float(layer.negative_slope) == 0.0 and float(layer.threshold) == 0.0
    return plain and layer.max_value in (None, _RELU6_LIMIT)


def require_last_axis(layer: Any, axis: int, rank: int, what: str) -> None:
    """Check that a layer works along the channels.

    Raises:
        ModelError: It does not.
    """
    if axis not in (-1, rank - 1):
        raise ModelError(f"{what} is not over the channels", where=layer.name, remedy="use axis=-1")


def _readers(steps: tuple[Step, ...]) -> dict[str, list[Step]]:
    readers: dict[str, list[Step]] = {step.name: [] for step in steps}
    for step in steps:
        for name in step.inputs:
            readers[name].append(step)
    return readers


def _grow(
    step: Step, readers: Mapping[str, list[Step]], outputs: frozenset[str]
) -> tuple[FusedLayer, list[str]]:
    """The fused layer that begins with ``step``, and the names of all its layers."""
    layer = step.layer
    kind = kind_of(layer)
    members = [step.name]
    quantization = find_quantizations().get(kind)
    fuses = quantization is not None and quantization.fuses
    activation = activation_of(layer) if fuses else "linear"
    batch_norm = layer if kind == NORMALIZATION else None

    def following(accepts: Callable[[Step], bool]) -> Step | None:
        found = readers[members[-1]]
        alone = len(found) == 1 and members[-1] not in outputs
        return found[0] if alone and accepts(found[0]) else None

    if fuses and activation == "linear" and batch_norm is None:
        norm = following(lambda reader: kind_of(reader.layer) == NORMALIZATION)
        if norm is not None:
            batch_norm = norm.layer
            members.append(norm.name)
    if fuses and activation == "linear":
        after = following(lambda reader: kind_of(reader.layer) in _RECTIFIERS)
        if after is not None:
            activation = activation_of(after.layer)
            members.append(after.name)
    shown = members[-1] in outputs
    return FusedLayer(
        step.name, layer, step.inputs, members[-1], batch_norm, activation, shown
    ), members
