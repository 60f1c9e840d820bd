"""Ranges of activations from histograms, limits of weights from their squared error."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

_BINS = 2048
_CANDIDATES = 64
_STEPS = 255


@dataclass(slots=True)
class Histogram:
    """How often an activation had which value.

    Attributes:
        low: Smallest value, at most 0.
        high: Largest value, at least 0.
        counts: Values per bin, int64; the bins divide the range evenly.
    """

    low: float
    high: float
    counts: np.ndarray

    @property
    def edges(self) -> np.ndarray:
        """Borders of the bins."""
        return np.linspace(self.low, self.high, len(self.counts) + 1)


def observe(
    probe: Callable[[np.ndarray], Sequence[np.ndarray]], values: np.ndarray, batch: int
) -> list[Histogram]:
    """Histograms of all values that a probe returns, in two runs over the inputs.

    Args:
        probe: Returns the activations of a batch.
        values: Inputs, shape (samples, ...).
        batch: Samples per call.
    """
    slices = [values[start : start + batch] for start in range(0, len(values), batch)]
    histograms: list[Histogram] = []
    for part in slices:
        ends = [(min(float(x.min()), 0.0), max(float(x.max()), 0.0)) for x in probe(part)]
        if not histograms:
            histograms = [Histogram(*end, np.zeros(_BINS, np.int64)) for end in ends]
        for histogram, (low, high) in zip(histograms, ends, strict=True):
            histogram.low = min(histogram.low, low)
            histogram.high = max(histogram.high, high)
    for part in slices:
        for histogram, x in zip(histograms, probe(part), strict=True):
            if histogram.low < histogram.high:
                histogram.counts += np.histogram(x, histogram.edges)[0]
    return histograms


def choose_range(histogram: Histogram, method: str, percentile: float) -> tuple[float, float]:
    """The range of an activation with 256 codes; it contains 0.

    Args:
        histogram: What was seen.
        method: ``min_max``, ``percentile`` or ``mse``.
        percentile: Per cent of the values inside, with ``percentile``.

    Reference: Nagel et al. 2021, arXiv:2106.08295, section 3.1.
    """
    if method == "min_max" or not histogram.counts.any():
        return histogram.low, histogram.high
    if method == "percentile":
        return _percentile(histogram, percentile)
    return _least_squares(histogram)


def _percentile(histogram: Histogram, percentile: float) -> tuple[float, float]:
    share = np.cumsum(histogram.counts) / histogram.counts.sum()
    tail = (1.0 - percentile / 100.0) / 2.0
    edges = histogram.edges
    low = edges[int(np.searchsorted(share, tail, side="right"))]
    high = edges[min(int(np.searchsorted(share, 1.0 - tail)) + 1, len(share))]
    return min(float(low), 0.0), max(float(high), 0.0)


def _least_squares(histogram: Histogram) -> tuple[float, float]:
    edges = histogram.edges
    centers = (edges[:-1] + edges[1:]) / 2.0
    best, chosen = np.inf, (histogram.low, histogram.high)
    for factor in np.linspace(1.0, 0.25, _CANDIDATES):
        low, high = histogram.low * factor, histogram.high * factor
        step = (high - low) / _STEPS
        inside = np.clip(centers, low, high)
        # Rounding costs step**2 / 12 on average: the bins are too coarse to show it.
        error = (centers - inside) ** 2 + step**2 / 12.0
        total = float((error * histogram.counts).sum())
        if total < best:
            best, chosen = total, (low, high)
    return chosen


def choose_weight_limits(kernel: np.ndarray, axes: tuple[int, ...], hi: int) -> np.ndarray:
    """Largest magnitude per channel that gives its weights the least squared error.

    Args:
        kernel: Real weights.
        axes: Axes over which one scale is shared.
        hi: Largest code; the codes are -hi .. hi.

    Returns:
        Limits, the dimensions of ``kernel`` kept.
    """
    largest = np.abs(kernel).max(axis=axes, keepdims=True)
    best = np.full(largest.shape, np.inf)
    limits = largest.copy()
    for factor in np.linspace(1.0, 0.4, _CANDIDATES):
        limit = largest * factor
        step = np.where(limit > 0, limit / hi, 1.0)
        quantized = np.clip(np.floor(kernel / step + 0.5), -hi, hi) * step
        error = ((kernel - quantized) ** 2).sum(axis=axes, keepdims=True)
        limits = np.where(error < best, limit, limits)
        best = np.minimum(error, best)
    return limits
