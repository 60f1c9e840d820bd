"""How many weight codes change in the course of training."""

from __future__ import annotations

import warnings
from typing import Any

import keras
import numpy as np

from tinyq.training.weighted import WeightedLayer


class CodeFlipRate(keras.callbacks.Callback):
    """Callback that reports the share of weight codes that changed in each epoch.

        rate = |{i : code_i after the epoch != code_i before}| / n

    The mean over all weights joins the metrics as ``code_flip_rate``. Codes that still change when
    training ends say that the learning rate is too high for their bits; a warning names the layers
    whose rate did not fall.

    Args:
        ignored: Rate below which there is no warning.

    Attributes:
        history: Rates of the epochs by layer.
    """

    def __init__(self, ignored: float = 0.02) -> None:
        super().__init__()
        self.ignored = ignored
        self.history: dict[str, list[float]] = {}
        self._codes: dict[str, np.ndarray] = {}

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Take the codes before the first step."""
        del logs
        self.history = {layer.name: [] for layer in self._layers()}
        self._codes = {layer.name: layer.weight_codes() for layer in self._layers()}

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Compare the codes with those of the epoch before."""
        del epoch
        flips = count = 0
        for layer in self._layers():
            codes = layer.weight_codes()
            changed = int(np.count_nonzero(codes != self._codes[layer.name]))
            self.history[layer.name].append(changed / codes.size)
            self._codes[layer.name] = codes
            flips, count = flips + changed, count + codes.size
        if logs is not None and count:
            logs["code_flip_rate"] = flips / count

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        """Warn of layers whose codes change as much as at first."""
        del logs
        restless = self.restless()
        if restless:
            rates = ", ".join(f"{name} {self.history[name][-1]:.1%}" for name in restless)
            warnings.warn(
                f"weight codes change as often in the last epoch as in the first ({rates}): train "
                "with a smaller learning rate, or one that falls to 0",
                stacklevel=2,
            )

    def restless(self) -> tuple[str, ...]:
        """Layers whose rate in the last epoch is above ``ignored`` and not below the first."""
        return tuple(
            name
            for name, rates in self.history.items()
            if len(rates) > 1 and rates[-1] > self.ignored and rates[-1] >= rates[0]
        )

    def _layers(self) -> list[WeightedLayer]:
        layers = self.model._flatten_layers(include_self=False)
        return [layer for layer in layers if isinstance(layer, WeightedLayer)]
