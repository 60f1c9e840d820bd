"""The importance of a layer by how well the means of classes tell samples apart behind it."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from tinyq.exploration.network import Network
from tinyq.exploration.sensitivities.gradients import (
    add_activations,
    change_of_weights,
    changes_weights,
)
from tinyq.exploration.sensitivities.registry import empty_losses, sensitivity
from tinyq.exploration.table import Losses, Survey
from tinyq.training.patterns import find_fused_layers
from tinyq.training.rewriting import rewrite

_SAMPLES = 512
_LEAST = 1e-3  # of a layer that adds nothing, so that its error still counts


@sensitivity("imprint")
def measure_imprint(network: Network, found: Survey, seed: int) -> Losses:
    """What a layer adds to the accuracy of a classifier of class means, times its weights' error.

    loss[l, c] = max(a_l - a_(l-1), .001) |Q_c(w_l) - w_l|^2 / |w_l|^2

    a_l is the share of samples whose features behind layer l, averaged over positions, have the
    direction of their class's mean; a_0 that of chance.

    Reference: Liu et al. 2021, Layer importance estimation with imprinting for neural network
    quantization, section 3.
    """
    del seed
    accuracies = imprint(network)
    gains = [max(after - before, _LEAST) for before, after in zip(*_pairs(accuracies), strict=True)]
    losses = empty_losses(found)
    kernels = list(network.kernels().values())
    for it in found.deviations:
        if changes_weights(found, it):
            error = float(np.sum(change_of_weights(network, it) ** 2))
            size = max(float(np.sum(np.square(kernels[it.layer], dtype=np.float64))), 1e-30)
            losses[it.layer, it.pair] = gains[it.layer] * error / size
    return add_activations(network, found, losses)


def imprint(network: Network) -> list[float]:
    """Chance, then the accuracy of class means behind each layer with weights."""
    twin = rewrite(network.model).model
    ends = [fused.end for fused in find_fused_layers(twin) if fused.is_weighted]
    data = network.calibration.take(_SAMPLES)
    x = np.asarray(data.x, np.float32)
    labels = data.y
    if labels is None:
        labels = network.model.predict(x, verbose=0).reshape(len(x), -1).argmax(axis=1)
    labels = np.unique(labels, return_inverse=True)[1].reshape(-1)
    probe = keras.Model(twin.inputs[0], [twin.get_layer(end).output for end in ends])
    outputs = probe.predict(x, verbose=0)
    listed = outputs if isinstance(outputs, list) else [outputs]
    chance = float(np.bincount(labels).max() / len(labels))
    return [chance, *(score_means(_pool(values), labels) for values in listed)]


def score_means(features: npt.NDArray[np.float64], labels: npt.NDArray[Any]) -> float:
    """Share of samples that lie nearest, in direction, to the mean of their own class.

    Args:
        features: Shape (samples, channels).
        labels: 0 .. classes - 1.
    """
    unit = _normalize(features)
    means = np.stack([unit[labels == label].mean(axis=0) for label in range(labels.max() + 1)])
    return float(np.mean((unit @ _normalize(means).T).argmax(axis=1) == labels))


def _pool(values: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    spatial = tuple(range(1, values.ndim - 1))
    return np.asarray(values.mean(axis=spatial) if spatial else values, np.float64)


def _normalize(rows: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)


def _pairs(values: list[float]) -> tuple[list[float], list[float]]:
    return values[:-1], values[1:]
