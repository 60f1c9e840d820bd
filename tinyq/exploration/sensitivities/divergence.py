"""The loss of the whole network when one layer alone has fewer bits."""

from __future__ import annotations

from tinyq.exploration.network import Network
from tinyq.exploration.sensitivities.registry import empty_losses, sensitivity
from tinyq.exploration.table import Losses, Survey


@sensitivity("divergence")
def measure_divergence(network: Network, found: Survey, seed: int) -> Losses:
    """How far the network's answers move, in the integers of the deployed code.

    loss[l, c] = max(0, L(base with pair c at layer l) - L(base)),

    with L of `tinyq.exploration.network.Network.loss`. Covers weights and activations alike.

    Reference: Cai et al. 2020, ZeroQ, arXiv:2001.00281, section 3.2 (there with synthetic inputs).
    """
    losses = empty_losses(found)
    base = network.loss(network.answer(found.base.model))
    for it in found.deviations:
        loss = network.loss(network.answer(it.model))
        losses[it.layer, it.pair] = max(0.0, loss - base)
    return losses
