"""The loss that the curvature of the float model's loss foretells."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from tinyq.exploration.network import Network
from tinyq.exploration.sensitivities.gradients import (
    Curvature,
    add_activations,
    change_of_weights,
    changes_weights,
)
from tinyq.exploration.sensitivities.registry import empty_losses, sensitivity
from tinyq.exploration.table import Losses, Survey

_LEAST, _MOST = 16, 128  # vectors of an estimate
_ERROR = 0.05  # at which an estimate is good enough, as a part of it
_STEPS = 24  # of the power iteration


@dataclass(frozen=True, slots=True)
class Trace:
    """Trace of each kernel's Hessian, with the standard error of the estimate.

    Attributes:
        values: One for each kernel.
        errors: Standard error of each.
        vectors: Random vectors that were used.
    """

    values: tuple[float, ...]
    errors: tuple[float, ...]
    vectors: int


def estimate_traces(
    curvature: Curvature, seed: int = 0, least: int = _LEAST, most: int = _MOST
) -> Trace:
    """Trace of each kernel's block by random signs.

    tr H = E[v' H v],  v of independent signs; error = deviation / sqrt(vectors).

    Vectors are drawn until every error is below 5 % of the largest trace, at least ``least``, at
    most ``most``.

    Reference: Hutchinson 1990; Dong et al. 2020, HAWQ-V2, arXiv:1911.03852, equation 8.
    """
    generator = np.random.default_rng(seed)
    drawn: list[list[float]] = []
    while len(drawn) < most:
        vectors = [_draw_signs(generator, kernel.shape) for kernel in curvature.kernels]
        products = curvature.multiply(vectors)
        drawn.append([float(np.sum(v * p)) for v, p in zip(vectors, products, strict=True)])
        means, errors = _summarize(drawn)
        if len(drawn) >= least and errors.max() <= _ERROR * abs(means).max():
            break
    means, errors = _summarize(drawn)
    return Trace(tuple(map(float, means)), tuple(map(float, errors)), len(drawn))


def estimate_eigenvalues(curvature: Curvature, seed: int = 0) -> tuple[float, ...]:
    """Largest eigenvalue of each kernel's Hessian, by power iteration.

    v <- H v / |H v|,  lambda = v' H v

    Reference: Dong et al. 2019, HAWQ, arXiv:1905.03696, algorithm 1.
    """
    generator = np.random.default_rng(seed)
    vectors = [_unit(generator.standard_normal(kernel.shape)) for kernel in curvature.kernels]
    values = np.zeros(len(vectors))
    for _ in range(_STEPS):
        products = curvature.multiply(vectors)
        values = np.array([float(np.sum(v * p)) for v, p in zip(vectors, products, strict=True)])
        vectors = [_unit(product) for product in products]
    return tuple(map(float, values))


@sensitivity("hessian_trace")
def measure_trace(network: Network, found: Survey, seed: int) -> Losses:
    """Mean curvature times the squared change of the weights.

    loss[l, c] = tr(H_l) / (2 n_l) * |Q_c(w_l) - w_l|^2,  n_l the number of weights

    Reference: Dong et al. 2020, HAWQ-V2, arXiv:1911.03852, equation 9; Yao et al. 2021, HAWQ-V3,
    arXiv:2011.10680, section 3.4.
    """
    traces = estimate_traces(Curvature.of(network), seed).values
    sizes = [kernel.size for kernel in network.kernels().values()]
    mean = [max(0.0, value) / size for value, size in zip(traces, sizes, strict=True)]
    return _scale(network, found, mean)


@sensitivity("hessian_eigenvalue")
def measure_eigenvalue(network: Network, found: Survey, seed: int) -> Losses:
    """Largest curvature, spread over the weights, times the squared change of the weights.

    loss[l, c] = lambda_l / (2 n_l) * |Q_c(w_l) - w_l|^2

    Reference: Dong et al. 2019, HAWQ, arXiv:1905.03696, equation 4.
    """
    values = estimate_eigenvalues(Curvature.of(network), seed)
    sizes = [kernel.size for kernel in network.kernels().values()]
    mean = [max(0.0, value) / size for value, size in zip(values, sizes, strict=True)]
    return _scale(network, found, mean)


def _scale(network: Network, found: Survey, curvatures: list[float]) -> Losses:
    losses = empty_losses(found)
    for it in found.deviations:
        if changes_weights(found, it):
            change = change_of_weights(network, it)
            losses[it.layer, it.pair] = 0.5 * curvatures[it.layer] * float(np.sum(change**2))
    return add_activations(network, found, losses)


def _draw_signs(generator: np.random.Generator, shape: Any) -> npt.NDArray[np.float64]:
    return generator.integers(0, 2, shape).astype(np.float64) * 2.0 - 1.0


def _unit(vector: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    length = math.sqrt(float(np.sum(vector**2)))
    return vector / length if length > 0.0 else vector


def _summarize(
    drawn: list[list[float]],
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    table = np.array(drawn)
    spread = table.std(axis=0, ddof=1) if len(drawn) > 1 else np.full(table.shape[1], np.inf)
    return table.mean(axis=0), spread / math.sqrt(len(drawn))
