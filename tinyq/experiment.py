"""The whole chain as one function: train, quantize, train on, import, build, measure, report."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tinyq.hardware.boards import Board
from tinyq.measurement.report import Agreement, Report
from tinyq.measurement.run import measure
from tinyq.project import Project, create_project
from tinyq.support.datasets import Dataset
from tinyq.support.files import replace_file

if TYPE_CHECKING:
    import keras

    from tinyq.training.fitting import Schedule

Progress = Callable[[int, int], None]
Show = Callable[[str], AbstractContextManager[Progress]]


@dataclass(frozen=True, slots=True, eq=False)
class Experiment:
    """A trained float model and what is to become of it.

    Attributes:
        title: Headline of the report.
        model: Float model, trained.
        recipe: Methods per layer.
        train: Samples for training on after quantization.
        test: Samples that the device answers.
        schedule: How long it is trained on.
    """

    title: str
    model: keras.Model
    recipe: Mapping[str, Any]
    train: Dataset
    test: Dataset
    schedule: Schedule


def run_experiment(
    experiment: Experiment, board: Board, target: str, folder: Path, show: Show
) -> tuple[Report, Project]:
    """Quantize a model, train it on, build it for a board, and measure it on a target.

    Args:
        experiment: Model, recipe and data.
        board: What to build for.
        target: Where to measure.
        folder: Gets model.keras and the build folder firmware/.
        show: Opens a progress bar with a title.

    Returns:
        The report, and the build folder that it is about.
    """
    from tinyq.training import quantize
    from tinyq.training.fitting import fit, score
    from tinyq.training.lowering.agreement import compare_layers
    from tinyq.training.lowering.network import import_keras, lower_keras

    quantized = quantize(experiment.model, experiment.recipe)
    with show("training with few bits") as progress:
        fit(quantized, experiment.train, experiment.schedule, progress)
    with replace_file(folder / "model.keras") as partial:
        quantized.save(partial)
    graph = import_keras(quantized)
    project = create_project(graph, board, folder / "firmware")
    with show(f"answering on {target}") as progress:
        measurement = measure(project, target, experiment.test, progress)
    agreement = compare_layers(quantized, lower_keras(quantized), experiment.test.x)
    accuracy = {
        "float": score(experiment.model, experiment.test),
        "keras": score(quantized, experiment.test),
        **(measurement.accuracy or {}),
    }
    rows = tuple(
        Agreement(row.layer, row.elements, row.differing, row.largest) for row in agreement
    )
    return Report(experiment.title, accuracy, measurement, rows), project
