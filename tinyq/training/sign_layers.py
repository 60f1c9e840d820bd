"""Larq's layers, which quantize their input and their kernel, as Keras 3 reads them from files.

Larq itself is for Keras 2; the classes here have its names, options and forward functions.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import keras
import numpy as np
from keras import ops

from tinyq.errors import ModelError
from tinyq.graph.ops.window import same_padding

KERNEL_QUANTIZERS = ("kernel_quantizer", "depthwise_quantizer", "pointwise_quantizer")
_SIGNS = ("stesign", "approxsign", "swishsign")
_TERNARY_SHARE = 0.7
_SEQUENCE = 3


def given_name(spec: Any) -> str:
    """Name of a quantizer as a file or a program says it; empty where there is none."""
    if spec is None:
        return ""
    if isinstance(spec, Mapping):
        spec = spec["config"] if spec.get("class_name") == "function" else spec.get("class_name")
    found = spec if isinstance(spec, str) else getattr(spec, "__name__", type(spec).__name__)
    return str(found).rpartition(">")[2]


def name_of(spec: Any) -> str:
    """The name in lower case without underscores, which classes and functions of Larq share."""
    name = given_name(spec).replace("_", "").lower()
    return "" if name == "noop" else name


def options_of(spec: Any) -> dict[str, Any]:
    """Options that a file or a quantizer's own configuration says."""
    if isinstance(spec, Mapping):
        found = spec.get("config")
        return dict(found) if isinstance(found, Mapping) else {}
    return dict(spec.get_config()) if hasattr(spec, "get_config") else {}


def is_sign(spec: Any) -> bool:
    """Whether a quantizer gives +1 for x >= 0, else -1; its gradient may be any."""
    return name_of(spec) in _SIGNS


def ternary_values(kernel: np.ndarray, options: Mapping[str, Any]) -> np.ndarray:
    """-1, 0 or +1: the sign where a weight is larger than a threshold.

    threshold = threshold_value, or 0.7 * mean |w| with ternary_weight_networks
    """
    threshold = float(options.get("threshold_value", 0.05))
    if options.get("ternary_weight_networks"):
        threshold = _TERNARY_SHARE * float(np.abs(kernel).mean())
    return np.where(np.abs(kernel) > threshold, np.sign(kernel), 0.0).astype(np.float32)


def _signs(x: Any, options: Mapping[str, Any]) -> Any:
    del options
    return ops.where(x >= 0, ops.ones_like(x), -ops.ones_like(x))


def _scaled_signs(x: Any, options: Mapping[str, Any]) -> Any:
    axes = tuple(range(len(x.shape) - 1))
    return _signs(x, options) * ops.mean(ops.abs(x), axis=axes, keepdims=True)


def _ternary(x: Any, options: Mapping[str, Any]) -> Any:
    threshold: Any = float(options.get("threshold_value", 0.05))
    if options.get("ternary_weight_networks"):
        threshold = _TERNARY_SHARE * ops.mean(ops.abs(x))
    return ops.where(ops.abs(x) > threshold, ops.sign(x), ops.zeros_like(x))


def _dorefa(x: Any, options: Mapping[str, Any]) -> Any:
    steps = 2.0 ** int(options.get("k_bit", 2)) - 1.0
    if options.get("mode", "activations") == "weights":
        squashed = ops.tanh(x)
        share = squashed / (2.0 * ops.max(ops.abs(squashed))) + 0.5
        return 2.0 * ops.round(share * steps) / steps - 1.0
    return ops.round(ops.clip(x, 0.0, 1.0) * steps) / steps


_FORWARD: Mapping[str, Callable[[Any, Mapping[str, Any]], Any]] = MappingProxyType(
    {
        **dict.fromkeys(_SIGNS, _signs),
        "magnitudeawaresign": _scaled_signs,
        "stetern": _ternary,
        "dorefa": _dorefa,
        "dorefaquantizer": _dorefa,
    }
)


def quantize_values(spec: Any, values: Any, where: str) -> Any:
    """Values as a quantizer gives them.

    Raises:
        ModelError: The quantizer is not known.
    """
    name = name_of(spec)
    if not name:
        return values
    if name not in _FORWARD:
        raise ModelError(
            f"the quantizer {name!r} is not known",
            where=where,
            remedy="use ste_sign, approx_sign, swish_sign, magnitude_aware_sign, ste_tern, dorefa",
        )
    return _FORWARD[name](values, options_of(spec))


def sides_of(layer: Any, shape: Any) -> tuple[tuple[int, int], tuple[int, int]]:
    """What a convolution with ``same`` padding adds: rows before and behind, columns likewise."""
    lengths = [1, 1, *layer.kernel_size][-2:], [1, 1, *layer.strides][-2:]
    size, strides = ((int(pair[0]), int(pair[1])) for pair in lengths)
    dilation = [1, 1, *layer.dilation_rate][-2:]
    image = tuple(shape[1:]) if len(shape) > _SEQUENCE else (1, *shape[1:])
    top, bottom, left, right = same_padding(
        image, size, strides, (int(dilation[0]), int(dilation[1]))
    )
    return (top, bottom), (left, right)


def convolve_padded(layer: Any, inputs: Any, call: Callable[[Any], Any], value: float) -> Any:
    """What a convolution with ``same`` padding gives that pads with another value than 0."""
    rows, columns = sides_of(layer, inputs.shape)
    border = (rows, columns) if len(inputs.shape) > _SEQUENCE else (columns,)
    padded = ops.pad(inputs, ((0, 0), *border, (0, 0)), constant_values=value)
    layer.padding = "valid"
    try:
        return call(padded)
    finally:
        layer.padding = "same"


def _make(kind: str, base: type, roles: Mapping[str, str]) -> type:
    """A layer class with quantizers.

    Args:
        kind: Name of the class.
        base: The layer of Keras.
        roles: Name of the quantizer's option by the name of the variable that it is for.
    """

    class Quantized(base):  # one of keras.layers
        def __init__(
            self, *args: Any, input_quantizer: Any = None, pad_values: float = 0.0, **options: Any
        ) -> None:
            quantizers = {role: options.pop(role, None) for role in roles.values()}
            super().__init__(*args, **options)
            self.input_quantizer = input_quantizer
            self.pad_values = float(pad_values)
            self.weight_quantizers = quantizers

        @classmethod
        def from_config(cls, config: Mapping[str, Any]) -> Any:
            """Leave out what Keras 3 has no option for and says nothing, and what trains."""
            known = set(inspect.signature(base.__init__).parameters)  # type: ignore[misc]
            known |= {"input_quantizer", "pad_values", "name", "dtype", "trainable"}
            known |= set(roles.values())
            trains = ("_constraint", "_regularizer", "metrics")
            kept = {
                key: value
                for key, value in config.items()
                if key in known and not key.endswith(trains)
            }
            return cls(**kept)

        def get_config(self) -> dict[str, Any]:
            own = {"input_quantizer": self.input_quantizer, "pad_values": self.pad_values}
            return {**super().get_config(), **own, **self.weight_quantizers}

        def call(self, inputs: Any) -> Any:
            values = quantize_values(self.input_quantizer, inputs, self.name)
            mapping = [
                (
                    variable,
                    quantize_values(
                        self.weight_quantizers[roles[variable.name]],
                        ops.convert_to_tensor(variable),
                        self.name,
                    ),
                )
                for variable in self.weights
                if variable.name in roles
            ]
            with keras.StatelessScope(state_mapping=mapping):
                if self.pad_values and getattr(self, "padding", "") == "same":
                    return convolve_padded(self, values, super().call, self.pad_values)
                return super().call(values)

    Quantized.__name__ = Quantized.__qualname__ = kind
    return Quantized


_KERNEL = MappingProxyType({"kernel": "kernel_quantizer"})
_DEPTHWISE = MappingProxyType({"kernel": "depthwise_quantizer"})
_BOTH = MappingProxyType(
    {"depthwise_kernel": "depthwise_quantizer", "pointwise_kernel": "pointwise_quantizer"}
)
CLASSES: Mapping[str, type] = MappingProxyType(
    {
        kind: _make(kind, base, roles)
        for kind, base, roles in (
            ("QuantConv1D", keras.layers.Conv1D, _KERNEL),
            ("QuantConv2D", keras.layers.Conv2D, _KERNEL),
            ("QuantDense", keras.layers.Dense, _KERNEL),
            ("QuantDepthwiseConv2D", keras.layers.DepthwiseConv2D, _DEPTHWISE),
            ("QuantSeparableConv1D", keras.layers.SeparableConv1D, _BOTH),
            ("QuantSeparableConv2D", keras.layers.SeparableConv2D, _BOTH),
        )
    }
)
