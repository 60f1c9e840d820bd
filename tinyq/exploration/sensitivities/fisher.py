"""The error of a layer's output, weighed by how much the loss minds it."""

from __future__ import annotations

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from tinyq.exploration.network import Network
from tinyq.exploration.sensitivities.gradients import Curvature, changes_form
from tinyq.exploration.sensitivities.registry import empty_losses, sensitivity
from tinyq.exploration.table import Losses, Survey
from tinyq.training.patterns import find_fused_layers

_SAMPLES = 256


@sensitivity("fisher")
def measure_fisher(network: Network, found: Survey, seed: int) -> Losses:
    """Squared error of the output of the layer that has fewer bits, weighed by squared gradients.

    loss[l, c] = mean over samples of 1/2 sum (z_q - z)^2 (dL/dz)^2

    with z the output of layer l in the float model, and what the base's bits cost taken off.

    Reference: Li et al. 2021, BRECQ, arXiv:2102.05426, equation 10 and section 3.4.
    """
    del seed
    x, values, slopes = trace_outputs(network)
    names = list(found.space.layers)
    base = found.base.model
    losses = empty_losses(found)
    whole = network.loss(network.answer(base))
    before = [_weigh(base, name, x, values[name], slopes[name]) for name in names]
    for it in found.deviations:
        if changes_form(found, it):  # other channels have no errors of their own
            losses[it.layer, it.pair] = max(0.0, network.loss(network.answer(it.model)) - whole)
            continue
        name = names[it.layer]
        own = _weigh(it.model, name, x, values[name], slopes[name])
        losses[it.layer, it.pair] = max(0.0, own - before[it.layer])
    return losses


def trace_outputs(
    network: Network,
) -> tuple[
    npt.NDArray[np.float32],
    dict[str, npt.NDArray[np.float32]],
    dict[str, npt.NDArray[np.float64]],
]:
    """Inputs, outputs of the layers with weights, gradients of each sample's loss by them."""
    curvature = Curvature.of(network, _SAMPLES)
    twin = curvature.model
    ends = {fused.name: fused.end for fused in find_fused_layers(twin) if fused.is_weighted}
    tensors = [twin.get_layer(end).output for end in ends.values()]
    probe = keras.Model(twin.inputs[0], [*tensors, twin.outputs[0]])
    with tf.GradientTape() as tape:
        *inner, output = probe(curvature.x, training=False)
        total = len(curvature.x) * curvature.measure(output, curvature.wanted)
    slopes = tape.gradient(total, inner, unconnected_gradients=tf.UnconnectedGradients.ZERO)
    return (
        curvature.x,
        {name: value.numpy() for name, value in zip(ends, inner, strict=True)},
        {name: slope.numpy().astype(np.float64) for name, slope in zip(ends, slopes, strict=True)},
    )


def _weigh(
    model: keras.Model,
    name: str,
    x: npt.NDArray[np.float32],
    wanted: npt.NDArray[np.float32],
    slopes: npt.NDArray[np.float64],
) -> float:
    probe = keras.Model(model.inputs[0], model.get_layer(name).output)
    error = np.asarray(probe.predict(x, verbose=0), np.float64).reshape(wanted.shape) - wanted
    return float(0.5 * np.sum(np.square(error) * np.square(slopes)) / len(x))
