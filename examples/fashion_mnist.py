"""Fashion-MNIST with four recipes, side by side on the emulated STM32.

    python examples/fashion_mnist.py                          # data by keras.datasets (downloads)
    python examples/fashion_mnist.py --data fashion_mnist.npz # x_train y_train x_test y_test

Trains one float network, then trains it on once per recipe, builds each for the board and lets the
device answer some test images. Writes results.json and one report per recipe.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from tinyq.commands.cli import hush_tensorflow
from tinyq.commands.output import print_table, show_progress
from tinyq.errors import DataError, TinyqError
from tinyq.experiment import Experiment, run_experiment
from tinyq.hardware.boards import find_board
from tinyq.measurement.report import Report, write_report
from tinyq.support.datasets import Dataset, make_dataset
from tinyq.support.quiet import import_quietly

BOARD = "stm32"
_ENDS = {"first": "int8", "last": "int8", "input": {"range": [0.0, 1.0]}}
RECIPES: Mapping[str, Mapping[str, Any]] = {
    "int8": {"weights": "int8", "activations": "int8", **_ENDS},
    "int4 weights": {"weights": "int4", "activations": "int8", **_ENDS},
    "ternary weights": {"weights": "ternary", "activations": "int8", **_ENDS},
    "binary XNOR": {"weights": "binary", "activations": "binary", **_ENDS},
}


def load_data(path: Path | None) -> tuple[Dataset, Dataset]:
    """Train and test images with values 0 .. 1, shape (samples, 28, 28, 1)."""
    if path is None:
        import keras

        (x_train, y_train), (x_test, y_test) = keras.datasets.fashion_mnist.load_data()
    else:
        x_train, y_train, x_test, y_test = _read(path)
    return _prepare(x_train, y_train), _prepare(x_test, y_test)


def _prepare(images: np.ndarray, labels: np.ndarray) -> Dataset:
    """Scale to 0 .. 1 and shuffle, because some copies of the data are sorted by class."""
    order = np.random.default_rng(0).permutation(len(images))
    return make_dataset(images[order, ..., None].astype(np.float32) / 255.0, labels[order])


def _read(path: Path) -> list[np.ndarray]:
    try:
        with np.load(path, allow_pickle=False) as archive:
            return [archive[name] for name in ("x_train", "y_train", "x_test", "y_test")]
    except (OSError, ValueError, KeyError) as error:
        raise DataError(
            f"cannot be used ({error})",
            where=str(path),
            remedy="give an .npz file with x_train, y_train, x_test, y_test",
        ) from None


def main(
    data: Annotated[Path | None, typer.Option(help="An .npz file instead of a download.")] = None,
    output: Annotated[Path, typer.Option("-o", "--output")] = Path("build/fashion_mnist"),
    target: str = "qemu",
    samples: Annotated[int, typer.Option(help="Test images for the device.")] = 1000,
    train_samples: Annotated[int, typer.Option(help="Training images.")] = 60000,
    epochs: Annotated[int, typer.Option(help="Of the float model and of each recipe.")] = 4,
) -> None:
    """Compare int8, int4, ternary and binary on Fashion-MNIST."""
    import_quietly("tinyq.training")
    from tinyq.training.fitting import Schedule, fit, seed
    from tinyq.training.networks import fashion_network

    seed(0)
    train, test = load_data(data)
    train, test = train.take(train_samples), test.take(samples)
    schedule = Schedule(epochs, batch_size=64)
    model = fashion_network()
    with show_progress("float model") as progress:
        fit(model, train, schedule, progress)
    reports: dict[str, Report] = {}
    for name, recipe in RECIPES.items():
        print(name, file=sys.stderr)
        experiment = Experiment(f"Fashion-MNIST, {name}", model, recipe, train, test, schedule)
        folder = output / name.replace(" ", "_")
        report, project = run_experiment(
            experiment, find_board(BOARD), target, folder, partial(show_progress)
        )
        write_report(report, project.graph, project.plan, folder)
        reports[name] = report
    summary = {name: report.to_json() for name, report in reports.items()}
    (output / "results.json").write_text(json.dumps(summary, indent=2) + "\n", "utf-8")
    print_table(
        f"Fashion-MNIST, {len(test):,} test images on {BOARD} ({target})",
        ("recipe", *COLUMNS),
        [(name, *_row(report)) for name, report in reports.items()],
        right=COLUMNS,
    )


COLUMNS = (
    "float",
    "Keras",
    "device",
    "differing codes",
    "flash B",
    "RAM B",
    "instructions",
)


def _row(report: Report) -> tuple[str, ...]:
    result = report.measurement
    return (
        *(f"{report.accuracy[who]:.2%}" for who in ("float", "keras", "device")),
        f"{result.mismatches + sum(row.differing for row in report.agreement):,}",
        f"{result.flash_bytes:,}",
        f"{result.ram_bytes:,}",
        "-" if result.instructions is None else f"{result.instructions:,.0f}",
    )


if __name__ == "__main__":
    hush_tensorflow()
    try:
        typer.run(main)
    except TinyqError as error:
        sys.exit(error.render())
