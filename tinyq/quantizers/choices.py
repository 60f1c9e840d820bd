"""Weights that search among a few levels by probabilities."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from keras import ops

from tinyq.quantizers.parts.steps import Axes
from tinyq.quantizers.weights import WeightParts, WeightQuantizer


@dataclass(frozen=True, slots=True)
class ChoiceParts(WeightParts):
    """What a search among levels is made of.

        p       = softmax(logits / T) over the levels of each weight
        w_train = step * sum_j p_j v_j;  w_q = step * v of the largest logit
        logits  = -(w / step - v_j)**2 / (2 d**2) at first,  d the distance of two levels

    T is the setting, and falls; in the last stage training computes with the largest alone.

    Reference: Yang et al. 2020, arXiv:2009.08695, eq. 5 to 8.
    """

    def build(self, axes: Axes, **options: Any) -> WeightQuantizer:
        """The quantizer."""
        return ChoiceQuantizer(self, axes, **options)


class ChoiceQuantizer(WeightQuantizer):
    """Trains a logit for each weight and level; the master weights follow the choice.

    Args:
        parts: Parts of the method.
        axes: Axes of the kernel over which one scale is shared.
    """

    parts: ChoiceParts

    def build(self, shape: Any) -> None:
        """Create the logits and the step."""
        super().build(shape)
        count = len(self.parts.levels.codes)
        self.logits = self.add_weight(name="logits", shape=(*shape, count), initializer="zeros")
        steps = tuple(1 if axis in self.reduced_axes else n for axis, n in enumerate(shape))
        self.width = self._state("width", steps)
        self.seen = self._state("seen", ())

    @property
    def updates(self) -> bool:
        """True: master weights become what is chosen."""
        return True

    def updated(self, kernel: Any) -> Any:
        """Master weights after a step of the optimizer."""
        return self.quantized(kernel)

    def _known(self, weights: Any) -> tuple[Any, Any]:
        """Step and logits as they are, or as they fit the first weights."""
        step = ops.where(
            self.seen.value > 0,
            ops.convert_to_tensor(self.width),
            ops.stop_gradient(self.parts.step(weights, self.reduced_axes)),
        )
        logits = ops.cond(
            self.seen.value > 0,
            lambda: ops.convert_to_tensor(self.logits),
            lambda: self._first(ops.stop_gradient(weights), step),
        )
        return step, logits

    def _first(self, weights: Any, step: Any) -> Any:
        codes = np.array(self.parts.levels.codes, np.float32)
        offset = ops.expand_dims(weights / step, -1) - codes
        return -0.5 * ops.square(offset * (1.0 / float(codes[1] - codes[0])))

    def _chosen(self, logits: Any) -> Any:
        codes = ops.convert_to_tensor(np.array(self.parts.levels.codes, np.float32))
        return ops.take(codes, ops.argmax(logits, axis=-1))

    def split(self, kernel: Any) -> tuple[Any, Any]:
        """Codes (float32 integers, shape of the kernel) and scales (dimensions kept)."""
        weights = ops.convert_to_tensor(kernel)
        step, logits = self._known(weights)
        channels = ops.ones_like(ops.max(weights, axis=self.axes, keepdims=True))
        return self._chosen(logits), step * channels

    def _trained(self, weights: Any) -> Any:
        step, logits = self._known(weights)
        self.width.assign(step)
        self.logits.assign(logits)
        self.seen.assign(ops.ones_like(self.seen))
        logits = ops.convert_to_tensor(self.logits)
        codes = np.array(self.parts.levels.codes, np.float32)
        shares = ops.softmax(logits * (1.0 / self.setting), axis=-1)
        soft = ops.sum(shares * codes, axis=-1) * step
        hard = self._chosen(logits) * step
        schedule = self.parts.procedure.schedule
        assert schedule is not None
        last = np.float32(schedule(1.0))
        change = ops.where(self.setting <= last, hard - soft, ops.zeros_like(soft))
        # The master weights have a gradient of 0, so that no optimizer misses it.
        return soft + ops.stop_gradient(change) + 0.0 * weights
