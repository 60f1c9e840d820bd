"""Fitting and scoring classifiers: what the demo, the examples and the benchmarks share."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from tinyq.errors import DataError
from tinyq.support.datasets import Dataset

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Schedule:
    """How long and how fast a model is trained: Adam with a cosine decay to zero.

    Attributes:
        epochs: Passes over the data.
        learning_rate: At the start.
        batch_size: Samples per step.
    """

    epochs: int
    learning_rate: float = 3e-3
    batch_size: int = 32


class _Report(keras.callbacks.Callback):
    """Tells a progress bar how many steps are done."""

    def __init__(self, progress: Progress, steps: int) -> None:
        super().__init__()
        self._progress, self._steps, self._done = progress, steps, 0

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        del batch, logs
        self._done += 1
        self._progress(min(self._done, self._steps), self._steps)


def fit(
    model: keras.Model,
    data: Dataset,
    schedule: Schedule,
    progress: Progress | None = None,
    callbacks: Iterable[keras.callbacks.Callback] = (),
) -> None:
    """Train a classifier that ends in logits.

    Methods that change in the course of training do so in at least 12 stages.

    Args:
        model: Its last layer gives one value per class, without softmax.
        data: Inputs and class indexes.
        schedule: Epochs, rate and batch.
        progress: Called with steps done and steps in all.
        callbacks: Callbacks of Keras besides.

    Raises:
        DataError: There are no labels.
    """
    if data.y is None:
        raise DataError("training needs labels", remedy="add the array y")
    steps = schedule.epochs * -(-len(data) // schedule.batch_size)
    rate = keras.optimizers.schedules.CosineDecay(schedule.learning_rate, steps)
    model.compile(
        keras.optimizers.Adam(rate),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    )
    shown = [] if progress is None else [_Report(progress, steps)]
    model.fit(
        np.asarray(data.x, np.float32),
        data.y,
        batch_size=schedule.batch_size,
        epochs=schedule.epochs,
        callbacks=[*shown, *callbacks],
        verbose=0,
    )


def score(model: keras.Model, data: Dataset, batch_size: int = 256) -> float:
    """Share of samples whose largest logit is the label's, 0 .. 1."""
    answers = model.predict(np.asarray(data.x, np.float32), batch_size=batch_size, verbose=0)
    return float((answers.argmax(axis=-1) == data.y).mean())


def seed(value: int) -> None:
    """Fix the random numbers of Python, NumPy and the backend."""
    keras.utils.set_random_seed(value)
