"""A small network, and what each named method of search makes of it on the emulated STM32."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np

import tinyq
from tinyq.exploration.allocators import find_allocator
from tinyq.graph.reference import dequantize, quantize_input, run
from tinyq.quantizers.catalogue import load_catalogue
from tinyq.support.datasets import make_dataset
from tinyq.training.lowering.network import import_keras

L = keras.layers
PAIRS = ["int8", *({"weights": name, "activations": "int8"} for name in ("int4", "ternary"))]
SPACE = {"layers": {"*": PAIRS, "first": PAIRS[:2], "last": PAIRS[:2]}}
"""For methods that bring no space of their own."""
BOARD, SAMPLES, COMPARED = "stm32", 192, 32
SEARCHES: Mapping[str, Mapping[str, Any]] = {
    name: said for row in load_catalogue().values() for name, said in row.searches.items()
}


def draw_stripes(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Images of stripes in three directions under noise, and which of them it is."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 3, SAMPLES)
    across, down = np.meshgrid(np.arange(8), np.arange(8))
    phase = np.stack([across, down, across + down])[labels] + rng.integers(0, 4, (SAMPLES, 1, 1))
    images = 0.5 + 0.4 * np.sin(phase * np.pi / 2) + rng.normal(0, 0.15, phase.shape)
    return np.clip(images, 0, 1)[..., None].astype(np.float32), labels.astype(np.int32)


def train_small(x: np.ndarray, y: np.ndarray) -> keras.Model:
    """A float network of four layers with weights, three of which channels can leave."""
    keras.utils.set_random_seed(0)
    start = keras.Input((8, 8, 1), name="image")
    hidden = start
    for name, filters, size, stride in (("stem", 8, 3, 2), ("wide", 16, 3, 1), ("mix", 16, 1, 1)):
        layer = L.Conv2D(filters, size, stride, padding="same", use_bias=False, name=name)
        hidden = L.ReLU(name=f"{name}_relu")(
            L.BatchNormalization(name=f"{name}_norm")(layer(hidden))
        )
    pooled = L.GlobalAveragePooling2D(name="pool")(hidden)
    model = keras.Model(start, L.Dense(3, name="answer")(pooled), name="stripes")
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(1e-2), loss)
    model.fit(x, y, batch_size=32, epochs=12, verbose=0)
    return model


def search_and_measure(
    name: str, model: keras.Model, data: tuple[np.ndarray, np.ndarray], folder: Path, trials: int
) -> dict[str, Any]:
    """A search by a named method, its best trial's firmware, and what that firmware answers.

    Trials train for one epoch. ``differ`` counts codes of the device that the reference does not
    have, ``keras`` outputs of Keras that the reference does not have.
    """
    proxy = "reconstruct" if SEARCHES[name].get("proxy") == "reconstruct" else "train:1"
    found = tinyq.search(
        model,
        data,
        BOARD,
        folder,
        val=data,
        method=name,
        space=SEARCHES[name].get("space", SPACE),
        proxy=proxy,
        trials=trials,
        samples=64,
    ).found
    numbers = [it.number for it in found.trials if any(it.assignment)] or [found.trials[0].number]
    # One that differs from the base, so that what the method proposes is what is built.
    best = max(
        (it for it in found.trials if it.number in numbers), key=lambda it: (it.score, -it.loss)
    )
    trained = keras.saving.load_model(found.models[best.number], compile=False)
    built = tinyq.build(trained, BOARD, folder / "firmware")
    measured = tinyq.measure(built, make_dataset(data[0][:COMPARED], data[1][:COMPARED]))
    pairs = found.table.space.pairs(best.assignment)
    counted = measured.instructions
    assert counted is not None
    return {
        "allocator": found.wish.allocator.name,
        "sensitivity": found.wish.sensitivity,
        "trials": len(found.trials),
        "failed": len(found.failures),
        "refused": len(found.refused),
        "methods": {layer: pair.label for layer, pair in pairs.items()},
        "score": best.score,
        "float_score": found.float_score,
        "flash_bytes": built.flash_bytes,
        "ram_bytes": built.ram_bytes,
        "instructions": counted,
        "foreseen": best.costs.instructions,
        "differ": measured.mismatches,
        "keras": _count_differences(trained, data[0][:COMPARED]),
    }


def count_trials(name: str) -> int:
    """Trials after which a method has shown what it does: more where trials teach it."""
    allocator = find_allocator(SEARCHES[name].get("allocator", "ilp"))
    return 2 if allocator.knows_before else 8


def _count_differences(model: keras.Model, x: np.ndarray) -> int:
    graph = import_keras(model)
    codes = run(graph, quantize_input(x, graph.input.type))
    real = dequantize(codes.reshape(-1, *graph.output.type.shape), graph.output.type)
    wanted = model.predict(x, verbose=0)
    return int(np.sum(np.asarray(real, np.float32).reshape(wanted.shape) != wanted))
