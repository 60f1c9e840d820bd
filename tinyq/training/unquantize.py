"""Layers that other tools quantized, back to float layers and the methods that stand for them.

They are recognised by their class names, so none of those tools is needed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import keras
import numpy as np

from tinyq.errors import ModelError
from tinyq.quantizers.fixed_point import FixedPoint
from tinyq.training import sign_layers
from tinyq.training.fixed_point_layers import (
    find_input_grids,
    is_fixed_point_layer,
    read_fixed_point_layer,
)
from tinyq.training.layers.ones_padding import PaddedConv2D, PaddedDepthwiseConv2D
from tinyq.training.origin import Origin

_PLAIN_OPTIONS = (
    *("name", "filters", "units", "kernel_size", "strides", "padding", "data_format"),
    *("dilation_rate", "groups", "depth_multiplier", "use_bias", "activation"),
)
_SIGN_LAYERS: Mapping[str, type[keras.Layer]] = MappingProxyType(
    {
        "QuantConv2D": keras.layers.Conv2D,
        "QuantConv1D": keras.layers.Conv1D,
        "QuantDense": keras.layers.Dense,
        "QuantDepthwiseConv2D": keras.layers.DepthwiseConv2D,
        "QuantSeparableConv1D": keras.layers.SeparableConv1D,
        "QuantSeparableConv2D": keras.layers.SeparableConv2D,
    }
)
_PADDED: Mapping[str, type[keras.Layer]] = MappingProxyType(
    {"QuantConv2D": PaddedConv2D, "QuantDepthwiseConv2D": PaddedDepthwiseConv2D}
)
_DOREFA_BITS = 4


@dataclass(frozen=True, slots=True)
class Unquantized:
    """A float model and the methods of the layers that were quantized.

    Attributes:
        model: Functional or Sequential float model.
        rules: Methods by layer name, as a recipe's ``layers`` has them.
        takes_signs: Whether a layer reads signs or a fixed-point grid, so that the float model
            computes other values.
    """

    model: keras.Model
    rules: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    takes_signs: bool = False


def unquantize(model: keras.Model) -> Unquantized:
    """A float model with the weights of layers that Keras, Larq or QKeras quantized.

    Keras keeps codes and scales and finds the range of activations anew in every batch; a device
    needs fixed ranges. With 8 bits, and with 4 bits and one scale per channel, the codes come out
    the same when the float model is quantized again, as the largest is 127 or 7 in each channel.
    4-bit codes with a scale and a zero point per block are kept with 8 bits. Layers of Larq's kind
    keep their float weights and get the methods with the same signs. Layers of QKeras get the
    values of their grids as weights and the method of that grid, and so do their activations.

    Args:
        model: Functional or Sequential model; it is left as it is.

    Returns:
        ``model`` itself where nothing is quantized.

    Raises:
        ModelError: A layer uses a mode or quantizer that is not known.
    """
    origins = {
        layer.name: origin for layer in model.layers if (origin := _find_origin(layer)) is not None
    }
    grids = {name: origin.grid for name, origin in origins.items() if origin.grid is not None}
    read = find_input_grids(model, grids)
    if not origins:
        return Unquantized(model)
    twin = keras.models.clone_model(
        model, clone_function=lambda layer: _clone(layer, origins.get(layer.name))
    )
    for layer in model.layers:
        if layer.weights:  # an input layer has another name in the clone
            known = origins.get(layer.name)
            twin.get_layer(layer.name).set_weights(known.weights if known else layer.get_weights())
    rules = {name: dict(origin.rule) for name, origin in origins.items() if origin.rule}
    for name, method in read.items():
        rules.setdefault(name, {})["activations"] = method
    for name, origin in origins.items():
        for part, rule in origin.parts.items():  # the first part reads what the layer does
            moved = rules.get(name, {}).pop("activations", None) if name in read else None
            rules[part] = {**rule, **({"activations": moved} if moved else {})}
    takes_signs = bool(read) or any(
        rule.get("activations", "int8") != "int8" for rule in rules.values()
    )
    return Unquantized(twin, rules, takes_signs)


def _clone(layer: Any, origin: Origin | None) -> Any:
    return origin.layer if origin else type(layer).from_config(layer.get_config())


def _find_origin(layer: Any) -> Origin | None:
    if is_fixed_point_layer(layer):
        return read_fixed_point_layer(layer)
    if type(layer).__module__.partition(".")[0] == "hgq" and type(layer).__name__ != "InputLayer":
        raise ModelError(
            f"{type(layer).__name__} is a layer of HGQ2, whose formats per weight are not read",
            where=layer.name,
            remedy="give a float model, or train one that tinyq.quantize made",
        )
    mode = getattr(layer, "quantization_mode", None)
    if mode is not None:
        key = (type(layer).__name__, mode)
        if key not in _KERAS_MODES:
            raise ModelError(
                f"Keras quantized the {key[0]} layer to {mode}",
                where=layer.name,
                remedy="give the float model, or one whose Dense layers are int8 or int4",
            )
        return _KERAS_MODES[key](layer)
    if type(layer).__name__ in _SIGN_LAYERS:
        return _read_sign_layer(layer)
    return None


def _float_dense(layer: Any, kernel: np.ndarray, method: str) -> Origin:
    config = layer.get_config()
    config["dtype"] = "float32"
    config.pop("quantization_config", None)
    weights = [np.asarray(kernel, np.float32)]
    if layer.use_bias:
        weights.append(_numbers(layer.bias))
    return Origin(type(layer).from_config(config), weights, {"weights": method})


def _read_keras_int8(layer: Any) -> Origin:
    """W = code / scale, one scale per channel."""
    _refuse_lora(layer)
    codes = _numbers(layer._kernel).astype(np.float64)
    return _float_dense(layer, codes / _numbers(layer.kernel_scale), "int8")


def _read_keras_int4(layer: Any) -> Origin:
    """W = code / scale, or (code - zero) * scale with a scale and a zero per block of inputs."""
    _refuse_lora(layer)
    packed = layer._kernel
    codes = _numbers(keras.quantizers.unpack_int4(packed, layer._orig_output_dim, axis=-1))
    scale = _numbers(layer.kernel_scale).astype(np.float64)
    if scale.ndim == 1:
        largest = np.abs(codes.astype(np.int64)).max(axis=0)
        method = "int4" if np.isin(largest, (0, 7)).all() else "int8"
        return _float_dense(layer, codes / scale, method)
    block = _numbers(layer.g_idx).astype(np.int64)
    zero = _numbers(layer.kernel_zero).astype(np.float64)
    return _float_dense(layer, (codes - zero[block]) * scale[block], "int8")


_KERAS_MODES: Mapping[tuple[str, str], Callable[[Any], Origin]] = MappingProxyType(
    {("Dense", "int8"): _read_keras_int8, ("Dense", "int4"): _read_keras_int4}
)


def _refuse_lora(layer: Any) -> None:
    if getattr(layer, "lora_enabled", False):
        raise ModelError(
            "low-rank adapters are not merged",
            where=layer.name,
            remedy="save the model and load it again, which merges them",
        )


def _read_sign_layer(layer: Any) -> Origin:
    """A layer of Larq's kind: quantizers of its input and of its weights."""
    config, kind = layer.get_config(), type(layer).__name__
    source = config.get("input_quantizer")
    plain = {name: config[name] for name in _PLAIN_OPTIONS if name in config}
    base = _SIGN_LAYERS[kind]
    if config.get("padding", "valid") == "same" and config.get("pad_values", 0):
        base = _padded(layer, config["pad_values"], source)
    weights, methods = list(layer.get_weights()), []
    quantizers = [config[role] for role in sign_layers.KERNEL_QUANTIZERS if role in config] or [
        None
    ]
    for index, quantizer in enumerate(quantizers):
        method, weights[index] = _sign_weights(layer, quantizer, weights[index])
        methods.append(method)
    reads = _sign_activations(layer, source)
    if len(methods) == 1:
        return Origin(base(**plain), weights, {"weights": methods[0], "activations": reads})
    first, second = methods
    parts = {f"{layer.name}_depthwise": {"weights": first, "activations": reads}}
    return Origin(base(**plain), weights, {"weights": second}, parts=parts)


def _padded(layer: Any, value: float, source: Any) -> type[keras.Layer]:
    """The layer that pads signs with +1."""
    found = _PADDED.get(type(layer).__name__)
    if found is None or float(value) != 1.0 or not sign_layers.is_sign(source):
        raise ModelError(
            f"pads with {value}",
            where=layer.name,
            remedy="pad with zeros (pad_values=0), or with 1 the input of a QuantConv2D or "
            "QuantDepthwiseConv2D that reads signs",
        )
    return found


def _sign_weights(layer: Any, quantizer: Any, kernel: np.ndarray) -> tuple[str, np.ndarray]:
    """The method with the same forward function as one of Larq's quantizers, and its weights."""
    name, options = sign_layers.name_of(quantizer), sign_layers.options_of(quantizer)
    if not name:
        return "int8", kernel
    if sign_layers.is_sign(quantizer):
        return "bnn", kernel
    if name == "magnitudeawaresign":
        return "bwn", kernel
    if name == "stetern":
        return FixedPoint("t", 2, 0).name, sign_layers.ternary_values(kernel, options)
    if name.startswith("dorefa") and options.get("mode") == "weights":
        return _dorefa(layer, options, "weights"), kernel
    raise _unknown(layer, quantizer, "weights", "magnitude_aware_sign, ste_tern or dorefa")


def _sign_activations(layer: Any, quantizer: Any) -> str:
    name, options = sign_layers.name_of(quantizer), sign_layers.options_of(quantizer)
    if not name:
        return "int8"
    if sign_layers.is_sign(quantizer):
        return "bnn"
    if name.startswith("dorefa") and options.get("mode", "activations") == "activations":
        return _dorefa(layer, options, "activations")
    raise _unknown(layer, quantizer, "activations", "dorefa")


def _dorefa(layer: Any, options: Mapping[str, Any], role: str) -> str:
    bits = int(options.get("k_bit", 2))
    if not 1 <= bits <= _DOREFA_BITS:
        raise ModelError(
            f"dorefa has {bits} bits for the {role}",
            where=layer.name,
            remedy=f"use at most {_DOREFA_BITS} bits, or no quantizer, which gives 8",
        )
    return f"dorefa{bits}"


def _unknown(layer: Any, quantizer: Any, role: str, besides: str) -> ModelError:
    return ModelError(
        f"the quantizer {sign_layers.given_name(quantizer)!r} of the {role} is not known",
        where=layer.name,
        remedy=f"use ste_sign, approx_sign, swish_sign, {besides}",
    )


def _numbers(tensor: Any) -> np.ndarray:
    return np.asarray(keras.ops.convert_to_numpy(tensor))
