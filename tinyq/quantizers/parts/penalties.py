"""Terms of the loss that draw master weights towards levels."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from keras import ops

Penalty = Callable[[Any, Any, Any], Any]


def far_from_one(weights: Any, quantized: Any, step: Any) -> Any:
    """Distance of squares from one; only for weights that are kept within -1 .. 1.

        R = sum(1 - w**2)

    Reference: survey eq. 50; Tang et al. 2017, How to train a compact binary neural network.
    """
    del quantized, step
    return ops.sum(1.0 - ops.square(weights))


def binary_or_ternary(slope: float) -> Penalty:
    """Distance from the nearest of -mu, 0 and mu, where 0 has a slope of its own.

        R = sum(min(abs(|w| - mu), slope * |w|)),  mu = mean |w|

    Args:
        slope: Tangent of beta; the larger, the more weights leave 0.

    Reference: survey eq. 51 with p = 1; Razani et al. 2021, arXiv:1909.12205.
    """

    def penalty(weights: Any, quantized: Any, step: Any) -> Any:
        del quantized, step
        magnitudes = ops.abs(weights)
        middle = ops.stop_gradient(ops.mean(magnitudes))
        return ops.sum(ops.minimum(ops.abs(magnitudes - middle), slope * magnitudes))

    return penalty


def distance(weights: Any, quantized: Any, step: Any) -> Any:
    """Mean distance from the own quantized value, in parts of the largest level.

        R = sum |w - w_q| / (max |w_q| * count)

    Reference: survey eq. 52; Wess et al. 2018, Weighted quantization-regularization in DNNs.
    """
    del step
    largest = ops.maximum(ops.max(ops.abs(quantized)), 1e-30)
    return ops.mean(ops.abs(weights - quantized)) / largest


def weighted_distance(weights: Any, quantized: Any, step: Any) -> Any:
    """The same, weighted by the magnitude: powers of two lie far apart where they are large.

        R = sum(|w - w_q| * |w|) / (max |w_q|**2 * count)

    Reference: survey eq. 53; Wess et al. 2018, Weighted quantization-regularization in DNNs.
    """
    del step
    largest = ops.maximum(ops.max(ops.abs(quantized)), 1e-30)
    return ops.mean(ops.abs(weights - quantized) * ops.abs(weights)) / ops.square(largest)


def periodic(weights: Any, quantized: Any, step: Any) -> Any:
    """A wave that is 0 at every multiple of the step.

        R = sum(sin(pi * w / step)**2)

    Reference: survey section 4.3.3; Naumov et al. 2018, arXiv:1811.09862.
    """
    del quantized
    return ops.sum(ops.square(ops.sin(math.pi * weights / step)))


def smooth_distance(lo: int, hi: int) -> Penalty:
    """Squared distance from the levels, smooth within their range and exact outside of it.

        R = sum((step / pi)**2 * sin(pi * u / step)**2 + (w - u)**2),  u = clip(w, lo step, hi step)

    The first term draws weights to levels, the second one keeps the step from vanishing, so that
    the step can be trained by R alone.

    Args:
        lo: Smallest code.
        hi: Largest code.

    Reference: Chikin et al. 2022, Explicit model size control and relaxation via smooth
        regularization.
    """

    def penalty(weights: Any, quantized: Any, step: Any) -> Any:
        del quantized
        within = ops.clip(weights, lo * step, hi * step)
        wave = ops.square(step * (1.0 / math.pi) * ops.sin(math.pi * within / step))
        return ops.sum(wave + ops.square(weights - within))

    return penalty
