"""What is done to master weights before they are quantized; gradients pass through it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from keras import ops

Axes = tuple[int, ...]
Preparation = Callable[[Any, Axes], Any]
SMALLEST_DEVIATION = 1e-8


def standardize(weights: Any, axes: Axes) -> Any:
    """Mean 0 and deviation 1, so that signs are balanced.

        w' = (w - mean(w)) / deviation(w)

    Args:
        weights: Real weights.
        axes: Axes over which one mean is shared.

    Reference: Qin et al. 2020, arXiv:1909.10788, eq. 7.
    """
    centered = weights - ops.mean(weights, axis=axes, keepdims=True)
    variance = ops.mean(ops.square(centered), axis=axes, keepdims=True)
    # The maximum stands between root and quotient: an optimizer would join them and round anew.
    root = ops.sqrt(ops.maximum(variance, SMALLEST_DEVIATION**2))
    return centered / ops.maximum(root, SMALLEST_DEVIATION)


def squash(weights: Any, axes: Axes) -> Any:
    """Hyperbolic tangents with the largest magnitude at 1.

        w' = tanh(w) / max |tanh(w)|, or 0 where all weights are 0

    Args:
        weights: Real weights.
        axes: Axes over which one maximum is shared.

    Reference: Zhou et al. 2016, arXiv:1606.06160, eq. 9.
    """
    bent = ops.tanh(weights)
    largest = ops.max(ops.abs(bent), axis=axes, keepdims=True)
    return bent / ops.maximum(largest, 1e-30)
