"""Scales: the real value of one code step of the weights."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from keras import ops

Axes = tuple[int, ...]
Scale = Callable[[Any, Any, Any, Axes], Any]


def step_scale(weights: Any, codes: Any, step: Any, axes: Axes) -> Any:
    """The step with which the codes were found.

    scale = step
    """
    del weights, codes, axes
    return step


def mean_abs_scale(weights: Any, codes: Any, step: Any, axes: Axes) -> Any:
    """Mean magnitude: the scale with the least squared error for signs.

        scale = mean |w|

    Reference: survey section 3.4.3; Rastegari et al. 2016, arXiv:1603.05279.
    """
    del codes, step
    return ops.mean(ops.abs(weights), axis=axes, keepdims=True)


def kept_mean_scale(weights: Any, codes: Any, step: Any, axes: Axes) -> Any:
    """Mean magnitude of the weights whose code is not 0.

        scale = sum |w * code| / sum |code|, or 0 where all codes are 0

    Reference: survey eq. 17; Li et al. 2016, arXiv:1605.04711.
    """
    del step
    kept = ops.abs(codes)
    count = ops.sum(kept, axis=axes, keepdims=True)
    return ops.sum(ops.abs(weights) * kept, axis=axes, keepdims=True) / ops.maximum(count, 1.0)


def no_scale(weights: Any, codes: Any, step: Any, axes: Axes) -> Any:
    """One.

    scale = 1
    """
    del codes, step
    return ops.ones_like(ops.max(weights, axis=axes, keepdims=True))


def doubled_step(weights: Any, codes: Any, step: Any, axes: Axes) -> Any:
    """Twice the threshold.

        scale = 2 * step

    Reference: survey eq. 27, read from the scale; Zhou et al. 2018, Explicit loss-error-aware
        quantization.
    """
    del weights, codes, axes
    return 2.0 * step


def fitted_scale(weights: Any, codes: Any, step: Any, axes: Axes) -> Any:
    """The scale with the least squared error for given codes.

        scale = sum(w * code) / sum(code**2), or 0 where all codes are 0

    Reference: survey eq. 5 (the step); Hwang and Sung 2014, Fixed-point feedforward deep neural
        network design.
    """
    del step
    power = ops.sum(ops.square(codes), axis=axes, keepdims=True)
    return ops.sum(weights * codes, axis=axes, keepdims=True) / ops.maximum(power, 1.0)


def balanced_scale(hi: int) -> Scale:
    """Scale that gives the largest code the largest magnitude.

        scale = max |w| / hi

    Args:
        hi: Largest code.

    Reference: Zhou et al. 2017, arXiv:1706.07145.
    """

    def scale(weights: Any, codes: Any, step: Any, axes: Axes) -> Any:
        del codes, step
        return ops.max(ops.abs(weights), axis=axes, keepdims=True) * (1.0 / hi)

    return scale


def unit_output_scale(weights: Any, codes: Any, step: Any, axes: Axes) -> Any:
    """A scale with which sums have the variance of the layer's inputs on their way back.

        scale = step / sqrt(n var(step code)) = 1 / sqrt(n var(code)),  n output channels

    Reference: Jin et al. 2019, Towards efficient training for neural network quantization (SAT).
    """
    del step
    outputs = float(weights.shape[-1])
    mean = ops.mean(codes, axis=axes, keepdims=True)
    variance = ops.mean(ops.square(codes), axis=axes, keepdims=True) - ops.square(mean)
    return 1.0 / ops.sqrt(outputs * ops.maximum(variance, 1e-6))


def power_of_two(scale: Scale) -> Scale:
    """Round another scale to a power of two: a shift on the device.

        scale' = 2**floor(log2(scale) + 1/2), or 0 where scale is 0

    Reference: survey section 3.4.3; Qin et al. 2020, arXiv:1909.10788.
    """

    def rounded(weights: Any, codes: Any, step: Any, axes: Axes) -> Any:
        value = scale(weights, codes, step, axes)
        exponent = ops.floor(ops.log2(ops.maximum(value, 2.0**-60)) + 0.5)
        return ops.where(value > 0, ops.power(2.0, exponent), ops.zeros_like(value))

    return rounded
