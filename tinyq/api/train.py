from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tinyq.api.arguments import PathLike, Progress, as_dataset, as_path, is_path
from tinyq.api.quantize import check_output, load_float, save_model
from tinyq.errors import TinyqError
from tinyq.support.documents import stamp
from tinyq.support.tables import Part, Shown, Table

if TYPE_CHECKING:
    import keras

    from tinyq.training.epochs import Epoch
    from tinyq.training.recipe import Recipe

_HEADS = (
    "phase",
    "epoch",
    "training loss",
    "training accuracy",
    "device loss",
    "device accuracy",
    "best",
)
OBJECTIVES = ("auto", "classes", "binary", "values")


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Trained(Shown):
    """A model that was quantized by a recipe, and trained.

    Attributes:
        model: The Keras model, with the weights of the best epoch.
        epochs: All epochs.
        best: The best of them: of the last phase, with all methods at their end.
        resumed: Epochs that an earlier run had done.
        file: Where it was written; None where it was not.
    """

    model: keras.Model
    epochs: tuple[Epoch, ...]
    best: Epoch
    resumed: int
    file: Path | None

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return stamp(
            "training",
            {
                "model": self.model.name,
                "file": None if self.file is None else str(self.file),
                "resumed": self.resumed,
                "best": asdict(self.best),
                "epochs": [asdict(epoch) for epoch in self.epochs],
            },
        )

    def parts(self) -> list[Part]:
        """The epochs, and where the model is."""
        rows = tuple(
            (
                str(epoch.phase + 1),
                str(epoch.number + 1),
                f"{epoch.training_loss:.4f}",
                _share(epoch.training_score),
                f"{epoch.loss:.4f}",
                _share(epoch.score),
                "yes" if epoch is self.best else "",
            )
            for epoch in self.epochs
        )
        lines: list[Part] = [Table("training", _HEADS, rows, _HEADS[:-1])]
        if self.resumed:
            lines.append(f"{self.resumed} of the epochs are of an earlier run")
        if self.file is not None:
            lines.append(f"{self.file}: build it with tinyq build {self.file}")
        return lines


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.2%}"


def train(
    model: Any,
    recipe: Recipe | Mapping[str, Any] | PathLike,
    *,
    data: Any,
    output: PathLike | None = None,
    val: Any = None,
    epochs: int | None = None,
    rate: float | None = None,
    batch_size: int = 32,
    objective: str = "auto",
    state: PathLike | None = None,
    log: PathLike | None = None,
    seed: int = 0,
    trust: bool = False,
    progress: Progress | None = None,
) -> Trained:
    """Quantize a float model by a recipe and train it, by the recipe's phases.

    After each epoch BatchNorm's averages are settled, and the deployed integers are scored. The
    model that is returned has the weights of the best epoch.

    Args:
        model: Float model: of Keras 3, functional or Sequential, with one input and one output; or
            the path of a .keras or .h5 file or of a SavedModel. It is left as it is.
        recipe: Methods per layer, and phases, as a dict, a YAML file's path, or a ``Recipe``.
        data: Inputs and labels to train on: an .npz file with x and y, or a pair (x, y).
        val: Inputs and labels that are not trained on, and tell which epoch is the best.
        output: The .keras file to write, besides.
        epochs: Passes over the data, for a recipe without phases or with one; 5 when None.
        rate: Learning rate at the start, for these; 0.001 when None.
        batch_size: Samples per step.
        objective: ``classes``, ``binary`` (one output, yes or no), ``values`` (squared error), or
            ``auto``: what labels and output ask for.
        state: Folder of checkpoints; a training that was stopped goes on from there.
        log: Folder of TensorBoard scalars.
        seed: Of the order of samples and of whatever is drawn.
        trust: As of `tinyq.load`.
        progress: Called with steps done and steps in all.

    Raises:
        DataError: The data do not fit the model.
        ModelError: A layer is not supported.
        RecipeError: The recipe is wrong.
        TinyqError: An option is wrong, or ``state`` holds another training.
    """
    _check_options(epochs, rate, batch_size, objective)
    file = None if output is None else as_path(output)
    if file is not None:
        check_output(file)
    samples = as_dataset(data)
    validation = None if val is None else as_dataset(val)
    float_model = load_float(model, trust)
    from tinyq.training.course import Course, Settings
    from tinyq.training.course import train as run

    outcome = run(
        float_model,
        as_path(recipe) if is_path(recipe) else recipe,  # type: ignore[arg-type]
        samples,
        validation,
        Course(epochs, rate, batch_size, objective, seed),
        Settings(
            None if state is None else as_path(state),
            None if log is None else as_path(log),
            progress,
            lambda path: load_float(path, trust),
        ),
    )
    if file is not None:
        save_model(outcome.model, file)
    return Trained(outcome.model, outcome.epochs, outcome.best, outcome.resumed, file)


def _check_options(epochs: int | None, rate: float | None, batch_size: int, objective: str) -> None:
    """Check what can be known before TensorFlow loads.

    Raises:
        TinyqError: A value is not one of its option.
    """
    faults = {
        "--epochs": (epochs is None or epochs >= 1, epochs, "give a number of at least 1"),
        "--rate": (rate is None or 0.0 < rate < 10.0, rate, "give a positive number below 10"),
        "--batch-size": (batch_size >= 1, batch_size, "give a number of at least 1"),
        "--objective": (objective in OBJECTIVES, objective, f"choose {', '.join(OBJECTIVES)}"),
    }
    for option, (fine, value, remedy) in faults.items():
        if not fine:
            raise TinyqError(f"{value} is not supported", where=option, remedy=remedy)
