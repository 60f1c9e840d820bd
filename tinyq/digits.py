"""The main job on data that comes with scikit-learn: handwritten digits on an emulated STM32."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from tinyq.experiment import Experiment, Show, run_experiment
from tinyq.hardware.boards import Board
from tinyq.measurement.report import Report, describe_origin, write_report
from tinyq.support.datasets import Dataset, make_dataset
from tinyq.support.files import replace_file
from tinyq.support.quiet import import_quietly

_SEED = 0
_FLOAT_EPOCHS = 20
_QUANTIZED_EPOCHS = 30


def load_digits() -> tuple[Dataset, Dataset]:
    """The 1,797 digits of scikit-learn, 8 x 8 pixels in 0 .. 1: train and test, 3 to 1.

    Source: Alpaydin and Kaynak 1998, Optical Recognition of Handwritten Digits, UCI repository.
    """
    from sklearn.datasets import load_digits as load
    from sklearn.model_selection import train_test_split

    digits = load()
    images = (digits.images[..., None] / 16.0).astype(np.float32)
    x_train, x_test, y_train, y_test = train_test_split(
        images, digits.target, test_size=0.25, random_state=_SEED, stratify=digits.target
    )
    return make_dataset(x_train, y_train), make_dataset(x_test, y_test)


def run_demo(
    folder: Path, board: Board, target: str, show: Show, command: str | None = None
) -> tuple[Report, Path]:
    """Train on digits, build for a board, measure the whole test split, write the report.

    Args:
        folder: Gets the model, the firmware, the test data, report.json and report.html.
        board: What to build for.
        target: Where to measure.
        show: Opens a progress bar with a title.
        command: What the report says that it was made by.

    Returns:
        The report, and the path of its HTML file.
    """
    import_quietly("tinyq.training")
    from tinyq.training.fitting import Schedule, fit, seed
    from tinyq.training.networks import DIGITS_RECIPE, digits_network

    seed(_SEED)
    train, test = load_digits()
    model = digits_network()
    with show("training the float model") as progress:
        fit(model, train, Schedule(_FLOAT_EPOCHS), progress)
    experiment = Experiment(
        title="Handwritten digits with 8-bit, 4-bit, ternary and binary layers",
        model=model,
        recipe=DIGITS_RECIPE,
        train=train,
        test=test,
        schedule=Schedule(_QUANTIZED_EPOCHS),
    )
    report, project = run_experiment(experiment, board, target, folder, show)
    with replace_file(folder / "test.npz") as partial:
        np.savez_compressed(partial, x=test.x, y=np.asarray(test.y))
    report = replace(report, origin=describe_origin(command))
    return report, write_report(report, project.graph, project.plan, folder)
