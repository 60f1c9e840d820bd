"""Loss of accuracy by few bits on small networks, with default settings and plain fit.

    python benchmarks/few_bits.py DATA.npz --seeds 5        write results/few_bits.json and .md

DATA is Fashion-MNIST as one .npz with x_train, y_train, x_test and y_test. Each seed trains a float
network on 5,000 shuffled images for 3 epochs, quantizes it by each recipe, and trains that for 3
epochs more by plain ``compile`` and ``fit``. The float network that losses are told against trains
for 3 epochs more, too, and its BatchNorm is settled as ``fit`` of a quantized one does. All 10,000
test images judge. What was finished before is read from the results.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import keras
import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import tinyq  # noqa: E402
from tinyq.support.documents import read_document, write_document  # noqa: E402

L = keras.layers
RESULTS = Path(__file__).parent / "results"
TRAINED, EPOCHS, RATE = 5_000, 3, 3e-3
BATCH = 32
RECIPES: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {
        "int8": {},
        "4 bits": {"weights": "lsq4", "activations": "lsq4"},
        "4 bits, offset": {"weights": "lsq4", "activations": "lsq_plus4"},
        "ternary weights": {"weights": "ternary"},
    }
)


def _normed(x: Any, layer: Any, relu: bool = True) -> Any:
    x = L.BatchNormalization()(layer(x))
    return L.ReLU()(x) if relu else x


def build_residual() -> keras.Model:
    """A small residual network: three blocks of two convolutions."""
    image = keras.Input((28, 28, 1), name="image")
    x = _normed(image, L.Conv2D(12, 3, 2, padding="same", use_bias=False, name="stem"))
    for number, (filters, stride) in enumerate(((12, 1), (16, 2), (24, 2))):
        name = f"block{number}"
        y = _normed(x, L.Conv2D(filters, 3, stride, "same", use_bias=False, name=f"{name}_a"))
        y = _normed(y, L.Conv2D(filters, 3, 1, "same", use_bias=False, name=f"{name}_b"), False)
        if stride > 1:
            short = L.Conv2D(filters, 1, stride, use_bias=False, name=f"{name}_short")
            x = _normed(x, short, False)
        x = L.ReLU(name=f"{name}_relu")(L.Add(name=f"{name}_sum")([x, y]))
    x = L.GlobalAveragePooling2D()(x)
    return keras.Model(image, L.Dense(10, name="logits")(x), name="residual")


def build_depthwise() -> keras.Model:
    """A small network of inverted residuals: depthwise convolutions and linear bottlenecks."""
    image = keras.Input((28, 28, 1), name="image")
    x = _normed(image, L.Conv2D(12, 3, 2, padding="same", use_bias=False, name="stem"))
    for number, (filters, stride) in enumerate(((12, 1), (16, 2), (16, 1), (24, 2))):
        name, width = f"block{number}", 3 * x.shape[-1]
        y = _normed(x, L.Conv2D(width, 1, use_bias=False, name=f"{name}_wide"))
        deep = L.DepthwiseConv2D(3, stride, "same", use_bias=False, name=f"{name}_deep")
        y = _normed(_normed(y, deep), L.Conv2D(filters, 1, use_bias=False, name=name), False)
        x = L.Add(name=f"{name}_sum")([x, y]) if x.shape == y.shape else y
    x = L.GlobalAveragePooling2D()(_normed(x, L.Conv2D(64, 1, use_bias=False, name="last")))
    return keras.Model(image, L.Dense(10, name="logits")(x), name="depthwise")


NETWORKS: Mapping[str, Callable[[], keras.Model]] = MappingProxyType(
    {"residual": build_residual, "depthwise": build_depthwise}
)


def train(model: keras.Model, x: np.ndarray, y: np.ndarray) -> None:
    """Plain compile and fit: Adam, the rate falls to 0 along a cosine."""
    steps = EPOCHS * -(-len(x) // BATCH)
    rate = keras.optimizers.schedules.CosineDecay(RATE, steps)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(rate), loss)
    model.fit(x, y, batch_size=BATCH, epochs=EPOCHS, verbose=0)


def score(model: keras.Model, x: np.ndarray, y: np.ndarray) -> float:
    """Per cent of right answers."""
    answers = model.predict(x, batch_size=500, verbose=0).argmax(axis=-1)
    return float((answers == y).mean() * 100.0)


def run(
    network: str,
    seed: int,
    data: Mapping[str, np.ndarray],
    found: dict[str, float],
    keep: Callable[[], None],
) -> None:
    """Accuracy of the float network and by each recipe, as far as they are not found yet."""
    if {"float", *RECIPES} <= found.keys():
        return
    keras.utils.set_random_seed(seed)
    order = np.random.default_rng(seed).permutation(len(data["x_train"]))[:TRAINED]
    x, y = _images(data["x_train"][order]), data["y_train"][order].astype(np.int32)
    model = NETWORKS[network]()
    train(model, x, y)
    for name in ("float", *RECIPES):
        if name in found:
            continue
        keras.utils.set_random_seed(seed)
        if name == "float":
            again = keras.models.clone_model(model)
            again.set_weights(model.get_weights())
        else:
            again = tinyq.quantize(model, {**RECIPES[name], "input": {"range": [0.0, 1.0]}})
        train(again, x, y)
        if name == "float":
            tinyq.settle(again, x)
        found[name] = score(again, _images(data["x_test"]), data["y_test"])
        print(f"{network}, seed {seed}, {name}: {found[name]:.2f}", flush=True)
        keep()


def _images(values: np.ndarray) -> np.ndarray:
    return values.reshape(-1, 28, 28, 1).astype(np.float32) / np.float32(255.0)


def tabulate(runs: Mapping[str, Mapping[str, Mapping[str, float]]]) -> str:
    """The table for people: mean loss against float of the same seed, and its standard error."""
    lines = [
        "# Few bits on small networks",
        "",
        "Per cent of Fashion-MNIST's 10,000 test images; loss in points against the float network",
        "of the same seed, mean and standard error over seeds:",
        "`python benchmarks/few_bits.py DATA`.",
        "",
        "| network | seeds | float | " + " | ".join(f"{name}, loss" for name in RECIPES) + " |",
        "|--|--:|--:|" + "--:|" * len(RECIPES),
    ]
    for network, seeds in runs.items():
        whole = [seed for seed in seeds.values() if {"float", *RECIPES} <= seed.keys()]
        if not whole:
            continue
        cells = [network, str(len(whole)), f"{_mean([seed['float'] for seed in whole]):.2f}"]
        for name in RECIPES:
            losses = [seed["float"] - seed[name] for seed in whole]
            spread = np.std(losses, ddof=1) / len(losses) ** 0.5 if len(losses) > 1 else None
            cells.append(f"{_mean(losses):.2f}" + ("" if spread is None else f" ± {spread:.2f}"))
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def _mean(values: list[float]) -> float:
    return float(np.mean(values))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("data", type=Path)
    parser.add_argument("--seeds", type=int, default=5)
    options = parser.parse_args()
    data = dict(np.load(options.data))
    path = RESULTS / "few_bits.json"
    found = read_document(path, "benchmark", "remove it") if path.exists() else {}
    known = found.get("runs", {})
    runs: dict[str, dict[str, dict[str, float]]] = {name: known.get(name, {}) for name in NETWORKS}

    def keep() -> None:
        write_document(path, "benchmark", {"runs": runs}, indent=1)
        (RESULTS / "few_bits.md").write_text(tabulate(runs), "utf-8")

    for seed in range(options.seeds):
        for network, done in runs.items():
            run(network, seed, data, done.setdefault(str(seed), {}), keep)


if __name__ == "__main__":
    main()
