"""The loss that gradients and curvature of the float model foretell together."""

from __future__ import annotations

import numpy as np

from tinyq.exploration.network import Network
from tinyq.exploration.sensitivities.gradients import (
    Curvature,
    add_activations,
    change_of_weights,
    changes_weights,
)
from tinyq.exploration.sensitivities.registry import empty_losses, sensitivity
from tinyq.exploration.table import Losses, Survey


@sensitivity("second_order")
def measure_second_order(network: Network, found: Survey, seed: int) -> Losses:
    """Both terms of the loss's Taylor series along the change of a layer's weights.

    loss[l, c] = max(0, f(Q_c) - f(Q_0)),  f(Q) = g_l . d + d' H_l d / 2,  d = Q(w_l) - w_l

    with the gradient g and the Hessian H of the float model's loss, and Q_0 the base's method.

    Reference: Qu et al. 2020, Adaptive loss-aware quantization, arXiv:1912.08883, eq. 8 (there for
    the coefficient of each binary base, with the squares of AMSGrad in the place of H).
    """
    del seed
    curvature = Curvature.of(network)
    gradients = average_gradients(curvature)
    changes = {
        (it.layer, it.pair): change_of_weights(network, it)
        for it in found.deviations
        if changes_weights(found, it)
    }
    base = [change_of_weights(network, found.base, name) for name in found.space.layers]
    before = foretell(curvature, gradients, base)
    losses = empty_losses(found)
    for pair in range(1, losses.shape[1]):
        # The blocks of the Hessian stand alone, so that one product tells of all layers.
        vectors = [
            changes.get((layer, pair), np.zeros_like(gradient))
            for layer, gradient in enumerate(gradients)
        ]
        foretold = foretell(curvature, gradients, vectors)
        for layer in range(len(gradients)):
            if (layer, pair) in changes:
                losses[layer, pair] = max(0.0, foretold[layer] - before[layer])
    return add_activations(network, found, losses)


def average_gradients(curvature: Curvature) -> list[np.ndarray]:
    """Gradient of the mean loss by each kernel."""
    totals = [np.zeros(kernel.shape) for kernel in curvature.kernels]
    for size, gradients in zip(curvature.batch_sizes(), curvature.gradients(), strict=True):
        for total, gradient in zip(totals, gradients, strict=True):
            total += size * gradient
    return [total / len(curvature.x) for total in totals]


def foretell(
    curvature: Curvature, gradients: list[np.ndarray], changes: list[np.ndarray]
) -> list[float]:
    """What both terms say of changes of each kernel alone: g . d + d' H d / 2."""
    products = curvature.multiply(changes)
    return [
        float(np.sum(g * d) + 0.5 * np.sum(d * h))
        for g, d, h in zip(gradients, changes, products, strict=True)
    ]
