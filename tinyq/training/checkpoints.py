"""Checkpoints: the state of a training on disk, and the best weights so far."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from tinyq.errors import FileError, TinyqError
from tinyq.support.documents import read_document, render_document
from tinyq.support.files import replace_file, write_file
from tinyq.training.epochs import Epoch

if TYPE_CHECKING:
    from tinyq.support.datasets import Dataset
    from tinyq.training.course import Course
    from tinyq.training.phases import Phase
    from tinyq.training.recipe import Recipe

_STATE, _BEST, _SUFFIX = "state.json", "best", ".weights.h5"
_KIND = "training state"


def identify(
    model: keras.Model,
    recipe: Recipe,
    phases: Sequence[Phase],
    course: Course,
    data: Dataset,
) -> str:
    """A digest of all that a training depends on."""
    told = {
        "recipe": recipe.model_dump(mode="json"),
        "phases": [phase.model_dump(mode="json") for phase in phases],
        "course": [course.batch_size, course.objective, course.seed],
        "data": [list(data.x.shape), str(data.x.dtype)],
    }
    found = hashlib.sha256(json.dumps(told, sort_keys=True).encode())
    for weights in model.get_weights():
        found.update(np.ascontiguousarray(weights).tobytes())
    for array in (data.x, data.y, data.targets):
        if array is not None:
            found.update(np.ascontiguousarray(array).tobytes())
    return found.hexdigest()


@dataclass(slots=True)
class Checkpoints:
    """Where a training keeps its state; nowhere but in memory without a folder.

    Attributes:
        folder: The folder, or None.
        mark: Digest of the training.
    """

    folder: Path | None
    mark: str
    _best: list[Any] | None = field(default=None)
    _ranked: Epoch | None = field(default=None)

    def read_epochs(self) -> tuple[int, list[Epoch]]:
        """Phase that is to be gone on with, and the epochs that are done.

        Raises:
            TinyqError: The folder holds the state of another training.
        """
        if self.folder is None or not (self.folder / _STATE).exists():
            return 0, []
        path = self.folder / _STATE
        content = read_document(path, _KIND, "remove the folder, or give another one")
        if content.get("mark") != self.mark:
            raise TinyqError(
                "holds the state of a training with other data, weights, phases or options",
                where=str(self.folder),
                remedy="give another folder with --state, or remove this one",
            )
        try:
            epochs = [Epoch(**entry) for entry in content["epochs"]]
        except (KeyError, TypeError):
            raise FileError(
                "is no state of a training", where=str(path), remedy="remove the folder"
            ) from None
        return (epochs[-1].phase if epochs else 0), epochs

    def restore(self, model: keras.Model, phase: int) -> int:
        """Give a model in training, with its optimizer, the weights of the last epoch of a phase.

        Returns:
            Epochs of the phase that are done.
        """
        _, epochs = self.read_epochs()
        if self.folder is None or not epochs or epochs[-1].phase != phase:
            return 0
        number = epochs[-1].number + 1
        self._load(model, self._weights_of(phase, number))
        return number

    def keep(self, model: keras.Model, student: keras.Model, epochs: Sequence[Epoch]) -> None:
        """Write the state after an epoch, and the weights where they are the best.

        Raises:
            FileError: The folder cannot be written to.
        """
        newest = epochs[-1]
        better = self._ranked is None or newest.rank >= self._ranked.rank
        if self._ranked is None and len(epochs) > 1:
            better = newest.rank >= max(epoch.rank for epoch in epochs[:-1])
        if better:
            self._ranked = newest
        if self.folder is None:
            self._best = student.get_weights() if better else self._best
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        if better:
            self._save(student, self.folder / f"{_BEST}-{len(epochs)}{_SUFFIX}")
        self._save(model, self._weights_of(newest.phase, newest.number + 1))
        content = {"mark": self.mark, "epochs": [asdict(epoch) for epoch in epochs]}
        write_file(self.folder / _STATE, render_document(_KIND, content))
        self._tidy(epochs)

    def restore_best(self, student: keras.Model, epochs: Sequence[Epoch]) -> Epoch:
        """Give a model the weights of the best epoch; of equals of the last one."""
        rank = max(epoch.rank for epoch in epochs)
        place = max(index for index, epoch in enumerate(epochs) if epoch.rank == rank)
        if self.folder is not None:
            self._load(student, self.folder / f"{_BEST}-{place + 1}{_SUFFIX}")
        elif self._best is not None:
            student.set_weights(self._best)
        return epochs[place]

    def _weights_of(self, phase: int, number: int) -> Path:
        assert self.folder is not None
        return self.folder / f"phase{phase}-epoch{number}{_SUFFIX}"

    def _save(self, model: keras.Model, path: Path) -> None:
        with replace_file(path) as partial:
            # Keras wants the whole suffix, of which the partial file has the last part alone.
            whole = partial.with_name(f"{partial.stem}{_SUFFIX}")
            try:
                model.save_weights(whole, overwrite=True)
                whole.replace(partial)
            finally:
                whole.unlink(missing_ok=True)

    def _load(self, model: keras.Model, path: Path) -> None:
        try:
            model.load_weights(path)
        except (OSError, ValueError, KeyError) as error:
            raise FileError(
                f"its weights cannot be read: {str(error).splitlines()[0]}",
                where=str(path),
                remedy="remove the folder of the state, and train anew",
            ) from None

    def _tidy(self, epochs: Sequence[Epoch]) -> None:
        """Remove weights that no state names any more."""
        assert self.folder is not None
        rank = max(epoch.rank for epoch in epochs)
        place = max(index for index, epoch in enumerate(epochs) if epoch.rank == rank)
        newest = self._weights_of(epochs[-1].phase, epochs[-1].number + 1)
        kept = {newest.name, f"{_BEST}-{place + 1}{_SUFFIX}"}
        for path in self.folder.glob(f"*{_SUFFIX}"):
            if path.name not in kept:
                with suppress(OSError):
                    path.unlink()
