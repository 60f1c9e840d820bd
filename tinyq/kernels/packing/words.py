"""Words of 32 bits."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Int64s = npt.NDArray[np.int64]
Words = npt.NDArray[np.uint32]


def to_words(values: npt.ArrayLike) -> Words:
    """Integers modulo 2^32."""
    return (np.asarray(values, np.int64) & 0xFFFFFFFF).astype(np.uint32)


def pair_words(low: npt.ArrayLike, high: npt.ArrayLike) -> Words:
    """Two int16 in a word."""
    one, two = np.asarray(low, np.int64), np.asarray(high, np.int64)
    return ((one & 0xFFFF) | (two & 0xFFFF) << 16).astype(np.uint32)


def byte_words(codes: npt.ArrayLike) -> Words:
    """Four int8 in a word, the first in the lowest byte: the last axis becomes words."""
    return np.ascontiguousarray(np.asarray(codes).astype(np.int8)).view("<u4")
