"""Weights that training computes with through a smooth curve, which ends as a stairway."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from keras import ops

from tinyq.quantizers.parts.learned import LearnedNumber
from tinyq.quantizers.parts.sorting import call_numpy
from tinyq.quantizers.parts.stairs import count_reached
from tinyq.quantizers.parts.steps import Axes
from tinyq.quantizers.weights import WeightParts, WeightQuantizer

Soft = Callable[[Any, Any], Any]
_ROUNDS = 20
HARD = 1.0


def squash_before_signs(weights: Any, setting: Any) -> Any:
    """Hyperbolic tangents in the place of signs.

        w_soft = tanh(w)

    Args:
        weights: Real weights.
        setting: Not used.

    Reference: Kim and Smaragdis 2016, arXiv:1601.06071, section 3.1.
    """
    del setting
    return ops.tanh(weights)


def in_halves(progress: float) -> float:
    """0 in the first half of the training, 1 in the second.

    setting = floor(2 progress), at most 1
    """
    return 1.0 if progress >= 0.5 else 0.0


@dataclass(frozen=True, slots=True)
class RelaxedParts(WeightParts):
    """What a weight quantizer is made of that has a curve in the first part of the training.

        w_train = soft(w, setting) while setting < 1, then w_q with the method's gradient

    Attributes:
        soft: The curve, of weights and setting.
    """

    soft: Soft = field(kw_only=True)

    def build(self, axes: Axes, **options: Any) -> WeightQuantizer:
        """The quantizer."""
        return RelaxedQuantizer(self, axes, **options)


class RelaxedQuantizer(WeightQuantizer):
    """Quantizes a kernel once the schedule has come to its hard part.

    Args:
        parts: Parts of the method.
        axes: Axes of the kernel over which one scale is shared.
    """

    parts: RelaxedParts

    def _trained(self, weights: Any) -> Any:
        soft = self.parts.soft(weights, self.setting)
        return ops.where(self.setting >= HARD, super()._trained(weights), soft)


@dataclass(frozen=True, slots=True)
class SigmoidParts(WeightParts):
    """What a sum of sigmoids is made of, whose places come from the first weights.

        v       = w / step
        w_train = scale * (sum_i sigma(T (v - b_i)) - n)
        codes   = (number of b_i <= v) - n,  w_q = codes * scale

    with 2 n borders b_i in the middles of neighbouring centers of a k-means of the first v. Step
    and scale are trained. T is the setting; in the last stage training computes with the codes.

    Reference: Yang et al. 2019, arXiv:1911.09464, eq. 3 to 5.
    """

    def build(self, axes: Axes, **options: Any) -> WeightQuantizer:
        """The quantizer."""
        return SigmoidQuantizer(self, axes, **options)


class SigmoidQuantizer(WeightQuantizer):
    """Quantizes a kernel by borders that k-means has found.

    Args:
        parts: Parts of the method.
        axes: Axes of the kernel over which step and scale are shared.
    """

    parts: SigmoidParts

    def build(self, shape: Any) -> None:
        """Create borders, step and scale."""
        super().build(shape)
        levels, whole = self.parts.levels, tuple(1 for _ in shape)
        self.borders = self._state("borders", (levels.hi - levels.lo,))
        self.width, self.height = LearnedNumber(name="width"), LearnedNumber(name="height")
        for number in (self.width, self.height):
            number.build(whole)

    def _known(self, weights: Any) -> tuple[Any, Any, Any]:
        """Step, scale and borders as they are, or as they fit the first weights."""
        first = ops.stop_gradient(self.parts.step(weights, self.reduced_axes))
        known = self.width.known()
        step = ops.where(known, self.width.value(), first)
        scale = ops.where(known, self.height.value(), first)
        borders = ops.cond(
            ops.all(known),
            lambda: ops.convert_to_tensor(self.borders),
            lambda: self._fit(ops.stop_gradient(weights) / first),
        )
        return step, scale, borders

    def _fit(self, positions: Any) -> Any:
        count = self.parts.levels.hi - self.parts.levels.lo
        return call_numpy(self._find_borders, [positions], (count,))

    def _find_borders(self, positions: np.ndarray) -> np.ndarray:
        """Middles of neighbouring centers; empty clusters leave theirs where they were."""
        levels = self.parts.levels
        centers = np.arange(levels.lo, levels.hi + 1, dtype=np.float64)
        values = positions.ravel().astype(np.float64)
        for _ in range(_ROUNDS):
            index = np.searchsorted((centers[1:] + centers[:-1]) / 2.0, values)
            counts = np.bincount(index, minlength=len(centers))
            sums = np.bincount(index, values, len(centers))
            centers = np.sort(np.where(counts > 0, sums / np.maximum(counts, 1), centers))
        return np.asarray((centers[1:] + centers[:-1]) / 2.0, np.float32)

    def split(self, kernel: Any) -> tuple[Any, Any]:
        """Codes (float32 integers, shape of the kernel) and scales (dimensions kept)."""
        weights = ops.convert_to_tensor(kernel)
        step, scale, borders = self._known(weights)
        channels = ops.ones_like(ops.max(weights, axis=self.axes, keepdims=True))
        return self._count(weights, step, borders), scale * channels

    def _count(self, weights: Any, step: Any, borders: Any) -> Any:
        return count_reached(weights / step, borders) + float(self.parts.levels.lo)

    def _trained(self, weights: Any) -> Any:
        _, _, borders = self._known(weights)
        self.borders.assign(borders)
        step, scale = (
            number.observe(lambda: self.parts.step(weights, self.reduced_axes))
            for number in (self.width, self.height)
        )
        positions = weights / step
        soft = sum(ops.sigmoid(self.setting * (positions - b)) for b in ops.unstack(borders))
        soft = (soft + float(self.parts.levels.lo)) * scale
        schedule = self.parts.procedure.schedule
        assert schedule is not None
        hard = self._count(weights, step, borders) * scale
        change = ops.where(self.setting >= schedule(1.0), hard - soft, ops.zeros_like(soft))
        return soft + ops.stop_gradient(change)
