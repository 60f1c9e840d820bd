"""Weights that go back and forth between two codes: damped by the loss, or frozen."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from keras import ops

from tinyq.training.weighted import WeightedLayer

_MOMENTUM = 0.02  # share of the newest step in the averages


@dataclass(slots=True)
class _Course:
    """What was seen of a kernel: codes as int8, the rest float32, all of its shape."""

    layer: WeightedLayer
    codes: np.ndarray
    direction: np.ndarray
    rate: np.ndarray
    mean: np.ndarray
    frozen: np.ndarray


class OscillationFreezing(keras.callbacks.Callback):
    """Callback that freezes weights which change back and forth too often.

        o    = 1 where the code changes against the direction of its last change
        f    = m * o + (1 - m) * f,  m = 0.02
        code = floor(mean of the codes + 1/2) for good, once f > threshold

    Args:
        threshold: Share of steps in which a weight may oscillate, 0 .. 1.
        momentum: m.

    Reference: Nagel et al. 2022, arXiv:2203.11086, algorithm 1.
    """

    def __init__(self, threshold: float, momentum: float = _MOMENTUM) -> None:
        super().__init__()
        self.threshold = threshold
        self.momentum = momentum
        self._courses: list[_Course] = []

    @property
    def share(self) -> float:
        """Share of all weights that are frozen by now, 0 .. 1."""
        count = sum(course.frozen.size for course in self._courses)
        return sum(int(course.frozen.sum()) for course in self._courses) / max(count, 1)

    def on_train_begin(self, logs: Any = None) -> None:
        """Note the first codes."""
        del logs
        if self._courses:
            return
        for layer in self.model._flatten_layers(include_self=False):
            if isinstance(layer, WeightedLayer) and layer.trainable:
                codes = layer.weight_codes().astype(np.int8)
                zeros = np.zeros(codes.shape, np.float32)
                self._courses.append(
                    _Course(layer, codes, zeros, zeros, codes.astype(np.float32), zeros > 0)
                )

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Watch the codes of each layer after a step."""
        del batch, logs
        for course in self._courses:
            self._watch(course)

    def _watch(self, course: _Course) -> None:
        codes, scale = (
            ops.convert_to_numpy(part)
            for part in course.layer.weight_quantizer.split(course.layer.kernel)
        )
        change = np.sign(codes - course.codes)
        turned = change * course.direction < 0
        share = np.float32(self.momentum)
        course.rate = share * turned + (1 - share) * course.rate
        course.mean = share * codes + (1 - share) * course.mean
        course.direction = np.where(change != 0, change, course.direction)
        new = (course.rate > self.threshold) & ~course.frozen
        held = np.where(course.frozen, course.codes, np.floor(course.mean + 0.5))
        course.frozen = course.frozen | new
        course.codes = np.where(course.frozen, held, codes).astype(np.int8)
        if course.frozen.any():
            kernel = ops.convert_to_numpy(course.layer.kernel)
            course.layer.kernel.assign(np.where(course.frozen, course.codes * scale, kernel))


@contextmanager
def damped(model: keras.Model, strength: float) -> Iterator[None]:
    """Training with a term that holds weights near the values of their codes.

        L = strength * sum((w - w_q)**2),  w_q without a gradient

    Args:
        model: Quantized model.
        strength: Factor; 0 changes nothing.

    Reference: Nagel et al. 2022, arXiv:2203.11086, eq. 5.
    """
    layers = [one for one in model._flatten_layers(False) if isinstance(one, WeightedLayer)]
    for layer in layers:
        layer.damping = strength
    try:
        yield
    finally:
        for layer in layers:
            layer.damping = 0.0
