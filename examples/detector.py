"""A detector with two inputs and three outputs, from Keras to the emulated STM32.

    python examples/detector.py

A small network looks for one bright shape in a noisy image. Beside the image it is given a map of
where the shape may be, and it tells the class of the shape, its box, and a coarse map of where it
is. It is trained, quantized, trained on, built for the board and measured there from an .npz file
whose arrays have the names of inputs and outputs: x_image, x_allowed, y_shape, y_box, y_heat.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import keras
import numpy as np
import typer
from keras import layers

import tinyq

BOARD = "stm32"
SIZE, CELLS = 16, 4
SHAPES = ("square", "cross", "diagonal")
RECIPE = {"weights": "int4", "activations": "int8", "first": "int8", "last": "int8"}

Arrays = Mapping[str, np.ndarray]


def draw_samples(count: int, seed: int) -> tuple[Arrays, Arrays]:
    """Inputs and answers by name.

    Two shapes stand in each image, and the map of allowed places says which of them is meant.
    """
    rng = np.random.default_rng(seed)
    image = rng.normal(0.0, 0.15, (count, SIZE, SIZE)).astype(np.float32)
    allowed = np.zeros((count, SIZE, SIZE), np.float32)
    shape, box = np.zeros(count, np.int64), np.zeros((count, 4), np.float32)
    heat = np.zeros((count, CELLS, CELLS), np.float32)
    half = SIZE // 2
    for index in range(count):
        sides = rng.permutation(2)
        for meant, side in zip((True, False), sides, strict=True):
            kind, size = int(rng.integers(len(SHAPES))), int(rng.integers(4, 7))
            top = int(rng.integers(0, SIZE - size + 1))
            left = side * half + int(rng.integers(0, half - size + 1))
            image[index, top : top + size, left : left + size] += _stamp(kind, size)
            if meant:
                shape[index] = kind
                allowed[index, :, side * half : (side + 1) * half] = 1.0
                middle = (top + size / 2, left + size / 2)
                box[index] = (*middle, size, size)
                cell = [int(place * CELLS // SIZE) for place in middle]
                heat[index, cell[0], cell[1]] = 1.0
    inputs = {"image": image[..., None], "allowed": allowed[..., None]}
    return inputs, {"shape": shape, "box": box / SIZE, "heat": heat[..., None]}


def _stamp(kind: int, size: int) -> np.ndarray:
    """Pixels of a shape: the border of a square, a cross, or a diagonal."""
    rows, columns = np.indices((size, size))
    edge = (rows % (size - 1) == 0) | (columns % (size - 1) == 0)
    cross = (rows == size // 2) | (columns == size // 2)
    return np.stack([edge, cross, rows == columns])[kind].astype(np.float32)


def make_network() -> keras.Model:
    """A float network: image and map of allowed places in, class, box and map of the place out."""
    image = keras.Input((SIZE, SIZE, 1), name="image")
    allowed = keras.Input((SIZE, SIZE, 1), name="allowed")
    x = layers.Concatenate(name="both")([image, allowed])
    for number, filters in enumerate((16, 24, 32), start=1):
        x = layers.Conv2D(filters, 3, padding="same", use_bias=False, name=f"conv_{number}")(x)
        x = layers.BatchNormalization(momentum=0.9, name=f"norm_{number}")(x)
        x = layers.ReLU(name=f"relu_{number}")(x)
        if number < 3:
            x = layers.MaxPooling2D(name=f"pool_{number}")(x)
    heat = layers.Conv2D(1, 1, activation="sigmoid", name="heat")(x)
    flat = layers.Flatten(name="flatten")(x)
    shape = layers.Dense(len(SHAPES), name="shape")(flat)
    box = layers.Dense(4, name="box")(flat)
    return keras.Model(
        [image, allowed], {"shape": shape, "box": box, "heat": heat}, name="detector"
    )


def train(model: keras.Model, samples: tuple[Arrays, Arrays], epochs: int) -> None:
    """Train with a rate that falls to zero: few bits need that."""
    inputs, answers = samples
    steps = epochs * -(-len(inputs["image"]) // 32)
    model.compile(
        keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(3e-3, steps)),
        loss={
            "shape": keras.losses.SparseCategoricalCrossentropy(from_logits=True),
            "box": "mean_squared_error",
            "heat": "binary_crossentropy",
        },
        loss_weights={"shape": 1.0, "box": 10.0, "heat": 1.0},
    )
    model.fit(dict(inputs), dict(answers), batch_size=32, epochs=epochs, verbose=2)


def save_samples(samples: tuple[Arrays, Arrays], path: Path) -> None:
    """An .npz file with x_NAME for each input and y_NAME for each output."""
    inputs, answers = samples
    arrays = {f"x_{name}": values for name, values in inputs.items()}
    arrays |= {f"y_{name}": values for name, values in answers.items()}
    np.savez_compressed(path, **arrays)


def main(
    output: Annotated[Path, typer.Option("-o", "--output")] = Path("build/detector"),
    target: str = "qemu",
    epochs: Annotated[int, typer.Option(help="Of the float model and of training on.")] = 12,
    train_samples: int = 3000,
    samples: Annotated[int, typer.Option(help="Test images for the device.")] = 200,
) -> None:
    """Train, quantize, build, measure."""
    keras.utils.set_random_seed(0)
    seen, test = draw_samples(train_samples, 1), draw_samples(samples, 2)
    model = make_network()
    train(model, seen, epochs)
    quantized = tinyq.quantize(model, RECIPE)
    train(quantized, seen, epochs)
    built = tinyq.build(quantized, BOARD, output / "firmware")
    save_samples(test, output / "test.npz")
    print(tinyq.measure(built, output / "test.npz", target, report=output))


if __name__ == "__main__":
    try:
        typer.run(main)
    except tinyq.TinyqError as error:
        sys.exit(error.render())
