"""What is done to master weights before they are quantized; gradients pass through it."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from keras import ops

from tinyq.quantizers.parts.gradients import with_gradient
from tinyq.quantizers.parts.sorting import find_ranked

Axes = tuple[int, ...]
Preparation = Callable[[Any, Axes], Any]
SMALLEST_DEVIATION = 1e-8


def standardize(weights: Any, axes: Axes) -> Any:
    """Mean 0 and deviation 1, so that signs are balanced.

        w' = (w - mean(w)) / deviation(w)

    Args:
        weights: Real weights.
        axes: Axes over which one mean is shared.

    Reference: Qin et al. 2020, arXiv:1909.10788.
    """
    centered = weights - ops.mean(weights, axis=axes, keepdims=True)
    variance = ops.mean(ops.square(centered), axis=axes, keepdims=True)
    # The maximum stands between root and quotient: an optimizer would join them and round anew.
    root = ops.sqrt(ops.maximum(variance, SMALLEST_DEVIATION**2))
    return centered / ops.maximum(root, SMALLEST_DEVIATION)


def center(weights: Any, axes: Axes) -> Any:
    """Mean 0, so that signs are balanced; the deviation stays.

        w' = w - mean(w)

    Args:
        weights: Real weights.
        axes: Axes over which one mean is shared.

    Reference: Shen et al. 2020, arXiv:1909.12117.
    """
    return weights - ops.mean(weights, axis=axes, keepdims=True)


def squash(weights: Any, axes: Axes) -> Any:
    """Hyperbolic tangents with the largest magnitude at 1.

        w' = tanh(w) / max |tanh(w)|, or 0 where all weights are 0

    Args:
        weights: Real weights.
        axes: Axes over which one maximum is shared.

    Reference: Zhou et al. 2016, arXiv:1606.06160.
    """
    bent = ops.tanh(weights)
    largest = ops.max(ops.abs(bent), axis=axes, keepdims=True)
    return bent / ops.maximum(largest, 1e-30)


def prune(weights: Any, share: Any) -> Any:
    """Zero in place of the smallest weights; gradients pass to all, so that a weight can return.

        w' = 0 for the floor(share * count) smallest |w|, else w
        dw'/dw = 1

    Args:
        weights: Real weights.
        share: 0 .. 1, float32 without axes.

    Reference: Zhu and Gupta 2017, arXiv:1710.01878.
    """

    def cut(values: Any, part: Any) -> Any:
        magnitudes = ops.abs(values)
        count = ops.cast(ops.floor(part * math.prod(values.shape)), "int32")
        last = find_ranked(ops.reshape(magnitudes, (-1,)), ops.maximum(count - 1, 0))
        threshold = ops.where(count > 0, last, -ops.ones_like(last))
        return ops.where(magnitudes > threshold, values, ops.zeros_like(values))

    return with_gradient(
        cut, lambda values, part: ops.ones_like(values), lambda values, part: ops.zeros_like(values)
    )(weights, share)


def pruned(share: float) -> Preparation:
    """``prune`` with a share that stays.

    Args:
        share: Share of the weights that become 0.
    """

    def cut(weights: Any, axes: Axes) -> Any:
        del axes
        return prune(weights, ops.convert_to_tensor(share, "float32"))

    return cut
