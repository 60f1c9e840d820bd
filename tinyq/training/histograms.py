"""Ranges of activations from histograms, limits of weights from their squared error."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

_BINS = 2048
_CANDIDATES = 64
_STEPS = 255
_CHUNK = 1 << 16


@dataclass(slots=True)
class Histogram:
    """How often an activation had which value, counted in two runs: its ends, then its values.

    Attributes:
        low: Smallest value, at most 0.
        high: Largest value, at least 0.
        counts: Values per bin, int64; the bins divide the range evenly.
    """

    low: float = 0.0
    high: float = 0.0
    counts: np.ndarray = field(default_factory=lambda: np.zeros(_BINS, np.int64))

    @property
    def edges(self) -> np.ndarray:
        """Borders of the bins."""
        return np.linspace(self.low, self.high, len(self.counts) + 1)

    def widen(self, values: np.ndarray) -> None:
        """Take values into the range."""
        self.low = min(self.low, float(values.min()))
        self.high = max(self.high, float(values.max()))

    def count(self, values: np.ndarray) -> None:
        """Count values of the range: ``floor((x - low) / (high - low) * bins)`` is the bin."""
        if not self.low < self.high:
            return
        bins = len(self.counts)
        flat = np.ascontiguousarray(values, np.float32).reshape(-1)
        low, factor = np.float32(self.low), np.float32(bins / (self.high - self.low))
        for start in range(0, flat.size, _CHUNK):
            places = ((flat[start : start + _CHUNK] - low) * factor).astype(np.intp)
            np.clip(places, 0, bins - 1, out=places)
            self.counts += np.bincount(places, minlength=bins)


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
