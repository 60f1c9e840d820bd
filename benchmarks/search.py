"""The user with a board: which bits fit 64 KB of flash, 16 KB of RAM and 2 M cycles?

    python benchmarks/search.py DATA.npz --seeds 3        write results/search.json and .md

DATA is Fashion-MNIST as one .npz with x_train, y_train, x_test and y_test. Each seed trains a float
residual network on 5,000 shuffled images for 3 epochs. What a person would try stands beside what
one command of ``tinyq search`` proposes: single formats for all layers, each trained for 3 epochs
more by plain ``compile`` and ``fit``. All 10,000 test images judge, which no search has seen; flash
and RAM are those of the linked firmware, instructions are counted in the emulator, cycles are
estimated from those counts. What was finished before is read from the results.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import keras
import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "benchmarks")]

from few_bits import TRAINED, _images, build_residual, score, train  # noqa: E402

import tinyq  # noqa: E402
from tinyq.support.documents import read_document, write_document  # noqa: E402

RESULTS = Path(__file__).parent / "results"
BOARD = "stm32"
FLASH, RAM, CYCLES = "64K", "16K", "2M"
LIMITS: Mapping[str, int] = MappingProxyType(
    {"flash_bytes": 65_536, "ram_bytes": 16_384, "cycles": 2_000_000}
)
JUDGED = 1_000  # training images that judge trials
PROXY, TRIALS = "train:3", 3
SPACE: Mapping[str, Any] = MappingProxyType(
    {
        "layers": {
            "*": [
                "int8",
                {"weights": "lsq4", "activations": "int8"},
                {"weights": "ternary", "activations": "int8"},
                {"weights": "lsq4", "activations": "uint4"},
            ],
            "first": ["int8", {"weights": "lsq4", "activations": "int8"}],
        }
    }
)
SINGLE: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {
        "int8": {},
        "4-bit weights": {"weights": "lsq4", "activations": "int8"},
        "4 bits": {"weights": "lsq4", "activations": "uint4", "first": "int8"},
        "ternary weights": {"weights": "ternary", "activations": "int8"},
    }
)


@dataclass(frozen=True)
class Samples:
    """Images and labels of one seed."""

    learned: tuple[np.ndarray, np.ndarray]
    judged: tuple[np.ndarray, np.ndarray]
    test: tuple[np.ndarray, np.ndarray]


def draw(data: Mapping[str, np.ndarray], seed: int) -> Samples:
    """Images to train on, others that judge a search, and the test images."""
    order = np.random.default_rng(seed).permutation(len(data["x_train"]))[: TRAINED + JUDGED]
    x, y = _images(data["x_train"][order]), data["y_train"][order].astype(np.int32)
    test = _images(data["x_test"]), data["y_test"].astype(np.int32)
    return Samples((x[:TRAINED], y[:TRAINED]), (x[TRAINED:], y[TRAINED:]), test)


def measure(model: keras.Model, samples: Samples, folder: Path) -> dict[str, Any]:
    """Accuracy by all test images; flash, RAM, instructions and cycles of the firmware."""
    built = tinyq.build(model, BOARD, folder)
    counted = tinyq.profile(built)
    return {
        "accuracy": score(model, *samples.test),
        "flash_bytes": built.flash_bytes,
        "ram_bytes": built.ram_bytes,
        "instructions": counted.instructions,
        "cycles": counted.cycles,
    }


def run_seed(
    seed: int,
    samples: Samples,
    work: Path,
    found: dict[str, Any],
    keep: Callable[[], None],
) -> None:
    """The float network, the search, and each single format, as far as they are missing."""
    keras.utils.set_random_seed(seed)
    file = work / f"float-{seed}.keras"
    if not file.exists():
        model = build_residual()
        train(model, *samples.learned)
        model.save(file)
    model = keras.saving.load_model(file)
    if "float" not in found:
        found["float"] = {"accuracy": score(model, *samples.test)}
        keep()
    if "search" not in found:
        found["search"] = search(model, samples, work / f"front-{seed}")
        keep()
    for name, recipe in SINGLE.items():
        if name in found:
            continue
        keras.utils.set_random_seed(seed)
        quantized = tinyq.quantize(model, {**recipe, "input": {"range": [0.0, 1.0]}})
        train(quantized, *samples.learned)
        found[name] = measure(quantized, samples, work / f"{name}-{seed}".replace(" ", "_"))
        print(f"seed {seed}, {name}: {found[name]}", flush=True)
        keep()


def search(model: keras.Model, samples: Samples, folder: Path) -> dict[str, Any]:
    """The one command, and what its recipe is on the test images."""
    answer = tinyq.search(
        model,
        samples.learned,
        BOARD,
        folder,
        val=samples.judged,
        flash=FLASH,
        ram=RAM,
        cycles=CYCLES,
        space=SPACE,
        samples=256,
        proxy=PROXY,
        trials=TRIALS,
    )
    best = answer.found.best
    assert best is not None
    print(answer, flush=True)
    trained = keras.saving.load_model(answer.found.models[best.number])
    row = measure(trained, samples, folder / "firmware")
    pairs = answer.found.table.space.pairs(best.assignment)
    row["methods"] = {layer: pair.label for layer, pair in pairs.items()}
    row["foreseen"] = {name: best.costs[name] for name in (*LIMITS, "instructions")}
    row["trials"] = len(answer.found.trials)
    return row


def tabulate(seeds: Mapping[str, Mapping[str, Any]]) -> str:
    """The table for people: means over seeds, and which budget each recipe breaks."""
    whole = [it for it in seeds.values() if {"float", "search", *SINGLE} <= it.keys()]
    lines = [
        "# The bits of each layer for a board's budget",
        "",
        f"A residual network on Fashion-MNIST, {BOARD}: at most {FLASH} of flash, {RAM} of RAM and",
        f"{CYCLES} cycles of an inference, estimated from counts. Means over {len(whole)} seeds;",
        "per cent of the 10,000 test images. `python benchmarks/search.py DATA`.",
        "",
        "| recipe | accuracy % | flash B | RAM B | instructions | cycles, estimated | too much |",
        "|--|--:|--:|--:|--:|--:|--|",
    ]
    for name in ("search", *SINGLE):
        rows = [seed[name] for seed in whole]
        if rows:
            lines.append(f"| {name} | " + " | ".join(_list_cells(rows)) + " |")
    if whole:
        mean = float(np.mean([seed["float"]["accuracy"] for seed in whole]))
        lines += ["", f"The float network: {mean:.2f} %."]
        lines += ["", "| seed | methods of the layers that the search chose |", "|--|--|"]
        lines += [
            f"| {number} | {' '.join(it['search']['methods'].values())} |"
            for number, it in seeds.items()
            if "search" in it
        ]
    return "\n".join(lines) + "\n"


def _list_cells(rows: list[Mapping[str, Any]]) -> list[str]:
    names = ("flash_bytes", "ram_bytes", "instructions", "cycles")
    over = {
        name: max(row[name] - most for row in rows)
        for name, most in LIMITS.items()
        if any(row[name] > most for row in rows)
    }
    excess = ", ".join(f"{name.partition('_')[0]} by {much:,}" for name, much in over.items())
    return [
        f"{np.mean([row['accuracy'] for row in rows]):.2f}",
        *(f"{max(row[name] for row in rows):,}" for name in names),
        excess or "nothing",
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("data", type=Path)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--work", type=Path, default=ROOT / "build/search")
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    data = dict(np.load(options.data))
    path = RESULTS / "search.json"
    seeds = read_document(path, "benchmark", "remove it")["seeds"] if path.exists() else {}

    def keep() -> None:
        write_document(path, "benchmark", {"seeds": seeds}, indent=1)
        (RESULTS / "search.md").write_text(tabulate(seeds), "utf-8")

    for seed in range(options.seeds):
        known = seeds.setdefault(str(seed), {})
        run_seed(seed, draw(data, seed), options.work, known, keep)


if __name__ == "__main__":
    main()
