"""Fashion-MNIST with four recipes, side by side on the emulated STM32.

    python examples/fashion_mnist.py                          # data by keras.datasets (downloads)
    python examples/fashion_mnist.py --data fashion_mnist.npz # x_train y_train x_test y_test

Trains one float network, then trains it on once per recipe, builds each for the board and lets the
device answer some test images. Writes results.json, one report per recipe, and one page that
compares them.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import keras
import numpy as np
import typer
from keras import layers

import tinyq

BOARD = "stm32"
_ENDS = {"first": "int8", "last": "int8", "input": {"range": [0.0, 1.0]}}
RECIPES: Mapping[str, Mapping[str, Any]] = {
    "int8": {"weights": "int8", "activations": "int8", **_ENDS},
    "int4 weights": {"weights": "int4", "activations": "int8", **_ENDS},
    "ternary weights": {"weights": "ternary", "activations": "int8", **_ENDS},
    "binary XNOR": {"weights": "binary", "activations": "binary", **_ENDS},
}
_NAMES = ("x_train", "y_train", "x_test", "y_test")
_ROW = "{:16}{:>9}{:>9}{:>9}{:>17}"

Samples = tuple[np.ndarray, np.ndarray]


def load_data(path: Path | None) -> tuple[Samples, Samples]:
    """Train and test images with values 0 .. 1, shape (samples, 28, 28, 1), and labels."""
    if path is None:
        train, test = keras.datasets.fashion_mnist.load_data()
    else:
        x_train, y_train, x_test, y_test = _read(path)
        train, test = (x_train, y_train), (x_test, y_test)
    return _prepare(*train), _prepare(*test)


def _prepare(images: np.ndarray, labels: np.ndarray) -> Samples:
    """Scale to 0 .. 1 and shuffle, because some copies of the data are sorted by class."""
    order = np.random.default_rng(0).permutation(len(images))
    return images[order, ..., None].astype(np.float32) / 255.0, labels[order]


def _read(path: Path) -> list[np.ndarray]:
    try:
        with np.load(path, allow_pickle=False) as archive:
            return [archive[name] for name in _NAMES]
    except (OSError, ValueError, KeyError) as error:
        raise tinyq.TinyqError(
            f"cannot be used ({error})",
            where=str(path),
            remedy=f"give an .npz file with {', '.join(_NAMES)}",
        ) from None


def make_network() -> keras.Model:
    """A float network for 28 x 28 grey images; ten logits."""
    image = keras.Input((28, 28, 1), name="image")
    x = image
    for number, filters in enumerate((16, 32, 32, 32), start=1):
        name = f"conv_{number}"
        x = layers.Conv2D(filters, 3, padding="same", use_bias=False, name=name)(x)
        x = layers.BatchNormalization(momentum=0.9, name=f"{name}_norm")(x)
        x = layers.ReLU(name=f"{name}_relu")(x)
        if number != 3:
            x = layers.MaxPooling2D(name=f"pool_{number}")(x)
    x = layers.Flatten(name="flatten")(x)
    return keras.Model(image, layers.Dense(10, name="logits")(x), name="fashion")


def train(model: keras.Model, samples: Samples, epochs: int) -> None:
    """Train with a rate that falls to zero: few bits need that."""
    rate = keras.optimizers.schedules.CosineDecay(3e-3, epochs * -(-len(samples[0]) // 64))
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(rate), loss, metrics=["accuracy"])
    model.fit(*samples, batch_size=64, epochs=epochs, verbose=2)


def score(model: keras.Model, samples: Samples) -> float:
    """Share of right answers, 0 .. 1."""
    answers = model.predict(samples[0], batch_size=256, verbose=0).argmax(axis=-1)
    return float((answers == samples[1]).mean())


def main(
    data: Annotated[Path | None, typer.Option(help="An .npz file instead of a download.")] = None,
    output: Annotated[Path, typer.Option("-o", "--output")] = Path("build/fashion_mnist"),
    target: str = "qemu",
    samples: Annotated[int, typer.Option(help="Test images for the device.")] = 1000,
    train_samples: Annotated[int, typer.Option(help="Training images.")] = 60000,
    epochs: Annotated[int, typer.Option(help="Of the float model and of each recipe.")] = 4,
) -> None:
    """Compare int8, int4, ternary and binary on Fashion-MNIST."""
    keras.utils.set_random_seed(0)
    (x, y), (x_test, y_test) = load_data(data)
    seen, test = (x[:train_samples], y[:train_samples]), (x_test[:samples], y_test[:samples])
    model = make_network()
    train(model, seen, epochs)
    rows, summary, folders = [], {}, []
    for name, recipe in RECIPES.items():
        print(name, file=sys.stderr)
        quantized = tinyq.quantize(model, recipe)
        train(quantized, seen, epochs)
        folder = output / name.replace(" ", "_")
        built = tinyq.build(quantized, BOARD, folder / "firmware")
        measured = tinyq.measure(built, test, target, report=folder)
        keras_accuracy = score(quantized, test)
        summary[name] = {**measured.to_json(), "keras_accuracy": keras_accuracy}
        rows.append(
            (
                name,
                f"{score(model, test):.2%}",
                f"{keras_accuracy:.2%}",
                f"{measured.accuracy['device']:.2%}",
                f"{measured.mismatches:,}",
            )
        )
        folders.append(folder)
    (output / "results.json").write_text(json.dumps(summary, indent=2) + "\n", "utf-8")
    print(f"Fashion-MNIST, {len(test[0]):,} test images on {BOARD} ({target})")
    for row in [("recipe", "float", "Keras", "device", "differing codes"), *rows]:
        print(_ROW.format(*row))
    print(tinyq.compare(folders, report=output / "compared"))


if __name__ == "__main__":
    try:
        typer.run(main)
    except tinyq.TinyqError as error:
        sys.exit(error.render())
