"""Groups the layers of a float model into the units that become one quantized layer each."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import keras

from tinyq.errors import ModelError
from tinyq.training.tracing import Step, is_preserving, walk

WEIGHTED = ("Conv2D", "DepthwiseConv2D", "Conv1D", "Dense")
FUSING = (*WEIGHTED, "Add", "GlobalAveragePooling1D", "GlobalAveragePooling2D")
NORMALIZATION = "BatchNormalization"
SUPPORTED = (
    *FUSING,
    NORMALIZATION,
    "ReLU",
    "PReLU",
    "Activation",
    "Softmax",
    "Concatenate",
    "AveragePooling1D",
    "AveragePooling2D",
    "MaxPooling1D",
    "MaxPooling2D",
    "GlobalMaxPooling1D",
    "GlobalMaxPooling2D",
    "ZeroPadding1D",
    "ZeroPadding2D",
    "Flatten",
    "Reshape",
    "Dropout",
)


@dataclass(frozen=True, slots=True)
class Unit:
    """Layers that become one quantized layer.

    Attributes:
        name: Name of the first layer; recipes and the new model use it.
        layer: The first layer.
        inputs: Names of the units that it reads.
        batch_norm: The BatchNormalization inside, or None.
        activation: ``linear``, ``relu`` or ``relu6``.
        softmax: Whether a softmax follows as a part of the same Keras layer.
    """

    name: str
    layer: Any
    inputs: tuple[str, ...]
    batch_norm: Any = None
    activation: str = "linear"
    softmax: bool = False

    @property
    def kind(self) -> str:
        """Class name of the first layer."""
        return type(self.layer).__name__

    @property
    def is_weighted(self) -> bool:
        """Whether the unit has a kernel."""
        return self.kind in WEIGHTED

    @property
    def is_preserving(self) -> bool:
        """Whether the unit hands on values as they are."""
        return is_preserving(self.layer) and self.batch_norm is None


def find_units(model: keras.Model) -> tuple[Unit, ...]:
    """Units of a float model from input to output.

    A convolution or Dense, its BatchNormalization and its ReLU are one unit where nothing else
    reads the values between them.

    Raises:
        ModelError: The model or a layer is not supported.
    """
    steps = walk(model)
    for step in steps:
        _require_supported(step)
    readers = _readers(steps)
    taken: dict[str, str] = {}
    units: list[Unit] = []
    for step in steps:
        if step.name in taken:
            continue
        unit, last = _grow(step, readers)
        for member in last:
            taken[member] = unit.name
        units.append(unit)
    return tuple(_rename_inputs(unit, taken) for unit in units)


def activation_of(layer: Any) -> str:
    """Name of the activation that a layer applies last: also ``softmax``.

    Raises:
        ModelError: It has no integer form.
    """
    kind = type(layer).__name__
    if kind == "ReLU":
        return _relu_name(layer)
    if kind == "Softmax":
        _require_last_axis(layer, "Softmax")
        return "softmax"
    activation = getattr(layer, "activation", None)
    name = "linear" if activation is None else getattr(activation, "__name__", "?")
    if name not in ("linear", "relu", "relu6", "softmax"):
        raise ModelError(
            f"activation {name!r} is not supported",
            where=layer.name,
            remedy="use relu, relu6, softmax or none",
        )
    return name


def _relu_name(layer: Any) -> str:
    plain = float(layer.negative_slope) == 0.0 and float(layer.threshold) == 0.0
    names: Mapping[float | None, str] = {None: "relu", 6.0: "relu6"}
    limit = None if layer.max_value is None else float(layer.max_value)
    if not plain or limit not in names:
        raise ModelError(
            "only the plain ReLU and ReLU6 are supported",
            where=layer.name,
            remedy="leave negative_slope and threshold at 0 and max_value at None or 6",
        )
    return names[limit]


def _require_supported(step: Step) -> None:
    kind = type(step.layer).__name__
    if getattr(step.layer, "data_format", None) == "channels_first":
        raise ModelError(
            "channels come first", where=step.name, remedy="use data_format='channels_last'"
        )
    if kind == "PReLU":
        _require_slope_per_channel(step)
    if kind == "InputLayer" or kind in SUPPORTED or is_preserving(step.layer):
        return
    if hasattr(step.layer, "encoding"):
        raise ModelError(
            "the model is quantized already", where=step.name, remedy="give the float model"
        )
    raise ModelError(
        f"layers of class {kind} are not supported",
        where=step.name,
        remedy=f"replace it by {', '.join(SUPPORTED)}",
    )


def _require_slope_per_channel(step: Step) -> None:
    if any(length != 1 for length in step.layer.alpha.shape[:-1]):
        raise ModelError(
            "the PReLU has a slope for each position",
            where=step.name,
            remedy="share the slopes over all axes but the channels: PReLU(shared_axes=[1, 2])",
        )


def _readers(steps: tuple[Step, ...]) -> dict[str, list[Step]]:
    readers: dict[str, list[Step]] = {step.name: [] for step in steps}
    for step in steps:
        for name in step.inputs:
            readers[name].append(step)
    return readers


def _grow(step: Step, readers: Mapping[str, list[Step]]) -> tuple[Unit, list[str]]:
    """The unit that begins with ``step``, and the names of all its layers."""
    layer = step.layer
    kind = type(layer).__name__
    members = [step.name]
    activation = activation_of(layer)
    batch_norm = None
    if kind == NORMALIZATION:
        batch_norm = _checked_norm(layer)
    starts_chain = kind in FUSING or kind == NORMALIZATION

    def following(accepts: Callable[[Step], bool]) -> Step | None:
        found = readers[members[-1]]
        return found[0] if len(found) == 1 and accepts(found[0]) else None

    if starts_chain and activation == "linear" and batch_norm is None:
        norm = following(lambda reader: type(reader.layer).__name__ == NORMALIZATION)
        if norm is not None:
            batch_norm = _checked_norm(norm.layer)
            members.append(norm.name)
    if starts_chain and activation == "linear":
        after = following(lambda reader: type(reader.layer).__name__ in ("ReLU", "Activation"))
        if after is not None and activation_of(after.layer) != "softmax":
            activation = activation_of(after.layer)
            members.append(after.name)
    softmax = activation == "softmax"
    unit = Unit(
        step.name,
        layer,
        step.inputs,
        batch_norm,
        "linear" if softmax else activation,
        softmax,
    )
    return unit, members


def _checked_norm(layer: Any) -> Any:
    _require_last_axis(layer, NORMALIZATION)
    return layer


def _require_last_axis(layer: Any, what: str) -> None:
    rank = len(layer.output.shape)
    if layer.axis not in (-1, rank - 1):
        raise ModelError(f"{what} is not over the channels", where=layer.name, remedy="use axis=-1")


def _rename_inputs(unit: Unit, taken: Mapping[str, str]) -> Unit:
    inputs = tuple(taken[name] for name in unit.inputs)
    return Unit(unit.name, unit.layer, inputs, unit.batch_norm, unit.activation, unit.softmax)
