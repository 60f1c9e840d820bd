"""The main job on data that comes with scikit-learn: handwritten digits on an emulated STM32."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tinyq.api.arguments import PathLike, Progress, Show, as_board, as_path
from tinyq.api.build import build
from tinyq.api.measure import Measured, measure
from tinyq.api.quantize import save_model
from tinyq.firmware.toolchains import find_compiler
from tinyq.hardware.boards import Board
from tinyq.measurement.places import check_port, choose_target
from tinyq.measurement.report import Agreement, write_report
from tinyq.project import Selection, check_request
from tinyq.support.datasets import Dataset
from tinyq.support.digits import load_digits
from tinyq.support.files import replace_file
from tinyq.support.quiet import import_quietly

if TYPE_CHECKING:
    import keras

_SEED = 0
_FLOAT_EPOCHS = 20
_QUANTIZED_EPOCHS = 30
_TITLE = "Handwritten digits with 8-bit, 4-bit, ternary and binary layers"


@contextmanager
def _hide(_title: str) -> Iterator[Progress]:
    yield lambda _done, _total: None


def demo(
    output: PathLike = Path("build/demo"),
    board: str | Board = "stm32",
    target: str = "qemu",
    show: Show = _hide,
) -> Measured:
    """Train, build and measure a small network on handwritten digits.

    Args:
        output: Folder that gets the model, the firmware, the test data, and the report.
        board: Name from `tinyq.boards()`.
        target: ``qemu``, ``host`` or ``serial:PORT``.
        show: Opens a progress bar with a title.

    Raises:
        TinyqError: The board or the target is unknown, or a program is missing.
    """
    chosen, folder = as_board(board), as_path(output)
    # All that can be known before minutes of training.
    choose_target(chosen, target)
    check_port(target)
    find_compiler(chosen)
    check_request(chosen, folder / "firmware", "gcc", Selection())
    train, test = load_digits()
    model, quantized = _train(train, show)
    save_model(quantized, folder / "model.keras")
    built = build(quantized, chosen, folder / "firmware")
    with show(f"answering on {target}") as progress:
        measured = measure(built, test, target, progress=progress)
    with replace_file(folder / "test.npz") as partial:
        np.savez_compressed(partial, x=test.x, y=np.asarray(test.y))
    return _report(measured, (model, quantized), test, folder)


def _train(train: Dataset, show: Show) -> tuple[keras.Model, keras.Model]:
    """The float network, and the one with few bits."""
    import_quietly("tinyq.training")
    from tinyq.training import quantize
    from tinyq.training.fitting import Schedule, fit, seed
    from tinyq.training.networks import DIGITS_RECIPE, digits_network

    seed(_SEED)
    model = digits_network()
    with show("training the float model") as progress:
        fit(model, train, Schedule(_FLOAT_EPOCHS), progress)
    quantized = quantize(model, DIGITS_RECIPE)
    with show("training with few bits") as progress:
        fit(quantized, train, Schedule(_QUANTIZED_EPOCHS), progress)
    return model, quantized


def _report(
    measured: Measured, models: tuple[keras.Model, keras.Model], test: Dataset, folder: Path
) -> Measured:
    """What the device showed, with what Keras says of the same images."""
    from tinyq.project import open_project
    from tinyq.training.fitting import score
    from tinyq.training.lowering.agreement import compare_layers
    from tinyq.training.lowering.network import lower_keras

    model, quantized = models
    rows = compare_layers(quantized, lower_keras(quantized), test.x)
    report = replace(
        measured.report,
        title=_TITLE,
        accuracy={
            "float": score(model, test),
            "keras": score(quantized, test),
            **measured.accuracy,
        },
        agreement=tuple(
            Agreement(row.layer, row.elements, row.differing, row.largest) for row in rows
        ),
    )
    project = open_project(folder / "firmware")
    return Measured(report, page=write_report(report, project.graph, project.plan, folder))
