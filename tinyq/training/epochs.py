"""Epochs: the order of samples, what is done after each, and what came of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from tinyq.support.datasets import Dataset
from tinyq.training.objectives import Objective
from tinyq.training.schedule import find_unfinished
from tinyq.training.settling import needs_settling, settle

if TYPE_CHECKING:
    from tinyq.training.checkpoints import Checkpoints

_SCORED = 256  # samples at once


@dataclass(frozen=True, slots=True)
class Scores:
    """What an epoch is judged by.

    Attributes:
        loss: Mean loss of the validation samples by the device's integers, or of training.
        score: Share of right answers of the validation samples by the device's integers, 0 .. 1.
    """

    loss: float
    score: float | None


@dataclass(frozen=True, slots=True)
class Epoch:
    """One epoch.

    Attributes:
        phase: Place of its phase.
        number: Place in the phase.
        training_loss: Mean loss in training, with all its terms.
        training_score: Share of right answers in training, 0 .. 1.
        loss: See ``Scores``.
        score: See ``Scores``.
        finished: Whether all methods had come to their end.
    """

    phase: int
    number: int
    training_loss: float
    training_score: float | None
    loss: float
    score: float | None
    finished: bool

    @property
    def rank(self) -> tuple[int, bool, float, float]:
        """The larger, the better: of a later phase, finished, then by score, then by loss."""
        return self.phase, self.finished, self.score if self.score is not None else 0.0, -self.loss


class Batches(keras.utils.PyDataset):
    """Samples in an order that follows from the seed and the epoch alone.

    Args:
        x: Inputs.
        y: Labels or targets.
        size: Samples per batch.
        place: Seed, phase, and first epoch.
    """

    def __init__(self, x: Any, y: np.ndarray, size: int, place: tuple[int, int, int]) -> None:
        super().__init__()
        self._x, self._y, self._size, self._place = x, y, size, place
        self._order = self._draw()

    def _draw(self) -> np.ndarray:
        return np.random.default_rng(self._place).permutation(len(self._x))

    def __len__(self) -> int:
        return -(-len(self._x) // self._size)

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        places = self._order[index * self._size : (index + 1) * self._size]
        return np.asarray(self._x[places], np.float32), self._y[places]

    def on_epoch_end(self) -> None:
        """Draw the next epoch's order."""
        seed, phase, epoch = self._place
        self._place = seed, phase, epoch + 1
        self._order = self._draw()


@dataclass(frozen=True, slots=True, eq=False)
class Kept:
    """A model in training, as far as an epoch's end needs it.

    Attributes:
        model: Without its guide.
        phase: Place of the phase.
        settled: Inputs that BatchNorm's averages are settled on, or None.
        batch_size: Samples per batch of these.
    """

    model: keras.Model
    phase: int
    settled: Any
    batch_size: int


class Keeper(keras.callbacks.Callback):
    """Settles, scores and keeps a model after each epoch.

    Args:
        kept: The model.
        judge: Scores it; takes the values that Keras has of the epoch.
        epochs: What was before; the epochs of this phase are added.
        checkpoints: Where the state is kept.
    """

    def __init__(
        self,
        kept: Kept,
        judge: Callable[[Mapping[str, Any]], Scores],
        epochs: list[Epoch],
        checkpoints: Checkpoints,
    ) -> None:
        super().__init__()
        self._kept, self._judge = kept, judge
        self._epochs, self._checkpoints = epochs, checkpoints

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Settle, score, keep."""
        logs = logs or {}
        student, settled = self._kept.model, self._kept.settled
        if settled is not None and needs_settling(student):
            settle(student, settled, self._kept.batch_size)
        found = self._judge(logs)
        accuracy = logs.get("sparse_categorical_accuracy")
        self._epochs.append(
            Epoch(
                self._kept.phase,
                epoch,
                float(logs["loss"]),
                None if accuracy is None else float(accuracy),
                found.loss,
                found.score,
                not find_unfinished(student),
            )
        )
        logs["device_loss"] = found.loss
        if found.score is not None:
            logs["device_accuracy"] = found.score
        self._checkpoints.keep(self.model, student, self._epochs)


class Report(keras.callbacks.Callback):
    """Tells a progress bar how many steps of all phases are done."""

    def __init__(self, progress: Callable[[int, int], None], steps: int, done: int) -> None:
        super().__init__()
        self._progress, self._steps, self._done = progress, steps, done

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """One step more."""
        del batch, logs
        self._done += 1
        self._progress(min(self._done, self._steps), self._steps)


def score(
    model: keras.Model, data: Dataset | None, objective: Objective, logs: Mapping[str, Any]
) -> Scores:
    """Loss and share of right answers by the device's integers; training's loss without data."""
    if data is None:
        return Scores(float(logs["loss"]), None)
    outputs = model.predict(np.asarray(data.x, np.float32), batch_size=_SCORED, verbose=0)
    wanted = objective.pick(data)
    loss = float(keras.ops.convert_to_numpy(objective.loss(wanted, outputs)))
    if objective.answers is None:
        return Scores(loss, None)
    return Scores(loss, float((objective.answers(outputs) == data.y).mean()))
