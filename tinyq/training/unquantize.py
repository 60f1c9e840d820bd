"""Keras' own 8-bit layers back to float layers, so that they can be quantized for a device."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from tinyq.errors import ModelError

_MODE = "int8"


def is_quantized_by_keras(layer: Any) -> bool:
    """Whether ``layer.quantize(...)`` of Keras has been called."""
    return getattr(layer, "quantization_mode", None) is not None


def unquantize(model: keras.Model) -> keras.Model:
    """A float model with the weights that ``model.quantize("int8")`` of Keras left.

    Keras keeps codes in -127 .. 127 and one scale per channel, and finds the range of activations
    anew in every batch. A device needs fixed ranges; the codes of the weights come out the same
    when the float model is quantized to 8 bits again, as the largest is 127 in each channel.

        w = code / scale

    Args:
        model: Functional or Sequential model; it is left as it is.

    Returns:
        ``model`` itself where Keras has quantized nothing.

    Raises:
        ModelError: A layer uses a mode other than int8, or is no Dense layer.
    """
    quantized = [layer for layer in model.layers if is_quantized_by_keras(layer)]
    if not quantized:
        return model
    for layer in quantized:
        if layer.quantization_mode != _MODE or type(layer).__name__ != "Dense":
            raise ModelError(
                f"Keras quantized the {type(layer).__name__} layer to {layer.quantization_mode}",
                where=layer.name,
                remedy="give the float model, or one quantized with model.quantize('int8')",
            )
    twin = keras.models.clone_model(model, clone_function=_float_layer)
    for layer in model.layers:
        if not layer.weights:
            continue  # an input layer has another name in the clone
        copy = twin.get_layer(layer.name)
        if layer not in quantized:
            copy.set_weights(layer.get_weights())
            continue
        codes = keras.ops.convert_to_numpy(layer._kernel).astype(np.float64)
        copy.kernel.assign(codes / keras.ops.convert_to_numpy(layer.kernel_scale))
        if layer.use_bias:
            copy.bias.assign(layer.bias)
    return twin


def _float_layer(layer: Any) -> Any:
    config = layer.get_config()
    if is_quantized_by_keras(layer):
        config["dtype"] = "float32"
        config.pop("quantization_config", None)
    return type(layer).from_config(config)
