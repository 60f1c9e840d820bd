"""Progress of the training for methods that change in its course."""

from __future__ import annotations

from typing import Any

import keras

from tinyq.training.base import FinishedLayer
from tinyq.training.weighted import WeightedLayer


class MethodSchedule(keras.callbacks.Callback):
    """Callback that tells every quantizer of a model how much of the training is over.

        progress = epoch / (epochs - 1)

    Gradient estimators that sharpen, relaxations, proximal steps and incremental freezing need it;
    methods without a schedule ignore it.

    Args:
        epochs: Epochs of the whole training; those of ``fit`` when None.
    """

    def __init__(self, epochs: int | None = None) -> None:
        super().__init__()
        self.epochs = epochs

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Set the progress."""
        del logs
        epochs = self.epochs or self.params["epochs"]
        advance(self.model, min(epoch / max(epochs - 1, 1), 1.0))


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
