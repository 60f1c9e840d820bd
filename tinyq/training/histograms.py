"""Ranges of activations from histograms, limits of weights from their squared error."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

_BINS = 4096  # on either side of 0
_CANDIDATES = 64
_STEPS = 255
_CHUNK = 1 << 16
_MOST_COUNTED = 1 << 16
_LEAST_POWER = -126  # of a width whose reciprocal float32 has


@dataclass(slots=True)
class Histogram:
    """How often an activation had which value, counted in one run.

    Bin ``i`` holds values from ``i * width`` to ``(i + 1) * width``. The width is a power of two:
    where a value lies outside of all bins, pairs of them become one of twice the width.

    Attributes:
        low: Smallest value, at most 0.
        high: Largest value, at least 0.
        power: Binary logarithm of the width; None before a value that is not 0.
        bins: Values per bin, int64, for ``i`` from -4096 to 4095.
    """

    low: float = 0.0
    high: float = 0.0
    power: int | None = None
    bins: np.ndarray = field(default_factory=lambda: np.zeros(2 * _BINS, np.int64))

    @property
    def edges(self) -> np.ndarray:
        """Borders of the bins from the smallest value to the largest, which are the ends."""
        if self.power is None:
            return np.zeros(2)
        first, last = self._reach()
        edges = np.arange(first, last + 2) * 2.0**self.power
        edges[0], edges[-1] = self.low, self.high
        return edges

    @property
    def counts(self) -> np.ndarray:
        """Values of each of these bins."""
        if self.power is None:
            return self.bins[_BINS : _BINS + 1]
        first, last = self._reach()
        return self.bins[_BINS + first : _BINS + last + 1]

    def _reach(self) -> tuple[int, int]:
        assert self.power is not None
        width = 2.0**self.power
        return math.floor(self.low / width), math.floor(self.high / width)

    def count(self, values: np.ndarray) -> None:
        """Take values into the range and count them; of large tensors evenly spread ones.

        Args:
            values: Shape (samples, ...). The ends are those of all values.
        """
        self._widen(float(values.min()), float(values.max()))
        if self.power is None:
            self.bins[_BINS] += values.size
            return
        flat = np.ascontiguousarray(values, np.float32).reshape(-1)
        flat = flat[:: _choose_stride(flat.size // len(values))]
        factor = np.float32(2.0**-self.power)
        for start in range(0, flat.size, _CHUNK):
            places = (flat[start : start + _CHUNK] * factor + np.float32(_BINS)).astype(np.intp)
            np.clip(places, 0, 2 * _BINS - 1, out=places)
            self.bins += np.bincount(places, minlength=2 * _BINS)

    def _widen(self, low: float, high: float) -> None:
        self.low, self.high = min(self.low, low), max(self.high, high)
        largest = max(self.high, -self.low)
        if largest == 0:
            return
        # largest < 2**exponent, so that its bin is one of those on its side.
        power = max(math.frexp(largest)[1] - math.frexp(_BINS)[1] + 1, _LEAST_POWER)
        before = self.power
        self.power = power if before is None else max(power, before)
        for _ in range(self.power - (self.power if before is None else before)):
            middle = self.bins.reshape(-1, 2).sum(axis=1)
            self.bins = np.zeros_like(self.bins)
            self.bins[_BINS // 2 : -_BINS // 2] = middle


def _choose_stride(size: int) -> int:
    """Every which value of a sample is counted; odd, so that all of 2**k channels are seen."""
    return -(-size // _MOST_COUNTED) | 1


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
