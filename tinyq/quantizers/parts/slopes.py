"""Gradient estimators of newer methods: soft steps, trained thresholds, stochastic signs."""

from __future__ import annotations

import math
from typing import Any

import keras
from keras import ops

from tinyq.quantizers.parts.gradients import inside

_ROOT = math.sqrt(2.0)
FIRST_SHARPNESS, LAST_SHARPNESS = -2.0, 1.0  # logarithms to base 10


def stochastic_slope(values: Any) -> Any:
    """Slope of the mean of a random sign.

        P(+1) = sigma(x), E[y] = 2 sigma(x) - 1
        dy/dx = 2 sigma(x) (1 - sigma(x))

    Reference: Raiko et al. 2014, arXiv:1406.2989, for units that are 0 or 1.
    """
    share = ops.sigmoid(values)
    return 2.0 * share * (1.0 - share)


def aware_quadratic(values: Any, sharpness: Any) -> Any:
    """Slope of a piecewise quadratic sign that becomes steep in the course of training.

        dy/dx = max(0, k (sqrt(2) t - t**2 |x|)),  k = max(1 / t, 1)

    Args:
        values: Real values x.
        sharpness: t, see ``sharpen_quadratic``.

    Reference: Lin et al. 2020, arXiv:2009.13055, eq. 21 and 22.
    """
    factor = ops.maximum(1.0 / sharpness, 1.0)
    slope = _ROOT * sharpness - ops.square(sharpness) * ops.abs(values)
    return ops.maximum(factor * slope, 0.0)


def sharpen_quadratic(progress: float) -> float:
    """Sharpness of ``aware_quadratic`` at a share of the training.

        t = 10**(-2 + 3 progress)

    Reference: Lin et al. 2020, arXiv:2009.13055, eq. 23.
    """
    return float(10.0 ** (FIRST_SHARPNESS + progress * (LAST_SHARPNESS - FIRST_SHARPNESS)))


def tanh_slope(values: Any) -> Any:
    """Slope of a hyperbolic tangent.

    dy/dx = 1 - tanh(x)**2
    """
    return 1.0 - ops.square(ops.tanh(values))


def calibrated_clip_slope(values: Any, level: Any, steps: int) -> Any:
    """Derivative of a clipped and quantized value by the clipping level, with what rounding adds.

        dy/dlevel = q(x / a) - x / a for 0 <= x < a, 1 for x >= a, 0 below

    Args:
        values: Real values x.
        level: a.
        steps: Positive codes.

    Reference: Jin et al. 2019, arXiv:1912.10207 (CG-PACT).
    """
    position = values / level
    rounded = ops.floor(position * steps + 0.5) * (1.0 / steps)
    middle = (rounded - position) * ops.cast(
        ops.logical_and(values >= 0, values < level), values.dtype
    )
    return middle + ops.cast(values >= level, values.dtype)


def soft_step(positions: Any, softness: Any) -> Any:
    """A stairway of hyperbolic tangents, whose steps have height and width 1.

        phi(v) = i + 1/2 + tanh(k (v - i - 1/2)) / (2 (1 - a)),  i = floor(v)
        k      = ln(2 / a - 1), so that tanh(k / 2) = 1 - a

    Args:
        positions: v, in parts of a step.
        softness: a, 0 .. 1: 0 is a stairway, 1 nearly a line.

    Reference: Gong et al. 2019, arXiv:1908.05033, eq. 4 to 7.
    """
    floor = ops.floor(positions)
    bend = ops.tanh(_steepness(softness) * (positions - floor - 0.5))
    return floor + 0.5 + 0.5 * bend / (1.0 - softness)


def soft_step_slope(positions: Any, softness: Any) -> Any:
    """Derivative of ``soft_step`` by v.

    dphi/dv = k (1 - tanh(k (v - i - 1/2))**2) / (2 (1 - a))
    """
    steepness = _steepness(softness)
    bend = ops.tanh(steepness * (positions - ops.floor(positions) - 0.5))
    return 0.5 * steepness * (1.0 - ops.square(bend)) / (1.0 - softness)


def softness_slope(positions: Any, softness: Any) -> Any:
    """Derivative of ``soft_step`` by a.

    dphi/da = (u (1 - T**2) dk/da + T / (1 - a)) / (2 (1 - a))
    u = v - i - 1/2,  T = tanh(k u),  dk/da = -2 / (a (2 - a))
    """
    offset = positions - ops.floor(positions) - 0.5
    bend = ops.tanh(_steepness(softness) * offset)
    by_steepness = offset * (1.0 - ops.square(bend))
    rest = 1.0 - softness
    change = -2.0 / (softness * (2.0 - softness))
    return 0.5 * (by_steepness * change + bend / rest) / rest


def _steepness(softness: Any) -> Any:
    return ops.log(2.0 / softness - 1.0)


def soft_width_slope(positions: Any, softness: Any, lo: Any, hi: Any) -> Any:
    """Derivative of a soft stairway by the width that its steps share with their height.

        y = s phi(x / s)
        dy/ds = phi(v) - v dphi/dv if lo <= v <= hi, else lo or hi;  v = x / s

    Args:
        positions: v.
        softness: See ``soft_step``.
        lo: Smallest code.
        hi: Largest code.

    Reference: Gong et al. 2019, arXiv:1908.05033, with both ends of the range at whole steps.
    """
    within = inside(positions, lo, hi)
    kept = ops.clip(positions, lo, hi)
    inner = soft_step(kept, softness) - kept * soft_step_slope(kept, softness)
    return within * inner + (1.0 - within) * kept


def scale_by_distance(values: Any, distance: Any, factor: float) -> Any:
    """The values as they are; their gradient grows where it points away from the own code.

        y = x,  dL/dx = dL/dy (1 + factor sign(dL/dy) (x - x_q))

    Args:
        values: Real values, in parts of a step.
        distance: x - x_q, the same shape.
        factor: 0 or more.

    Reference: Lee et al. 2021, arXiv:2104.00903, eq. 5.
    """

    @keras.ops.custom_gradient
    def apply(inputs: Any, apart: Any) -> Any:
        def backward(*args: Any, upstream: Any = None) -> Any:
            (upstream,) = args if upstream is None else (upstream,)
            grown = upstream * (1.0 + factor * ops.sign(upstream) * apart)
            return grown, ops.zeros_like(apart)

        return ops.copy(inputs), backward

    return apply(ops.copy(values), ops.copy(distance))


def tanh_then_identity(values: Any, setting: Any) -> Any:
    """Slope of a hyperbolic tangent that a sign follows upon.

        dy/dx = 1 - tanh(x)**2 while setting < 1, then 1

    Reference: Kim and Smaragdis 2016, arXiv:1601.06071, section 3.
    """
    return ops.where(setting >= 1.0, ops.ones_like(values), tanh_slope(values))
