"""Progress of the training for methods that change in its course."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import Any

import keras

from tinyq.errors import TinyqWarning, UnfinishedWarning
from tinyq.training.base import FinishedLayer
from tinyq.training.weighted import WeightedLayer

STAGES = 12
"""Least number of stages of a training, so that short ones have a course, too."""


class MethodSchedule(keras.callbacks.Callback):
    """Callback that tells every quantizer of a model how much of the training is over.

        progress = stage / (stages - 1)

    Gradient estimators that sharpen, relaxations, proximal steps and incremental freezing need it;
    methods without a schedule ignore it. ``fit`` of a model from ``tinyq.quantize`` adds it.

    A training that runs to its last epoch ends with progress 1, however few its steps are.

    Args:
        epochs: Epochs of the whole training; those of ``fit`` when None.
        before: Epochs of the whole training that came before those of ``fit``.
        stages: Equal parts of the training, each with a progress of its own; when None one for each
            epoch, and at least ``STAGES``. Where ``fit`` does not know its steps, they are epochs.
    """

    def __init__(
        self, epochs: int | None = None, stages: int | None = None, before: int = 0
    ) -> None:
        super().__init__()
        self.epochs = epochs
        self.before = before
        self.stages = stages
        self._stage: int | None = None
        self._epoch = 0
        self._progress = 0.0

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Start from the first stage."""
        del logs
        self._stage = None
        self._progress = 0.0

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Set the progress where the stages are epochs."""
        del logs
        self._epoch = epoch = epoch + self.before
        if self.params["steps"] is None:
            if self._whole() == 1:
                warnings.warn(
                    "fit does not know how many steps its only epoch has, so that methods change "
                    "at its end alone: give steps_per_epoch, or more epochs",
                    TinyqWarning,
                    stacklevel=2,
                )
            self._tell(min(epoch / max(self._whole() - 1, 1), 1.0))

    def on_train_batch_begin(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Set the progress where a stage begins."""
        del logs
        steps = self.params["steps"]
        if steps is None:
            return
        stages = self.stages or max(self._whole(), STAGES)
        share = (self._epoch * steps + batch) / (steps * self._whole())
        stage = min(int(share * stages), stages - 1)
        if stage != self._stage:
            self._stage = stage
            self._tell(stage / max(stages - 1, 1))

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Finish what has too few steps for all stages; a training that stops early stays open."""
        del epoch, logs
        if self._epoch + 1 >= self._whole() and self._progress < 1.0:
            self._tell(1.0)

    def _whole(self) -> int:
        """Epochs of the whole training."""
        return int(self.epochs or self.params["epochs"])

    def _tell(self, progress: float) -> None:
        self._progress = progress
        advance(self.model, progress)


def advance(model: keras.Model, progress: float) -> None:
    """Set the progress of all quantizers of a model, as ``fit`` does.

    A loop of ``train_on_batch`` calls it with a progress from 0 to 1, a dozen times or more; with 1
    it finishes a training that was stopped early.

    Args:
        model: Quantized model.
        progress: Share of the training that is over, 0 .. 1.
    """
    for layer in _quantized_layers(model):
        layer.output_quantizer.advance(progress)
        if isinstance(layer, WeightedLayer):
            layer.weight_quantizer.advance(layer.kernel, progress)


def has_procedure(model: keras.Model) -> bool:
    """Whether a quantizer of a model changes in the course of training."""
    return any(
        layer.output_quantizer.has_procedure
        or (isinstance(layer, WeightedLayer) and layer.weight_quantizer.has_procedure)
        for layer in _quantized_layers(model)
    )


def find_unfinished(model: keras.Model) -> tuple[str, ...]:
    """Names of the layers whose methods have not come to the end of their procedure."""
    return tuple(
        layer.name
        for layer in _quantized_layers(model)
        if not layer.output_quantizer.finished()
        or (isinstance(layer, WeightedLayer) and not layer.weight_quantizer.finished())
    )


def warn_of_unfinished(model: keras.Model) -> None:
    """Say which layers have a method that is not finished."""
    names = find_unfinished(model)
    if names:
        message = (
            f"the method of {', '.join(names)} has not come to its end: the weights have not been "
            "trained as it wants; train with fit of a model from tinyq.quantize to its last epoch, "
            "or call tinyq.training.advance(model, 1.0) after a training of your own"
        )
        warnings.warn(UnfinishedWarning(message, names), stacklevel=3)


def _quantized_layers(model: keras.Model) -> Iterator[FinishedLayer]:
    for layer in model._flatten_layers(include_self=False):
        if isinstance(layer, FinishedLayer):
            yield layer
