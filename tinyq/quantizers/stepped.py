"""Activations on levels at any distance: half-wave Gaussian and logarithmic quantizers."""

from __future__ import annotations

from functools import cache
from typing import Any

import keras
import numpy as np
from keras import ops
from scipy.stats import norm

from tinyq.quantizers.activations import ActivationQuantizer
from tinyq.quantizers.encoding import Encoding
from tinyq.quantizers.parts.gradients import Derivative, with_gradient
from tinyq.quantizers.parts.stairs import climb

POSITIVE = 2.0**-100  # what any positive activation reaches, and zero does not
_MOST_U2, _MOST_U4 = 3, 15
SMALLEST_RANGE = 1e-6


@cache
def lloyd_levels(count: int) -> tuple[float, ...]:
    """The positive levels with the least squared error for the positive half of N(0, 1).

        t_1 = 0, t_i = (q_(i-1) + q_i) / 2
        q_i = E[x | t_i < x <= t_(i+1)] = (f(t_i) - f(t_(i+1))) / (F(t_(i+1)) - F(t_i))

    with f and F density and distribution of N(0, 1).

    Args:
        count: Number of positive levels.

    Reference: survey eq. 37; Cai et al. 2017, arXiv:1702.00953.
    """
    levels = norm.ppf(0.5 + (np.arange(count) + 0.5) / (2.0 * count))
    for _ in range(4000):
        borders = np.concatenate([[0.0], (levels[1:] + levels[:-1]) / 2.0, [np.inf]])
        levels = -np.diff(norm.pdf(borders)) / np.diff(norm.cdf(borders))
    return tuple(float(level) for level in levels)


@cache
def fit_integers(levels: tuple[float, ...]) -> tuple[tuple[int, ...], float]:
    """Integers 1 .. 15 and the scale that come nearest to positive levels.

        min over integers n and scale s of sum_i p_i (q_i - s n_i)**2

    where p_i is the share of N(0, 1) that is next to q_i.

    Args:
        levels: Ascending, at most 15.
    """
    wanted = np.array(levels)
    borders = np.concatenate([[0.0], (wanted[1:] + wanted[:-1]) / 2.0, [np.inf]])
    share = np.diff(norm.cdf(borders))
    best: tuple[float, tuple[int, ...], float] = (np.inf, (), 1.0)
    for top in range(len(levels), _MOST_U4 + 1):
        whole = np.floor(wanted * (top / wanted[-1]) + 0.5)
        scale = float((share * whole * wanted).sum() / (share * np.square(whole)).sum())
        error = float((share * np.square(wanted - scale * whole)).sum())
        if (np.diff(whole, prepend=0.0) > 0).all() and error < 0.999 * best[0]:
            best = (error, tuple(int(number) for number in whole), scale)
    return best[1], best[2]


def middle_borders(levels: tuple[int, ...]) -> tuple[float, ...]:
    """Where each positive level begins: the first right above 0, others between two levels.

    Reference: survey eq. 37: there is no bin of zero for small positive values.
    """
    pairs = zip(levels[:-1], levels[1:], strict=True)
    return (POSITIVE, *((low + high) / 2.0 for low, high in pairs))


def log_borders(levels: tuple[int, ...]) -> tuple[float, ...]:
    """The same in the logarithm: the border of two levels is their geometric mean.

    Reference: survey eq. 56 with its bounds: all positive values below take the smallest level.
    """
    pairs = zip(levels[:-1], levels[1:], strict=True)
    return (POSITIVE, *((low * high) ** 0.5 for low, high in pairs))


class SteppedQuantizer(ActivationQuantizer):
    """Zero and positive levels that are integers times a scale, at any distance.

        y     = scale * n_i for t_i <= x / scale < t_(i+1), 0 for x <= 0
        dy/dx = derivative(x, scale * n_m)

    Args:
        levels: n_1 .. n_m, ascending, at most 15 of them; up to 15 in u4, else up to 255 in s8.
        borders: t_1 .. t_m.
        derivative: Gradient estimator, of the value and the largest level.
        scale: Real value of 1; where left out, the power of two that puts the largest level next
            to the moving average of the maximum.
        planes: Whether levels up to 3 lie in bit planes, format u2.

    Reference: survey eq. 37 and 56.
    """

    def __init__(
        self,
        levels: tuple[int, ...],
        borders: tuple[float, ...],
        derivative: Derivative,
        scale: float | None = None,
        planes: bool = False,
        **options: Any,
    ) -> None:
        narrow = "u2" if planes and levels[-1] <= _MOST_U2 else "u4"
        super().__init__(narrow if levels[-1] <= _MOST_U4 else "s8", **options)
        self.levels = (0, *levels)
        self.borders = borders
        self.derivative = derivative
        self.fixed = scale

    @property
    def signed(self) -> bool:
        """False: 0 is the smallest code, in s8 too."""
        return False

    def build(self, input_shape: Any) -> None:
        """Create the scale or the range that it follows, variables both."""
        del input_shape
        first = 1.0 if self.fixed is None else self.fixed * self.levels[-1]
        self.top = self._state("top", first)
        self.seen = self._state("seen", float(self.fixed is not None))

    def _state(self, name: str, value: float) -> Any:
        initializer = keras.initializers.Constant(value)
        return self.add_weight(name=name, shape=(), initializer=initializer, trainable=False)

    def ready(self) -> bool:
        """Whether a batch has been seen or the scale is fixed."""
        return bool(ops.convert_to_numpy(self.seen.value) > 0)

    def encoding(self) -> Encoding:
        """Scale and zero point as they are now."""
        lowest = self.format.lo
        scale = self._scale(self.top.value)
        steps = tuple(level + lowest for level in self.levels)
        zero = ops.ones_like(scale) * lowest
        return Encoding(self.format, scale, zero, steps[-1], steps, self.borders)

    def _scale(self, top: Any) -> Any:
        if self.fixed is None:
            top = ops.power(2.0, ops.floor(ops.log2(ops.maximum(top, SMALLEST_RANGE)) + 0.5))
        return top * (1.0 / self.levels[-1])

    def estimators(self) -> dict[str, Derivative]:
        """Gradient estimators."""
        return {"x": self.derivative}

    def call(self, inputs: Any, training: bool = False) -> Any:
        """Fake-quantized values."""
        if training and self.fixed is None:
            self._observe(ops.stop_gradient(inputs))
        encoding = self.encoding()
        highest = encoding.scale * float(self.levels[-1])

        def forward(x: Any) -> Any:
            return climb(x / encoding.scale, self.borders, self.levels[1:]) * encoding.scale

        return with_gradient(forward, lambda x: self.derivative(x, highest))(inputs)

    def _observe(self, values: Any) -> None:
        keep = ops.where(self.seen.value > 0, 0.95, 0.0)
        self.top.assign(keep * self.top + (1.0 - keep) * ops.max(values))
        self.seen.assign(ops.ones_like(self.seen))
