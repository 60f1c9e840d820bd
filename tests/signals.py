"""Signals for front ends, of integers alone, so that a digest of what comes out stays the same."""

from __future__ import annotations

import numpy as np

LOWEST, HIGHEST = -(2**15), 2**15 - 1


def draw_signal(samples: int, seed: int = 0) -> np.ndarray:
    """Noise of all levels, silence, chirps up to the full scale, bursts of the lowest code.

    Returns:
        int16, shape (samples,).
    """
    rng = np.random.default_rng(seed)
    parts = (_noise, _silence, _chirp, _hum, _triangle, _extremes, _bursts, _speech)
    length = max(samples // (2 * len(parts)), 1)
    found: list[np.ndarray] = []
    while sum(map(len, found)) < samples:
        found += [part(rng, length) for part in parts]
    return np.clip(np.concatenate(found)[:samples], LOWEST, HIGHEST).astype(np.int16)


def _noise(rng, length):
    return rng.integers(-3000, 3001, length)


def _silence(rng, length):
    return np.zeros(length, np.int64)


def _chirp(rng, length):
    """A square wave as large as can be, faster and faster."""
    phase = np.cumsum(np.linspace(50, 30000, length).astype(np.int64)) & 65535
    return np.where(phase < 2**15, HIGHEST, LOWEST)


def _hum(rng, length):
    """Nearly nothing."""
    return rng.integers(-2, 3, length)


def _triangle(rng, length):
    phase = np.cumsum(np.full(length, int(rng.integers(100, 9000)))) & 65535
    return np.abs(phase - 2**15) - 2**14


def _extremes(rng, length):
    return rng.integers(LOWEST, HIGHEST + 1, length)


def _bursts(rng, length):
    """Frames whose largest magnitude is no int16."""
    return np.where(rng.random(length) < 0.02, LOWEST, rng.integers(-300, 301, length))


def _speech(rng, length):
    """Noise under a slow envelope, now and then silent."""
    envelope = np.maximum(np.abs((np.arange(length) * 7 & 16383) - 8192) - 1500, 0)
    return rng.integers(-4096, 4097, length) * envelope >> 11
