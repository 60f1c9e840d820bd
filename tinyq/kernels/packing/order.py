"""Weights in the order of a kernel's loads."""

from __future__ import annotations

import numpy as np

from tinyq.kernels.packing.words import Int64s, Words, byte_words


def by_channel(weights: np.ndarray) -> Int64s:
    """Weights (channels, ...) as one row per channel."""
    flat: Int64s = weights.reshape(len(weights), -1).astype(np.int64)
    return flat


def taps_by_channel(weights: np.ndarray) -> Int64s:
    """Weights (rows, columns, channels) as one row per channel."""
    flat: Int64s = weights.reshape(-1, weights.shape[-1]).T.astype(np.int64)
    return flat


def order_places(weights: Int64s, order: tuple[int, ...]) -> Int64s:
    """Weights (channels, [rows,] ...) with rows of whole groups in an order: (channels, places)."""
    rows = weights.shape[1] if weights.ndim == 4 else 1
    lines = weights.reshape(len(weights), rows, -1)
    padded = np.pad(lines, ((0, 0), (0, 0), (0, -lines.shape[2] % len(order))))
    groups = padded.reshape(len(weights), -1, len(order))
    ordered: Int64s = groups[:, :, list(order)].reshape(len(weights), -1)
    return ordered


def pair_bytes(weights: Int64s) -> Words:
    """The bytes of two channels, place by place: one row of words for each pair of channels."""
    both = weights.reshape(len(weights) // 2, 2, -1).transpose(0, 2, 1)
    return byte_words(both.reshape(len(both), -1))
