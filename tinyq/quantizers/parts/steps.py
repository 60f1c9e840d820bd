"""Steps: what a weight is held against before it becomes a code (a step or a threshold)."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
from keras import ops

from tinyq.quantizers.parts.levels import Levels
from tinyq.quantizers.parts.sorting import call_numpy, find_ranked

Axes = tuple[int, ...]
Step = Callable[[Any, Axes], Any]

# Sums of a million magnitudes on this grid are exact in float64.
_INTEGERS = 2.0**32
_SMALLEST_MAGNITUDE = 1e-30
# c_1 and c_2 by bits: lines through the best ends for six distributions.
MOMENTS = {2: (3.12, 2.064), 3: (7.509, 6.892), 4: (12.68, 12.80)}


def max_abs_step(hi: int) -> Step:
    """Step that puts the largest magnitude on the largest code.

        step = max |w| / hi, or 1 where all weights are 0

    Args:
        hi: Largest code of the level set.

    Returns:
        A function of weights and the axes over which one step is shared; keeps dimensions.

    Reference: Jacob et al. 2018, arXiv:1712.05877.
    """

    def step(weights: Any, axes: Axes) -> Any:
        # A product, because a graph optimizer may turn a quotient by a constant into one.
        value = ops.max(ops.abs(weights), axis=axes, keepdims=True) * (1.0 / hi)
        return ops.where(value > 0, value, ops.ones_like(value))

    return step


def ternary_threshold(weights: Any, axes: Axes) -> Any:
    """Threshold of ternary weight networks.

        threshold = 0.7 * mean |w|

    Args:
        weights: Real weights.
        axes: Axes over which one threshold is shared.

    Returns:
        The threshold, dimensions kept.

    Reference: survey eq. 18; Li et al. 2016, arXiv:1605.04711.
    """
    return 0.7 * ops.mean(ops.abs(weights), axis=axes, keepdims=True)


def share_of_max(share: float) -> Step:
    """Threshold as a share of the largest magnitude.

        threshold = share * max |w|

    Args:
        share: Positive, less than 1.

    Reference: survey eq. 25; Zhu et al. 2016, arXiv:1612.01064.
    """

    def threshold(weights: Any, axes: Axes) -> Any:
        return share * ops.max(ops.abs(weights), axis=axes, keepdims=True)

    return threshold


def sparsity(zeros: float) -> Step:
    """Threshold below which a given share of the weights lies.

        threshold = the magnitude of rank floor(zeros * count)

    Args:
        zeros: Share of the weights that become 0, 0 .. 1.

    Reference: survey section 3.4.3; Zhu et al. 2016, arXiv:1612.01064.
    """

    def threshold(weights: Any, axes: Axes) -> Any:
        magnitudes = _by_group(ops.abs(weights), axes)
        index = int(zeros * magnitudes.shape[-1])
        if index == 0:
            return _keepdims(ops.zeros_like(magnitudes[..., 0]), weights, axes)
        return _keepdims(find_ranked(magnitudes, index - 1), weights, axes)

    return threshold


def half_mean_and_max(share: float) -> Step:
    """Half of a scale made of mean and maximum.

        threshold = (mean |w| + share * max |w|) / 2

    Args:
        share: Weight of the maximum.

    Reference: survey eq. 26 and 27, with |w|; Zhou et al. 2018, Explicit loss-error-aware
        quantization.
    """

    def threshold(weights: Any, axes: Axes) -> Any:
        magnitudes = ops.abs(weights)
        mean = ops.mean(magnitudes, axis=axes, keepdims=True)
        return 0.5 * (mean + share * ops.max(magnitudes, axis=axes, keepdims=True))

    return threshold


def half_mean(weights: Any, axes: Axes) -> Any:
    """Middle between 0 and the mean magnitude.

        threshold = mean |w| / 2

    Reference: survey section 4.3.3 (eq. 51); Razani et al. 2021, arXiv:1909.12205.
    """
    return 0.5 * ops.mean(ops.abs(weights), axis=axes, keepdims=True)


def best_ternary_threshold(weights: Any, axes: Axes) -> Any:
    """The threshold of the ternary weights with the least squared error.

        threshold = argmax over D of (sum of |w| > D)**2 / count of |w| > D

    Magnitudes are sorted, and every number of kept weights is tried; the threshold lies in the
    middle between the last that is kept and the next. Sums are of integers, so that they are the
    same in whatever order a device adds: of two nearly equal gains all choose the same.

    Reference: survey eq. 17, as an argmax; Li et al. 2016, arXiv:1605.04711.
    """
    magnitudes = _by_group(ops.abs(weights), axes)
    found = call_numpy(_part_magnitudes, [magnitudes], magnitudes.shape[:-1])
    return _keepdims(found, weights, axes)


def _part_magnitudes(magnitudes: np.ndarray) -> np.ndarray:
    """Threshold of each row of magnitudes, float32, shape (..., count)."""
    falling = np.sort(magnitudes, axis=-1)[..., ::-1]
    gain = falling.astype(np.float64)  # computed in place: new arrays cost more than sums
    gain /= np.maximum(gain[..., :1], _SMALLEST_MAGNITUDE)
    gain *= _INTEGERS
    np.cumsum(np.floor(gain, out=gain), axis=-1, out=gain)
    np.square(gain, out=gain)
    gain *= _shares(gain.shape[-1])
    best = np.argmax(gain, axis=-1)[..., None]
    last = np.take_along_axis(falling, best, axis=-1)
    following = np.minimum(best + 1, gain.shape[-1] - 1)
    after = np.take_along_axis(falling, following, axis=-1) * (following > best)
    return np.asarray(np.float32(0.5) * (last + after)[..., 0])


@cache
def _shares(count: int) -> np.ndarray:
    """1 / k for k = 1 .. count, float64."""
    return 1.0 / np.arange(1, count + 1)


def fitted_step(levels: Levels, rounds: int = 6) -> Step:
    """Step with a small squared error, by turns of encoding and fitting.

        step = max |w| / hi at first, then sum(w * code) / sum(code**2) of the codes it gives

    Args:
        levels: Level set.
        rounds: Number of turns.

    Reference: survey eq. 5 and 16; Sung et al. 2015, arXiv:1511.06488.
    """
    start = max_abs_step(levels.hi)

    def step(weights: Any, axes: Axes) -> Any:
        step = start(weights, axes)
        for _ in range(rounds):
            codes = levels.encode(weights, step)
            power = ops.sum(ops.square(codes), axis=axes, keepdims=True)
            fitting = ops.sum(weights * codes, axis=axes, keepdims=True) / ops.maximum(power, 1.0)
            step = ops.where(fitting > 0, fitting, step)
        return step

    return step


def fixed_step(step: float) -> Step:
    """A step that is known beforehand.

        step = constant

    Args:
        step: Real value of one code step.
    """

    def fixed(weights: Any, axes: Axes) -> Any:
        return ops.full_like(ops.max(weights, axis=axes, keepdims=True), step)

    return fixed


def smallest_power(count: int, log: bool = False) -> Step:
    """Smallest of ``count`` powers of two whose largest is near the largest magnitude.

        step = 2**(floor(log2(r * max |w|)) + 1 - count), or 1 where all weights are 0
        r    = 4/3, or the root of 2 for rounding in the logarithm

    Args:
        count: Number of exponents.
        log: Whether the level set rounds in the logarithm.

    Reference: Zhou et al. 2017, arXiv:1702.03044.
    """
    ratio = 2.0**0.5 if log else 4.0 / 3.0

    def step(weights: Any, axes: Axes) -> Any:
        largest = ops.max(ops.abs(weights), axis=axes, keepdims=True)
        exponent = ops.floor(ops.log2(ops.maximum(largest, 2.0**-60) * ratio))
        power = ops.power(2.0, exponent + (1.0 - count))
        return ops.where(largest > 0, power, ops.ones_like(power))

    return step


def mean_step(hi: int) -> Step:
    """Step that learning starts from.

        step = 2 * mean |w| / sqrt(hi), or 1 where all weights are 0

    Args:
        hi: Largest code of the level set.

    Reference: Esser et al. 2020, arXiv:1902.08153.
    """

    def step(weights: Any, axes: Axes) -> Any:
        value = ops.mean(ops.abs(weights), axis=axes, keepdims=True) * (2.0 / hi**0.5)
        return ops.where(value > 0, value, ops.ones_like(value))

    return step


def mean_abs_step(weights: Any, axes: Axes) -> Any:
    """The mean magnitude.

        step = mean |w|, or 1 where all weights are 0

    Reference: Ma et al. 2024, arXiv:2402.17764.
    """
    value = ops.mean(ops.abs(weights), axis=axes, keepdims=True)
    return ops.where(value > 0, value, ops.ones_like(value))


def statistics_step(bits: int) -> Step:
    """Step of odd codes whose ends follow from two moments of the weights.

        step = (c_1 sqrt(mean w**2) - c_2 mean |w|) / (2**bits - 1), or mean_abs_step where that is
               not positive

    Args:
        bits: Bits of a code, 2 .. 4.

    Reference: Choi et al. 2019, Accurate and efficient 2-bit quantized neural networks (SAWB).
    """
    square, mean = MOMENTS[bits]

    def step(weights: Any, axes: Axes) -> Any:
        root = ops.sqrt(ops.mean(ops.square(weights), axis=axes, keepdims=True))
        reach = square * root - mean * ops.mean(ops.abs(weights), axis=axes, keepdims=True)
        fallback = mean_abs_step(weights, axes)
        return ops.where(reach > 0, reach * (1.0 / (2**bits - 1)), fallback)

    return step


def share_of_mean_step(bits: int) -> Step:
    """Step of odd codes whose ends are nearly twice the mean magnitude.

        step = mean |w| / 2**(bits - 1), so that the ends are (2**bits - 1) / 2**(bits - 1) mean |w|

    Args:
        bits: Bits of a code.

    Reference: Liu et al. 2022, arXiv:2111.14826, section 3.3.
    """

    def step(weights: Any, axes: Axes) -> Any:
        return mean_abs_step(weights, axes) * 2.0 ** (1 - bits)

    return step


def _by_group(values: Any, axes: Axes) -> Any:
    """The values that share a threshold side by side on the last axis."""
    kept = [axis for axis in range(len(values.shape)) if axis not in axes]
    moved = ops.transpose(values, (*kept, *axes))
    return ops.reshape(moved, (*(values.shape[axis] for axis in kept), -1))


def _keepdims(reduced: Any, values: Any, axes: Axes) -> Any:
    """One value per reduced_axes under the shape that reductions of ``values`` keep."""
    shape = tuple(1 if axis in axes else n for axis, n in enumerate(values.shape))
    return ops.reshape(reduced, shape)


def no_step(weights: Any, axes: Axes) -> None:
    """Nothing: a sign needs neither step nor threshold."""
    del weights, axes
