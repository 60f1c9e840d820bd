"""Small float networks for the demo and the examples."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras

DIGITS_RECIPE: Mapping[str, Any] = {
    "first": "int8",
    "last": "int8",
    "layers": {
        "conv_2": {"weights": "int4", "activations": "uint4"},
        "conv_3": {"weights": "ternary", "activations": "uint4"},
        "conv_4": {"weights": "binary", "activations": "binary"},
    },
    "input": {"range": [0.0, 1.0]},
}
"""Mixed formats for ``digits_network``: 8-bit ends, hidden layers of 4 bits, ternary, and XNOR."""


def digits_network() -> keras.Model:
    """Float CNN for 8 x 8 images of digits, values 0 .. 1; ten logits."""
    inputs = keras.Input((8, 8, 1), name="image")
    x = inputs
    for number, filters in enumerate((16, 32, 32, 32), start=1):
        x = _convolution(x, filters, f"conv_{number}")
        if number in (2, 3):
            x = keras.layers.MaxPooling2D(name=f"pool_{number}")(x)
    x = keras.layers.Flatten(name="flatten")(x)
    return keras.Model(inputs, keras.layers.Dense(10, name="logits")(x), name="digits")


def fashion_network() -> keras.Model:
    """Float CNN for 28 x 28 grey images, values 0 .. 1; ten logits."""
    inputs = keras.Input((28, 28, 1), name="image")
    x = inputs
    for number, filters in enumerate((16, 32, 32, 32), start=1):
        x = _convolution(x, filters, f"conv_{number}")
        if number < 3:
            x = keras.layers.MaxPooling2D(name=f"pool_{number}")(x)
    x = keras.layers.MaxPooling2D(name="pool_4")(x)
    x = keras.layers.Flatten(name="flatten")(x)
    return keras.Model(inputs, keras.layers.Dense(10, name="logits")(x), name="fashion")


def _convolution(x: Any, filters: int, name: str) -> Any:
    x = keras.layers.Conv2D(filters, 3, padding="same", use_bias=False, name=name)(x)
    x = keras.layers.BatchNormalization(momentum=0.9, name=f"{name}_norm")(x)
    return keras.layers.ReLU(name=f"{name}_relu")(x)
