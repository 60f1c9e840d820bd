"""Binary weights of 32 channels in a word, and counters of 32 channels in as many slices.

A counter counts the places where input and weight differ. For t taps inside the image,

    acc = t * in_channels - 2 * count      acc < threshold  <=>  count >= T
    T = floor((t * in_channels - threshold) / 2) + 1, clipped to 0 .. 2^m

so a counter that starts at 2^m - T has bit m set exactly where the comparison holds: the highest
slice, xor the word of flips, is the word of outputs. Tables: for each 32 channels the places'
words, as pairs (w1, w1 xor w2); for each number of rows and columns inside the image and each 32
channels the slices of the starts, lowest first, then the flips.

Reference: Demenkov, Kojevnikov, Kulikov and Yaroslavtsev 2010, Inf. Process. Lett. 110 (the pair of
full adders that takes and gives a xor b).
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from tinyq.codegen.layouts import Arrangement, Table

if TYPE_CHECKING:
    from tinyq.kernels.layer import LayerSpec

_WORD = 32
_LANES = np.arange(_WORD, dtype=np.uint64)


def refuse(layer: LayerSpec) -> str:
    """Why these constants do not fit, empty where they do."""
    weights = layer.operands[-1]
    if weights is None or "threshold" not in layer.constants:
        return "the constants are no constants"
    if len(weights) % _WORD:
        return "the number of output channels is no multiple of 32"
    if weights.shape[-1] % _WORD:
        return "the number of input channels is no multiple of 32"
    if min(_inside(layer, "height")) < 1 or min(_inside(layer, "width")) < 1:
        return "a window lies in the padding alone"
    return ""


def arrange(layer: LayerSpec) -> Arrangement:
    """Tables of weights and of starts; ``levels`` slices, least ``rows`` and ``columns`` inside."""
    weights = layer.operands[-1]
    assert weights is not None
    places = int(np.prod(weights.shape[1:]))
    levels = int(places).bit_length() + 1
    rows, columns = _inside(layer, "height"), _inside(layer, "width")
    starts = [
        _start(layer, r * c * weights.shape[-1], levels)
        for r in range(min(rows), max(rows) + 1)
        for c in range(min(columns), max(columns) + 1)
    ]
    signs = (weights.reshape(len(weights), places) < 0).reshape(-1, _WORD, places)
    words = _slice(signs).reshape(-1, 2).copy()
    words[:, 1] ^= words[:, 0]
    return Arrangement(
        (
            Table("weights", words.reshape(-1), "32 channels: two places, w1 and w1 xor w2"),
            Table("starts", np.concatenate(starts), "32 channels: slices of counters, flips"),
        ),
        MappingProxyType(
            {
                "levels": levels,
                "rows": min(rows),
                "columns": min(columns),
                "widths": max(columns) - min(columns) + 1,
            }
        ),
    )


def _inside(layer: LayerSpec, axis: str) -> tuple[int, ...]:
    """Numbers of taps inside the image along an axis, over all outputs; one without a window."""
    g = layer.geometry
    if f"kernel_{axis}" not in g:
        return (1,)
    pad = g["pad_top" if axis == "height" else "pad_left"]
    first = np.arange(g[f"out_{axis}"]) * g[f"stride_{axis}"] - pad
    taps = first[:, None] + np.arange(g[f"kernel_{axis}"]) * g[f"dilation_{axis}"]
    counts = ((taps >= 0) & (taps < g[f"in_{axis}"])).sum(1)
    return tuple(int(count) for count in counts)


def _start(layer: LayerSpec, places: int, levels: int) -> npt.NDArray[np.uint32]:
    threshold = layer.constants["threshold"].astype(np.int64)
    top = 1 << (levels - 1)
    start = top - np.clip((places - threshold) // 2 + 1, 0, top)
    bits = (start[:, None] >> np.arange(levels)) & 1
    flips = layer.constants["flip"].astype(np.int64)[:, None] & 1
    slices = np.concatenate([bits, flips], axis=1).reshape(-1, _WORD, levels + 1)
    return _slice(slices).reshape(-1)


def _slice(bits: np.ndarray) -> npt.NDArray[np.uint32]:
    """Words (groups, n) from bits (groups, 32, n)."""
    lanes = bits.astype(np.uint64) << _LANES[None, :, None]
    words: npt.NDArray[np.uint32] = lanes.sum(1).astype(np.uint32)
    return words
