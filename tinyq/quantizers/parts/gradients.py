"""Gradient estimators: what the derivative of a step function is taken to be."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import keras
from keras import ops

Derivative = Callable[..., Any]


def with_gradient(forward: Callable[..., Any], *derivatives: Derivative) -> Callable[..., Any]:
    """A function with a gradient of one's own choice.

        y = forward(x_1, ..., x_n)
        dL/dx_i = sum(dL/dy * derivative_i(x_1, ..., x_n))    over the axes that x_i lacks

    Args:
        forward: Value, elementwise with broadcasting.
        derivatives: One function per argument of ``forward``, each of all arguments.

    Returns:
        A function of the same arguments.
    """

    @keras.ops.custom_gradient
    def apply(*inputs: Any) -> Any:
        def backward(*args: Any, upstream: Any = None) -> Any:
            (upstream,) = args if upstream is None else (upstream,)
            gradients = tuple(
                _sum_to(upstream * derivative(*inputs), value)
                for derivative, value in zip(derivatives, inputs, strict=True)
            )
            return gradients if len(gradients) > 1 else gradients[0]

        return forward(*inputs), backward

    # Variables become tensors, for TensorFlow refuses custom gradients by variables.
    return lambda *inputs: apply(*(ops.copy(value) for value in inputs))


def with_sums(
    forward: Callable[[Any, Any], Any], by_weights: Derivative, index: Any, by_level: Any
) -> Callable[[Any, Any], Any]:
    """Weights that share levels: a level gets the sum of the gradients of its weights.

        y = forward(w, levels)
        dL/dw_i = dL/dy_i * by_weights(w, levels)_i
        dL/dlevel_j = by_level_j * sum of dL/dy_i over i with index_i = j

    Args:
        forward: Value, of the shape of the weights.
        by_weights: Derivative of y by the weights, of both arguments.
        index: Level of each weight, int32.
        by_level: Derivative of y by its level, shape (levels,).

    Reference: Han et al. 2015, arXiv:1510.00149 (centroids); survey eq. 23 and 24 (TTQ).
    """

    @keras.ops.custom_gradient
    def apply(weights: Any, levels: Any) -> Any:
        def backward(*args: Any, upstream: Any = None) -> Any:
            (upstream,) = args if upstream is None else (upstream,)
            flat = ops.reshape(upstream, (-1,))
            sums = ops.segment_sum(flat, ops.reshape(index, (-1,)), levels.shape[0])
            return upstream * by_weights(weights, levels), sums * by_level

        return forward(weights, levels), backward

    return lambda weights, levels: apply(ops.copy(weights), ops.copy(levels))


def with_learned_step(
    encode: Callable[[Any, Any], Any], lo: float, hi: float
) -> Callable[..., Any]:
    """Codes times a learned step, differentiated by both.

        y        = step * encode(x, step)
        dy/dx    = 1 if lo <= v <= hi else 0,  v = x / step
        dy/dstep = step_slope(codes, v, lo, hi) = (y - x dy/dx) / step

    The second form takes what the first derivative has computed already.

    Args:
        encode: Codes of values and step, lo and hi outside.
        lo: Smallest code.
        hi: Largest code.

    Returns:
        A function of the values and the step, which broadcasts to them.

    Reference: Esser et al. 2020, arXiv:1902.08153.
    """

    @keras.ops.custom_gradient
    def apply(values: Any, step: Any) -> Any:
        inverse = 1.0 / step
        quantized = encode(values, step) * step

        def backward(*args: Any, upstream: Any = None) -> Any:
            (upstream,) = args if upstream is None else (upstream,)
            by_values = upstream * inside(values * inverse, lo, hi)
            slope = upstream * quantized - by_values * values
            return by_values, _sum_to(slope, step) * inverse

        return quantized, backward

    return lambda values, step: apply(ops.copy(values), ops.copy(step))


def damp(value: Any, factor: float) -> Any:
    """The value itself, with a smaller gradient.

        y = x
        dL/dx = factor * dL/dy

    A factor of all of a sum's terms costs nothing here, and a pass over all of them elsewhere.
    """
    return with_gradient(lambda x: x, lambda x: factor)(value)


def identity(values: Any) -> Any:
    """Straight-through estimator.

        dy/dx = 1

    Reference: survey table 3 and section 4.1; Bengio et al. 2013, arXiv:1308.3432.
    """
    return ops.ones_like(values)


def clipped_identity(values: Any) -> Any:
    """Straight-through estimator that stops where the input is saturated.

        dy/dx = 1 if |x| <= 1 else 0

    Reference: survey eq. 31; Courbariaux et al. 2016, arXiv:1602.02830.
    """
    return ops.cast(ops.abs(values) <= 1.0, values.dtype)


def inside(values: Any, lo: Any, hi: Any) -> Any:
    """Straight-through estimator within a range.

        dy/dx = 1 if lo <= x <= hi else 0

    Reference: Jacob et al. 2018, arXiv:1712.05877.
    """
    return ops.cast(ops.logical_and(values >= lo, values <= hi), values.dtype)


def outside(values: Any, lo: Any, hi: Any) -> Any:
    """Derivative of a clipped value by an offset that range and result share.

        dy/doffset = 0 if lo <= x <= hi else 1

    Reference: Bhalgat et al. 2020, arXiv:2004.09576.
    """
    return 1.0 - inside(values, lo, hi)


def below_magnitude(values: Any, level: Any) -> Any:
    """Straight-through estimator within a clipping level on either side.

        dy/dx = 1 if |x| < level else 0

    Reference: Choi et al. 2018, arXiv:1805.06085, with both signs.
    """
    return ops.cast(ops.abs(values) < level, values.dtype)


def positive(values: Any, highest: Any = None) -> Any:
    """Straight-through estimator of positive arguments only; the vanilla ReLU's slope.

        dy/dx = 1 if x > 0 else 0

    Reference: survey section 4.1 (Hinton 2012) and eq. 38; Cai et al. 2017, arXiv:1702.00953.
    """
    del highest
    return ops.cast(values > 0, values.dtype)


def sigmoid_slope(values: Any) -> Any:
    """Slope of the logistic function.

        dy/dx = s * (1 - s),  s = 1 / (1 + exp(-x))

    Reference: survey section 4.1; Bengio et al. 2013, arXiv:1308.3432.
    """
    s = ops.sigmoid(values)
    return s * (1.0 - s)


def quadratic(values: Any) -> Any:
    """Slope of the piecewise quadratic approximation of the sign.

        dy/dx = max(0, 2 - 2 |x|)

    Reference: survey eq. 33; Liu et al. 2018, arXiv:1808.00278.
    """
    return ops.maximum(2.0 - 2.0 * ops.abs(values), 0.0)


def cubic(values: Any) -> Any:
    """Slope of the piecewise cubic approximation of the sign.

        F(x) = (x + 1)**3 - 1 for -1 <= x < 0, (x - 1)**3 + 1 for 0 <= x < 1
        dy/dx = 3 * max(0, 1 - |x|)**2

    Reference: survey eq. 34; Liu et al. 2020, Int. J. Computer Vision 128.
    """
    return 3.0 * ops.square(ops.maximum(1.0 - ops.abs(values), 0.0))


def error_decay(values: Any, sharpness: Any) -> Any:
    """Slope of a hyperbolic tangent that becomes a sign in the course of training.

        dy/dx = k t (1 - tanh(t x)**2),  k = max(1 / t, 1)

    Args:
        values: Real values x.
        sharpness: t, see ``sharpen``.

    Reference: survey eq. 35 and 36; Qin et al. 2020, arXiv:1909.10788.
    """
    factor = ops.maximum(1.0 / sharpness, 1.0)
    return factor * sharpness * (1.0 - ops.square(ops.tanh(sharpness * values)))


def sharpen(progress: float) -> float:
    """Sharpness of ``error_decay`` at a share of the training.

        t = 0.1 * 10**(progress * log10(10 / 0.1))

    Args:
        progress: Epoch over epochs, 0 .. 1.

    Returns:
        0.1 at the start, 10 at the end.

    Reference: survey eq. 36, logarithm to base 10; Qin et al. 2020, arXiv:1909.10788.
    """
    return 0.1 * 10.0 ** (progress * math.log10(10.0 / 0.1))


def clipped_relu(values: Any, highest: float) -> Any:
    """Slope of a ReLU that ends at the largest level.

        dy/dx = 1 if 0 < x <= highest else 0

    Reference: survey eq. 39; Cai et al. 2017, arXiv:1702.00953.
    """
    return ops.cast(ops.logical_and(values > 0, values <= highest), values.dtype)


def log_tail(values: Any, highest: float) -> Any:
    """Slope of a ReLU that goes on as a logarithm above the largest level.

        dy/dx = 0 for x <= 0, 1 for 0 < x <= highest, 1 / (x - tau) above;  tau = highest - 1

    Reference: survey eq. 41, with the tau that makes it continuous; Cai et al. 2017,
        arXiv:1702.00953.
    """
    distance = ops.maximum(values - (highest - 1.0), 1.0)
    return ops.where(values > 0, 1.0 / distance, ops.zeros_like(values))


def unit_box(values: Any, highest: Any = None) -> Any:
    """Straight-through estimator of a value that was clipped to the unit interval.

        dy/dx = 1 if 0 <= x <= 1 else 0

    With x = R + v it is the estimator by R and by the shift v.

    Reference: survey eq. 44, with R + v as in its eq. 42; Lin et al. 2017, arXiv:1711.11294.
    """
    del highest
    return inside(values, 0.0, 1.0)


def step_slope(codes: Any, positions: Any, lo: Any, hi: Any) -> Any:
    """Derivative of a quantized value by its learned step.

        dy/dstep = code - v if lo <= v <= hi else code,  v = x / step

    The factor 1 / sqrt(count * hi) is the caller's.

    Args:
        codes: Codes of the values.
        positions: v.
        lo: Smallest code.
        hi: Largest code.

    Reference: Esser et al. 2020, arXiv:1902.08153.
    """
    return codes - positions * inside(positions, lo, hi)


def clipped_slope(codes: Any, positions: Any, lo: Any, hi: Any) -> Any:
    """Derivative of a quantized value by its step, as if rounding had none.

        dy/dstep = hi if v > hi, lo if v < lo, else 0;  v = x / step

    A clipping level a = hi * step has dy/da = 1 above it, -1 below -a where lo = -hi.

    Args:
        codes: Codes of the values.
        positions: v.
        lo: Smallest code.
        hi: Largest code.

    Reference: survey eq. 47, for both ends; Choi et al. 2018, arXiv:1805.06085.
    """
    return codes * (1.0 - inside(positions, lo, hi))


def below_level(values: Any, level: Any) -> Any:
    """Straight-through estimator of a value that was clipped to a trained level.

        dy/dx = 1 if 0 <= x < level else 0

    Reference: survey eq. 45; Choi et al. 2018, arXiv:1805.06085.
    """
    return ops.cast(ops.logical_and(values >= 0, values < level), values.dtype)


def clip_slope(values: Any, level: Any) -> Any:
    """Derivative of a clipped and quantized value by the clipping level.

        dy/dlevel = 1 if x >= level else 0

    Reference: survey eq. 47; Choi et al. 2018, arXiv:1805.06085.
    """
    return ops.cast(values >= level, values.dtype)


def signed_clip_slope(values: Any, level: Any) -> Any:
    """Derivative of a value that is clipped on either side by the clipping level.

        dy/dlevel = 1 if x >= level, -1 if x <= -level, else 0

    Reference: Choi et al. 2018, arXiv:1805.06085, with both signs.
    """
    return ops.sign(values) * clip_slope(ops.abs(values), level)


def coarse_slope(positions: Any, hi: float) -> Any:
    """Derivative of a quantized ReLU by its step, in three values.

        dy/dstep = 0 for v <= 0, (hi + 1) / 2 for 0 < v <= hi, hi above;  v = x / step

    Reference: Yin et al. 2019, arXiv:1808.05240.
    """
    middle = ops.where(positions > hi, hi, (hi + 1.0) * 0.5)
    return ops.where(positions > 0, middle, ops.zeros_like(positions))


def ternary_weight_slope(codes: Any, positive_scale: Any, negative_scale: Any) -> Any:
    """Derivative of a ternary weight with two scales by the master weight.

        dy/dw = Wp for code +1, 1 for code 0, Wn for code -1

    Reference: survey eq. 23; Zhu et al. 2016, arXiv:1612.01064.
    """
    kept = ops.where(codes > 0, positive_scale, negative_scale)
    return ops.where(codes == 0, ops.ones_like(codes), kept)


def ternary_scale_slopes(codes: Any) -> tuple[Any, Any]:
    """Derivatives of a ternary weight with two scales by these scales.

        y = Wp for code +1, 0 for code 0, -Wn for code -1
        dy/dWp = 1 if code > 0 else 0
        dy/dWn = -1 if code < 0 else 0

    Reference: survey eq. 24, with the sign that its eq. 22 asks for; Zhu et al. 2016,
        arXiv:1612.01064.
    """
    one = ops.ones_like(codes)
    return ops.where(codes > 0, one, 0.0 * one), ops.where(codes < 0, -one, 0.0 * one)


def _sum_to(gradient: Any, value: Any) -> Any:
    """Sum a gradient over the axes along which ``value`` was broadcast."""
    extra = len(gradient.shape) - len(value.shape)
    if extra:
        gradient = ops.sum(gradient, axis=tuple(range(extra)))
    repeated = tuple(
        axis for axis, length in enumerate(value.shape) if length == 1 and gradient.shape[axis] != 1
    )
    return ops.sum(gradient, axis=repeated, keepdims=True) if repeated else gradient
