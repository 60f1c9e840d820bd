"""The loss that the gradients of the float model foretell."""

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


@sensitivity("taylor")
def measure_taylor(network: Network, found: Survey, seed: int) -> Losses:
    """First term of the loss's Taylor series, per batch.

    loss[l, c] = mean over batches of |g_l . (Q_c(w_l) - w_l)|

    Reference: Molchanov et al. 2017, arXiv:1611.06440, equation 7, with a quantized weight in the
    place of a pruned one.
    """
    losses = empty_losses(found)
    changes = {
        (it.layer, it.pair): change_of_weights(network, it)
        for it in found.deviations
        if changes_weights(found, it)
    }
    batches = 0
    for gradients in Curvature.of(network).gradients():
        batches += 1
        for (layer, pair), change in changes.items():
            losses[layer, pair] += abs(float(np.sum(gradients[layer] * change)))
    return add_activations(network, found, losses / max(batches, 1))
