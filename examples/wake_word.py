"""A wake word from raw samples to a streaming firmware: sound made with NumPy, no download.

    python examples/wake_word.py

The word is two rising syllables; beside it there are falling ones, single ones, hums and noise. The
network begins with a front end, which computes the device's features from int16 samples in training
already, and ends in a sum over the window. It is trained on windows of a second; the firmware is a
step that takes the samples of 20 ms and keeps what it needs of those before, exactly.
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
RATE, HOP, FRAME = 16_000, 320, 480  # samples of a second, from frame to frame, of a frame
FRAMES, FEATURES = 49, 40
WINDOW = FRAME + (FRAMES - 1) * HOP
STEPS = 50  # the fewest that bring a whole window
LEFT_OUT = STEPS * HOP - WINDOW  # samples before the first frame of a step that is whole
FLOAT = {"weights": "int8", "activations": "int8", "input": {"range": [-32768.0, 32767.0]}}


def make_syllable(rng: np.random.Generator, first_hz: float, last_hz: float) -> np.ndarray:
    """A glide with two overtones, 0.2 s or so, that swells and fades."""
    time = np.arange(int(RATE * rng.uniform(0.16, 0.24))) / RATE
    pitch = np.linspace(first_hz, last_hz, len(time)) * rng.uniform(0.9, 1.1)
    phase = 2 * np.pi * np.cumsum(pitch) / RATE
    voice = sum(np.sin(phase * harmonic) / harmonic for harmonic in (1, 2, 3))
    return np.asarray(voice * np.sin(np.pi * np.linspace(0, 1, len(time))))


def make_sound(rng: np.random.Generator, word: bool) -> np.ndarray:
    """``STEPS`` hops of sound as int16, with the word or with something else."""
    sound = rng.normal(0.0, rng.uniform(0.002, 0.02), STEPS * HOP)
    glides = [(300, 900), (300, 900)] if word else OTHERS[rng.integers(len(OTHERS))]
    place = int(rng.uniform(0.1, 0.3) * RATE)
    for first, last in glides:
        syllable = rng.uniform(0.1, 0.4) * make_syllable(rng, first, last)
        sound[place : place + len(syllable)] += syllable
        place += len(syllable) + int(rng.uniform(0.03, 0.08) * RATE)
    return np.clip(np.rint(sound * 32767), -32768, 32767).astype(np.int16)


OTHERS = (
    [],
    [(300, 900)],
    [(900, 300)],
    [(900, 300), (900, 300)],
    [(300, 900), (900, 300)],
    [(500, 500), (500, 500)],
)


def draw_sounds(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Sounds, int16 (count, samples), of which every other one is the word, and which are."""
    rng = np.random.default_rng(seed)
    words = np.arange(count) % 2
    return np.stack([make_sound(rng, bool(word)) for word in words]), words


def make_network() -> keras.Model:
    """Features, then columns and pixels in turn, and their mean over the window."""
    front_end = keras.saving.get_registered_object("tinyq>FrontEnd")
    samples = keras.Input((WINDOW,), name="samples")
    x = front_end("micro", hop_ms=1000 * HOP / RATE, name="features")(samples)
    x = layers.Reshape((FRAMES, 1, FEATURES), name="frames")(x)
    for number, taps in enumerate((3, 5, 9), start=1):
        x = layers.DepthwiseConv2D((taps, 1), name=f"column_{number}")(x)
        x = layers.Conv2D(32, 1, use_bias=False, name=f"pixel_{number}")(x)
        x = layers.BatchNormalization(momentum=0.8, name=f"norm_{number}")(x)
        x = layers.ReLU(name=f"relu_{number}")(x)
    x = layers.GlobalAveragePooling2D(name="mean")(x)
    return keras.Model(samples, layers.Dense(2, name="word")(x), name="wake_word")


def train(model: keras.Model, sounds: np.ndarray, words: np.ndarray, epochs: int) -> None:
    """Train with a rate that falls to zero."""
    steps = epochs * -(-len(sounds) // 32)
    model.compile(
        keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(5e-3, steps)),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    windows = sounds[:, LEFT_OUT:].astype(np.float32)
    model.fit(windows, words, batch_size=32, epochs=epochs, verbose=2)


def main(
    output: Annotated[Path, typer.Option("-o", "--output")] = Path("build/wake_word"),
    target: str = "qemu",
    epochs: Annotated[int, typer.Option(help="Of the float model and of training on.")] = 5,
    train_samples: int = 512,
    samples: Annotated[int, typer.Option(help="Sounds of a second for the device.")] = 40,
) -> None:
    """Train, quantize, build a step, measure it."""
    keras.utils.set_random_seed(0)
    seen = draw_sounds(train_samples, 1)
    model = make_network()
    train(model, *seen, epochs)
    quantized = tinyq.quantize(model, FLOAT)
    train(quantized, *seen, epochs)
    built = tinyq.build(quantized, BOARD, output / "firmware", stream=f"time=0,step={HOP}")
    print(built)
    sounds, words = draw_sounds(samples, 2)
    steps = sounds.astype(np.float32).reshape(samples, STEPS, HOP)
    print(tinyq.measure(built, (steps, words), target, report=output))
    window = quantized.predict(sounds[:, LEFT_OUT:].astype(np.float32), verbose=0)
    print(f"accuracy of the windows in Keras: {(window.argmax(axis=1) == words).mean():.1%}")


if __name__ == "__main__":
    try:
        typer.run(main)
    except tinyq.TinyqError as error:
        sys.exit(error.render())
