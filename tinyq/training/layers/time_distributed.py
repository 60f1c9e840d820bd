"""Wrappers around one layer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from tinyq.training.registry import kind_of, rewrites
from tinyq.training.rewriting import Application, Rewriting

_POINTWISE = (
    *("Dense", "Activation", "ReLU", "LeakyReLU", "ELU", "Softmax", "Dropout", "Rescaling"),
    *("BatchNormalization", "Identity", "GaussianNoise", "GaussianDropout", "AlphaDropout"),
)
_RESHAPING = ("Flatten", "Reshape")


@rewrites("TimeDistributed")
def rewrite_time_distributed(rewriting: Rewriting, use: Application) -> Any:
    """The layer itself where it works value by value, a twin of one more axis, or a reshape."""
    inner = use.layer.layer
    kind = kind_of(inner)
    (source,) = use.inputs
    if kind in _POINTWISE:
        return rewriting.rewrite(_renamed(use, inner))
    if kind in _RESHAPING:
        return rewriting.add(keras.layers.Reshape(use.shape, name=use.name), source)
    if kind in _WIDER and len(source.shape) == 4:
        return _WIDER[kind](rewriting, use, inner)
    raise use.refuse(
        f"TimeDistributed of {kind} is not supported",
        "use Dense, Conv1D, DepthwiseConv1D, a pool over time, an activation or Flatten inside",
    )


@rewrites("SpectralNormalization")
def rewrite_spectral(rewriting: Rewriting, use: Application) -> Any:
    """The layer with the weights that it has in inference."""
    return rewriting.rewrite(_renamed(use, use.layer.layer))


def _renamed(use: Application, inner: Any) -> Application:
    return Application(inner, use.name, use.inputs, use.inputs, {}, use.shape)


def _wider(twin: Callable[..., Any], *options: str) -> Callable[..., Any]:
    """A layer over images whose height is the time that is distributed over."""

    def build(rewriting: Rewriting, use: Application, inner: Any) -> Any:
        config = inner.get_config()
        kept = {key: config[key] for key in options if key in config}
        for key in ("kernel_size", "strides", "dilation_rate", "pool_size"):
            if key in config:
                number = np.reshape(config[key], -1)[0]
                kept[key] = (1, int(number))
        if config.get("padding") == "causal":
            raise use.refuse("TimeDistributed of a causal convolution", "pad before it")
        layer = twin(**kept, padding=config["padding"], name=use.name)
        layer.build(tuple(use.inputs[0].shape))
        weights = inner.get_weights()
        if weights:
            layer.set_weights([weights[0][None], *weights[1:]])
        return rewriting.apply(layer, *use.inputs)

    return build


_COMMON = ("use_bias", "activation")
_WIDER: dict[str, Callable[..., Any]] = {
    "Conv1D": _wider(keras.layers.Conv2D, "filters", *_COMMON),
    "DepthwiseConv1D": _wider(keras.layers.DepthwiseConv2D, "depth_multiplier", *_COMMON),
    "MaxPooling1D": _wider(keras.layers.MaxPooling2D),
    "AveragePooling1D": _wider(keras.layers.AveragePooling2D),
}
