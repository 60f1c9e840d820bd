"""Trainings of a small network on digits: by plain ``fit``, and with every phase written out."""

from __future__ import annotations

import keras
import numpy as np
from sklearn.datasets import load_digits

import tinyq
from tinyq.quantizers import METHODS
from tinyq.training import advance

L = keras.layers
SAMPLES, BATCH, EPOCHS = 120, 20, 4
STAGES = 12


def list_scheduled() -> list[tuple[str, str]]:
    """Roles and names of the presets that change in the course of training."""
    found = []
    for name, method in METHODS.items():
        if method.weights is not None:
            quantizer = method.weights.build((0, 1, 2))
            quantizer.build((3, 3, 2, 4))
            found += [("weights", name)] if quantizer.has_procedure else []
        if method.activations is not None:
            quantizer = method.activations.build(name="quantizer")
            found += [("activations", name)] if quantizer.has_procedure else []
    return found


def load_samples() -> tuple[np.ndarray, np.ndarray]:
    digits = load_digits()
    x = (digits.images[:SAMPLES, ..., None] / 16.0).astype(np.float32)
    return x, digits.target[:SAMPLES]


def quantized_network(role: str, name: str) -> keras.Model:
    """A compiled network of three layers, the middle one with the method; always the same."""
    keras.utils.set_random_seed(3)
    image = keras.Input((8, 8, 1))
    x = L.Conv2D(8, 3, strides=2, use_bias=False)(image)
    x = L.BatchNormalization(momentum=0.9)(x)
    x = x if role == "activations" else L.ReLU()(x)
    x = L.Conv2D(8, 2, use_bias=False, name="middle")(x)
    x = L.ReLU()(L.BatchNormalization(momentum=0.9)(x))
    model = keras.Model(image, L.Dense(10)(L.Flatten()(x)))
    recipe = {"layers": {"middle": {role: name}}, "input": {"range": [0.0, 1.0]}}
    quantized = tinyq.quantize(model, recipe)
    compile_model(quantized)
    return quantized


def compile_model(model: keras.Model) -> None:
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(3e-3), loss)


def train_by_hand(model: keras.Model, epochs: int = EPOCHS) -> None:
    """What ``fit`` without shuffling does: a stage begins where its share of the steps does."""
    x, y = load_samples()
    steps = epochs * SAMPLES // BATCH
    reached = -1
    for step in range(steps):
        stage = step * STAGES // steps
        if stage != reached:
            reached = stage
            advance(model, stage / (STAGES - 1))
        first = step % (SAMPLES // BATCH) * BATCH
        model.train_on_batch(x[first : first + BATCH], y[first : first + BATCH])


def codes_of(model: keras.Model) -> list[np.ndarray]:
    return [layer.weight_codes() for layer in model.layers if hasattr(layer, "weight_codes")]
