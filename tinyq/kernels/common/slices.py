"""Binary layers with a threshold: weights of 32 channels in a word, counters in slices.

The counters of 32 channels lie bit by bit in as many words as they have bits. A counter counts the
places where input and weight differ. For t taps inside the image,

    acc = t * in_channels - 2 * count      acc < threshold  <=>  count >= T
    T = floor((t * in_channels - threshold) / 2) + 1, clipped to 0 .. 2^m

so a counter that starts at 2^m - T has bit m set exactly where the comparison holds: the highest
slice, xor the word of flips, is the word of outputs. 32 channels:

+---------+
| weights |
| places  |
+---------+

Two places are the words (w1, w1 xor w2). For each number of rows and columns inside the image and
each 32 channels the starts, lowest slice first:

+--------+-------+
| slices | flips |
| levels | 1     |
+--------+-------+

Reference: Demenkov, Kojevnikov, Kulikov and Yaroslavtsev 2010, Inf. Process. Lett. 110 (the pair of
full adders that takes and gives a xor b).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import ClassVar

import numpy as np

from tinyq.kernels.base import Part
from tinyq.kernels.layer import LayerSpec
from tinyq.kernels.packing.record import Record, Table
from tinyq.kernels.packing.words import Words

PLACES = Record("weights:places")
START = Record("slices:levels", "flips:1")

THRESHOLD = "threshold"
ALL_SLICES = 4  # more than three

_SOURCE = "common/slices.j2"
_WORD, _BLOCK = 32, 64  # places
_LANES = np.arange(_WORD, dtype=np.uint64)


class Slices(ABC):
    """Micro-kernels of a core.

    Attributes:
        product_cost: Instructions of a product.
        places: That `count` can take at least.
    """

    product_cost: ClassVar[float]
    places: ClassVar[int]

    @abstractmethod
    def expand(self) -> Part:
        """``(x, masks, words)``: words of signs to masks, for two places (m1, m1 xor m2)."""

    @abstractmethod
    def count(self, levels: int) -> Part:
        """``(w, masks, state, blocks)``: adds to slices where masks and weights differ.

        A block is 64 places; the slices are at ``state``, the lowest first.
        """

    def count_word(self, levels: int) -> Part | None:
        """The same over blocks of 32 places; None where ``places`` are 64."""
        return None


@dataclass(frozen=True, slots=True)
class Inside:
    """Numbers of taps inside the image, over all outputs; one without a window.

    Attributes:
        rows: Of each line of outputs.
        columns: Of each column of outputs.
    """

    rows: tuple[int, ...]
    columns: tuple[int, ...]

    @property
    def fewest_rows(self) -> int:
        """The least number of rows."""
        return min(self.rows)

    @property
    def fewest_columns(self) -> int:
        """The least number of columns."""
        return min(self.columns)

    @property
    def widths(self) -> int:
        """Numbers of columns for which there are starts."""
        return max(self.columns) - min(self.columns) + 1

    @property
    def taps(self) -> list[int]:
        """Taps inside the image, in the order of the starts."""
        rows = range(min(self.rows), max(self.rows) + 1)
        return [r * c for r in rows for c in range(min(self.columns), max(self.columns) + 1)]


@dataclass(frozen=True, slots=True, eq=False)
class Counters:
    """Constants of a layer for counters.

    Attributes:
        tables: Weights and starts.
        levels: Slices of a counter.
        inside: Numbers of taps inside the image.
    """

    tables: tuple[Table, Table]
    levels: int
    inside: Inside


def refuse_inputs(slices: Slices, inputs: int) -> str:
    """Why the signs of a pixel or row do not fit, empty where they do."""
    rest = inputs % slices.places
    return f"the number of input channels is no multiple of {slices.places}" if rest else ""


def refuse_counters(layer: LayerSpec) -> str:
    """Why these constants do not fit, empty where they do."""
    weights = layer.weights
    if weights is None or "threshold" not in layer.constants:
        return "the constants are no constants"
    if len(weights) % _WORD:
        return "the number of output channels is no multiple of 32"
    if weights.shape[-1] % _WORD:
        return "the number of input channels is no multiple of 32"
    inside = _find_inside(layer)
    if min(inside.fewest_rows, inside.fewest_columns) < 1:
        return "a window lies in the padding alone"
    return ""


def pack_counters(layer: LayerSpec) -> Counters:
    """Constants of a layer that `refuse_counters` does not refuse."""
    weights = layer.weights
    assert weights is not None
    places, inside = int(np.prod(weights.shape[1:])), _find_inside(layer)
    levels = places.bit_length() + 1
    starts = [_pack_start(layer, taps * weights.shape[-1], levels) for taps in inside.taps]
    words = _slice((weights.reshape(len(weights), places) < 0).reshape(-1, _WORD, places))
    words[:, 1::2] ^= words[:, 0::2]
    packed = PLACES.pack({"places": places}, weights=words)
    return Counters(
        (
            Table("weights", packed, "32 channels: two places, w1 and w1 xor w2", "w"),
            Table("starts", np.concatenate(starts), "32 channels: slices of counters, flips"),
        ),
        levels,
        inside,
    )


def list_parts(slices: Slices, inputs: int, levels: int) -> dict[str, Part]:
    """What counters of runs of inputs need; ``count`` is what kernels call.

    It counts blocks of 64 places where inputs come in such blocks, words of 32 otherwise.
    """
    expand, blocks, word = slices.expand(), slices.count(levels), slices.count_word(levels)
    if inputs % _BLOCK == 0 or word is None:
        return {"expand": expand, "count": blocks}
    count = count_words(levels, blocks, word)
    return {"expand": expand, "blocks": blocks, "word": word, "count": count}


def count_words(levels: int, blocks: Part, word: Part) -> Part:
    """``(w, masks, state, words)``: runs of 32 places, two at a time where there are two."""
    values = {"blocks": blocks.name, "word": word.name}
    name = f"tq_count_words_{levels}"
    return Part(_SOURCE, "count_words", name, MappingProxyType(values), shared=True)


def list_carries(words: int) -> list[int]:
    """Into how many slices above the lowest every four places of a block carry.

    Two carries meet in the next slice at every second one, and so on; all slices take the last.
    """
    carries = [(~q & (q + 1)).bit_length() - 1 for q in range(8 * words)]
    return [*carries[:-1], ALL_SLICES]


def find_block(inputs: int) -> int:
    """Places of a block that ``count`` of `list_parts` counts."""
    return _WORD if inputs % _BLOCK else _BLOCK


def _find_inside(layer: LayerSpec) -> Inside:
    return Inside(_count_inside(layer, "height"), _count_inside(layer, "width"))


def _count_inside(layer: LayerSpec, axis: str) -> tuple[int, ...]:
    g = layer.geometry
    if f"kernel_{axis}" not in g:
        return (1,)
    pad = g["pad_top" if axis == "height" else "pad_left"]
    first = np.arange(g[f"out_{axis}"]) * g[f"stride_{axis}"] - pad
    taps = first[:, None] + np.arange(g[f"kernel_{axis}"]) * g[f"dilation_{axis}"]
    counts: Sequence[int] = ((taps >= 0) & (taps < g[f"in_{axis}"])).sum(1)
    return tuple(int(count) for count in counts)


def _pack_start(layer: LayerSpec, places: int, levels: int) -> Words:
    threshold = layer.constants["threshold"].astype(np.int64)
    top = 1 << (levels - 1)
    start = top - np.clip((places - threshold) // 2 + 1, 0, top)
    bits = (start[:, None] >> np.arange(levels)) & 1
    flips = layer.constants["flip"].astype(np.int64) & 1
    return START.pack(
        {"levels": levels},
        slices=_slice(bits.reshape(-1, _WORD, levels)),
        flips=_slice(flips.reshape(-1, _WORD, 1)),
    )


def _slice(bits: np.ndarray) -> Words:
    """Words (groups, n) from bits (groups, 32, n)."""
    lanes = bits.astype(np.uint64) << _LANES[None, :, None]
    words: Words = lanes.sum(1).astype(np.uint32)
    return words
