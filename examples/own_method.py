"""A quantization method of your own: five levels per filter, from training to the emulated STM32.

    python examples/own_method.py

A recipe in another place says `weights: examples/own_method.py:quinary`, and commands that read its
models get `tinyq --methods examples/own_method.py build model.keras --board stm32`.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import keras
import numpy as np
import typer
from keras import layers, ops
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

import tinyq


@tinyq.register_weights("quinary", format="s4")
def quinary(kernel: Any, axes: tuple[int, ...]) -> tuple[Any, Any]:
    """Five levels -2 .. 2; a step is 0.8 of the mean magnitude of a filter."""
    step = 0.8 * ops.mean(ops.abs(kernel), axis=axes, keepdims=True) + 1e-8
    return ops.clip(ops.round(kernel / step), -2, 2), step


RECIPE = {"weights": "quinary", "activations": "int8", "input": {"range": [0.0, 1.0]}}


def load_data() -> list[np.ndarray]:
    """Handwritten digits, 8 x 8 pixels in 0 .. 1: x_train, x_test, y_train, y_test."""
    digits = load_digits()
    images = (digits.images[..., None] / 16.0).astype(np.float32)
    return train_test_split(images, digits.target, random_state=0, stratify=digits.target)


def make_network() -> keras.Model:
    """A float network for digits; ten logits."""
    image = keras.Input((8, 8, 1), name="image")
    x = image
    for number, filters in enumerate((16, 32, 32), start=1):
        x = layers.Conv2D(filters, 3, padding="same", use_bias=False, name=f"conv_{number}")(x)
        x = layers.BatchNormalization(momentum=0.9, name=f"norm_{number}")(x)
        x = layers.ReLU(name=f"relu_{number}")(x)
        x = layers.MaxPooling2D(name=f"pool_{number}")(x)
    x = layers.Flatten(name="flatten")(x)
    return keras.Model(image, layers.Dense(10, name="logits")(x), name="digits")


def train(model: keras.Model, x: np.ndarray, y: np.ndarray, epochs: int) -> None:
    """Train with a rate that falls to zero: few bits need that."""
    rate = keras.optimizers.schedules.CosineDecay(3e-3, epochs * -(-len(x) // 32))
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(rate), loss, metrics=["accuracy"])
    model.fit(x, y, epochs=epochs, verbose=2)


def main(
    output: Annotated[Path, typer.Option("-o", "--output")] = Path("build/own_method"),
    target: str = "qemu",
    epochs: Annotated[int, typer.Option(help="Of the float model and of training on.")] = 10,
) -> None:
    """Train digits with five-level weights and let the device answer the test images."""
    keras.utils.set_random_seed(0)
    x_train, x_test, y_train, y_test = load_data()
    model = make_network()
    train(model, x_train, y_train, epochs)
    quantized = tinyq.quantize(model, RECIPE)
    train(quantized, x_train, y_train, epochs)
    built = tinyq.build(quantized, "stm32", output / "firmware")
    print(tinyq.measure(built, (x_test, y_test), target, report=output))


if __name__ == "__main__":
    try:
        typer.run(main)
    except tinyq.TinyqError as error:
        sys.exit(error.render())
