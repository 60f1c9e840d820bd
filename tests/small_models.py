"""Small float models for the suites that need Keras, and random states that are hard to round."""

from __future__ import annotations

from collections.abc import Callable

import keras
import numpy as np

L = keras.layers
Body = Callable[[object], object]


def functional(shape: tuple[int, ...], body: Body, name: str = "small") -> keras.Model:
    """A functional model around a body."""
    inputs = keras.Input(shape, name="image")
    return keras.Model(inputs, body(inputs), name=name)


def normed(x, layer, activation="relu"):
    """Layer, BatchNorm, activation: what becomes one quantized layer."""
    x = L.BatchNormalization(name=f"{layer.name}_norm")(layer(x))
    return L.Activation(activation, name=f"{layer.name}_{activation}")(x)


def scramble(model: keras.Model, rng: np.random.Generator) -> None:
    """Random weights and BatchNorm statistics: gammas of both signs and zero, tiny variances."""
    for layer in model._flatten_layers(include_self=False):
        if isinstance(layer, L.BatchNormalization):
            _scramble_norm(layer, rng)
        elif hasattr(layer, "kernel"):
            shape = layer.kernel.shape
            depth = np.prod(shape[:-1])
            layer.kernel.assign(rng.normal(0, 1 / np.sqrt(depth), shape))
            if layer.use_bias:
                layer.bias.assign(rng.normal(0, 0.3, layer.bias.shape))


def _scramble_norm(layer, rng):
    channels = layer.moving_mean.shape
    layer.moving_mean.assign(rng.normal(0, 0.5, channels))
    layer.moving_variance.assign(10.0 ** rng.uniform(-3, 0.5, channels))
    if layer.scale:
        gamma = rng.normal(0, 0.7, channels)
        gamma[rng.random(channels) < 0.15] = 0.0
        layer.gamma.assign(gamma)
    if layer.center:
        layer.beta.assign(rng.normal(0, 0.5, channels))
