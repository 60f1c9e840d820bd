"""Gestures from an accelerometer's raw samples to a streaming firmware: motion made with NumPy.

    python examples/motion.py

A sensor that is held in any position rests, walks, is swung in circles or shaken; gravity and noise
lie over it. The network begins with statistics of frames (mean, root of the mean square, lowest and
highest sample, changes of sign, peaks of each axis), which the device computes from int16 samples
as training did. It is trained on windows of three seconds; the firmware is a step that takes the
samples of a third of a second and keeps what it needs of those before, exactly.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import keras
import numpy as np
import typer
from keras import layers

import tinyq

BOARD = "stm32"
RATE, AXES = 50, 3  # samples a second of an axis
HOP, FRAME = 16, 32  # samples from frame to frame, of a frame
FRAMES = 8
WINDOW = FRAME + (FRAMES - 1) * HOP
STEPS = WINDOW // HOP
CLASSES = ("rest", "walk", "circle", "shake")
GRAVITY = 8192  # codes: a sensor of 16 bits for 4 g
FLOAT = {"weights": "int8", "activations": "int8", "input": {"range": [-32768.0, 32767.0]}}


def make_motion(rng: np.random.Generator, kind: int, samples: int = WINDOW) -> np.ndarray:
    """Acceleration of three axes as int16, shape (samples, ``AXES``)."""
    time = np.arange(samples) / RATE + rng.uniform(0, 10)
    down = rng.normal(size=AXES)
    move = np.zeros((samples, AXES))
    strength = rng.uniform(0.7, 1.3)
    if CLASSES[kind] == "walk":
        pace = 2 * np.pi * rng.uniform(1.6, 2.2)
        move[:, 2] = 0.3 * np.sin(pace * time) + 0.15 * np.sin(2 * pace * time)
        move[:, 0] = 0.1 * np.sin(pace / 2 * time)
    if CLASSES[kind] == "circle":
        turn = 2 * np.pi * rng.uniform(0.8, 1.4)
        move[:, 0], move[:, 1] = 0.8 * np.cos(turn * time), 0.8 * np.sin(turn * time)
    if CLASSES[kind] == "shake":
        swing = np.sin(2 * np.pi * rng.uniform(4, 7) * time)
        move += np.outer(swing, rng.normal(size=AXES))
    noise = rng.normal(0, 0.02, (samples, AXES))
    total = down / np.linalg.norm(down) + strength * move + noise
    return np.clip(np.rint(GRAVITY * total), -32768, 32767).astype(np.int16)


def draw_motions(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Windows, int16 (count, ``WINDOW``, ``AXES``), and what each is."""
    rng = np.random.default_rng(seed)
    kinds = np.arange(count) % len(CLASSES)
    return np.stack([make_motion(rng, int(kind)) for kind in kinds]), kinds


def make_network() -> keras.Model:
    """Statistics, two convolutions along time, and their mean over the window."""
    front_end = keras.saving.get_registered_object("tinyq>FrontEnd")
    frame, hop = (1000 * count / RATE for count in (FRAME, HOP))
    samples = keras.Input((WINDOW, AXES), name="samples")
    x = front_end("statistics", window_ms=frame, hop_ms=hop, name="statistics")(samples)
    x = layers.Reshape((FRAMES, 1, x.shape[-1]), name="frames")(x)
    for number in (1, 2):
        x = layers.Conv2D(16, (3, 1), use_bias=False, name=f"conv_{number}")(x)
        x = layers.BatchNormalization(momentum=0.8, name=f"norm_{number}")(x)
        x = layers.ReLU(name=f"relu_{number}")(x)
    x = layers.GlobalAveragePooling2D(name="mean")(x)
    return keras.Model(samples, layers.Dense(len(CLASSES), name="kind")(x), name="motion")


def train(model: keras.Model, motions: np.ndarray, kinds: np.ndarray, epochs: int) -> None:
    """Train with a rate that falls to zero."""
    steps = epochs * -(-len(motions) // 32)
    model.compile(
        keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(5e-3, steps)),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    model.fit(motions.astype(np.float32), kinds, batch_size=32, epochs=epochs, verbose=2)


def main(
    output: Annotated[Path, typer.Option("-o", "--output")] = Path("build/motion"),
    target: str = "qemu",
    epochs: Annotated[int, typer.Option(help="Of the float model and of training on.")] = 5,
    train_samples: int = 512,
    samples: Annotated[int, typer.Option(help="Windows for the device.")] = 40,
) -> None:
    """Train, quantize, build a step, measure it."""
    keras.utils.set_random_seed(0)
    seen = draw_motions(train_samples, 1)
    model = make_network()
    train(model, *seen, epochs)
    quantized = tinyq.quantize(model, FLOAT)
    train(quantized, *seen, epochs)
    built = tinyq.build(quantized, BOARD, output / "firmware", stream=f"time=0,step={HOP}")
    print(built)
    motions, kinds = draw_motions(samples, 2)
    steps = motions.astype(np.float32).reshape(samples, STEPS, HOP, AXES)
    print(tinyq.measure(built, (steps, kinds), target, report=output))
    window = quantized.predict(motions.astype(np.float32), verbose=0)
    print(f"accuracy of the windows in Keras: {(window.argmax(axis=1) == kinds).mean():.1%}")


if __name__ == "__main__":
    try:
        typer.run(main)
    except tinyq.TinyqError as error:
        sys.exit(error.render())
