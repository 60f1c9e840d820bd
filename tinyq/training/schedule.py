"""Progress of the training for methods that change in its course."""

from __future__ import annotations

from typing import Any

import keras

from tinyq.training.base import FinishedLayer
from tinyq.training.weighted import WeightedLayer


class MethodSchedule(keras.callbacks.Callback):
    """Callback that tells every quantizer of a model how much of the training is over.

        progress = stage / (stages - 1)

    Gradient estimators that sharpen, relaxations, proximal steps and incremental freezing need it;
    methods without a schedule ignore it.

    Args:
        epochs: Epochs of the whole training; those of ``fit`` when None.
        stages: Equal parts of the training, each with a progress of its own; one for each epoch
            when None.
    """

    def __init__(self, epochs: int | None = None, stages: int | None = None) -> None:
        super().__init__()
        self.epochs = epochs
        self.stages = stages
        self._stage: int | None = None

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Start from the first stage."""
        del logs
        self._stage = None

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Set the progress where the stages are epochs."""
        del logs
        self._epoch = epoch
        if self.stages is None or self.params["steps"] is None:
            epochs = self.epochs or self.params["epochs"]
            advance(self.model, min(epoch / max(epochs - 1, 1), 1.0))

    def on_train_batch_begin(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Set the progress where a stage begins."""
        del logs
        steps = self.params["steps"]
        if self.stages is None or steps is None:
            return
        share = (self._epoch * steps + batch) / (steps * (self.epochs or self.params["epochs"]))
        stage = min(int(share * self.stages), self.stages - 1)
        if stage != self._stage:
            self._stage = stage
            advance(self.model, stage / max(self.stages - 1, 1))


def advance(model: keras.Model, progress: float) -> None:
    """Set the progress of all quantizers of a model.

    Args:
        model: Quantized model.
        progress: Share of the training that is over, 0 .. 1.
    """
    for layer in model._flatten_layers(include_self=False):
        if isinstance(layer, FinishedLayer):
            layer.output_quantizer.advance(progress)
        if isinstance(layer, WeightedLayer):
            layer.weight_quantizer.advance(layer.kernel, progress)
