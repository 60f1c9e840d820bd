"""Two channels by two weights in as few bits as the codes need: unpacked to int16 in RAM.

The width is 8, 4, 2 or 1 bits: the least that holds every code, 1 for -1 and +1. A *byte word*
holds (a0, b0, a1, b1), two neighbouring weights of two channels, as fields at the top of each byte;
a word in flash has 8 / width byte words, the first one lowest in each byte. Fields at the top are
codes times 2^gain, which goes into shift and biases. An odd last channel has the one before it as
its neighbour, once more.

Codes of a format of at most four bits that need more than these as integers are looked up instead:
a *unit* has the places of two neighbouring weights in a table of the codes, 4 or 2 bits each, and a
word the units of (a0, a1), (b0, b1) and so on, the first one lowest. The codes, as bytes, come
before all else.

For each pair of channels: two biases, two multipliers, or twice (shift, multiplier, addend) where
the stage rounds twice; then the words. Weights follow the panel of activations, see `pairs`.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from tinyq.codegen.layouts import Arrangement, Table
from tinyq.codegen.layouts.pairs import order_panel
from tinyq.codegen.layouts.scaling import (
    Int64s,
    fold_scaling,
    fold_scaling_twice,
    refuse_scaling,
    refuse_scaling_twice,
    sum_reach,
    to_words,
)

if TYPE_CHECKING:
    from tinyq.kernels.layer import LayerSpec

# log2 of what fields are multiplied by: those of one bit are +64 and -64.
GAINS = MappingProxyType({8: 0, 4: 4, 2: 6, 1: 6})
_NARROW = 4


def refuse(layer: LayerSpec) -> str:
    """Why these constants do not fit, empty where they do."""
    reason = refuse_channels(layer)
    if reason:
        return reason
    weights = layer.operands[-1]
    assert weights is not None
    return refuse_gain(layer, find_form(layer).gain)


def refuse_gain(layer: LayerSpec, gain: int) -> str:
    """Why accumulators times 2^gain do not fit the output stage, empty where they do."""
    weights = layer.operands[-1]
    assert weights is not None
    reach = sum_reach(layer, flatten(weights))
    if layer.epilogue != "requantizetwice":
        return refuse_scaling(layer, reach, gain=gain)
    if int(reach.max()) << gain >= 2**31:
        return "accumulators are too large"
    return refuse_scaling_twice(layer, reach)


def arrange(layer: LayerSpec) -> Arrangement:
    """One stream of words; ``width``, and ``lift``: log2 of what accumulators still lack."""
    weights = layer.operands[-1]
    assert weights is not None
    form = find_form(layer)
    bias, tail, numbers = fold_gain(layer, form.gain)
    paired = pair_channels(len(weights))
    head = [to_words(bias)[paired], to_words(tail)[paired].reshape(len(paired), -1)]
    body = form.pack(join_channels(order_panel(layer, weights.astype(np.int64))))
    stream = np.concatenate([*head, body], axis=1).reshape(-1)
    comment = f"two channels: biases, multipliers, weights of {form.width} bits"
    return Arrangement((form.start(stream, comment),), MappingProxyType(numbers | form.numbers))


@dataclass(frozen=True, slots=True)
class Form:
    """How weights lie in flash.

    Attributes:
        width: Bits of each.
        levels: Codes in a table; empty where the bits are the code itself.
    """

    width: int
    levels: tuple[int, ...] = ()

    @property
    def gain(self) -> int:
        """log2 of what unpacked weights are multiplied by."""
        return 0 if self.levels else GAINS[self.width]

    @property
    def numbers(self) -> dict[str, int]:
        """What the kernel's text needs."""
        return {"width": self.width, "levels": len(self.levels)}

    def pack(self, joined: Int64s) -> npt.NDArray[np.uint32]:
        """Words (pairs of channels, words) of byte words (pairs of channels, byte words, 4)."""
        if not self.levels:
            return pack_fields(joined, self.width)
        return self.pack_units(joined[..., [0, 2, 1, 3]].reshape(len(joined), -1, 2))

    def pack_units(self, places: Int64s) -> npt.NDArray[np.uint32]:
        """Words (pairs of channels, words) of weights (pairs of channels, units, 2)."""
        index = np.searchsorted(self.levels, places)
        units = index[..., 0] | index[..., 1] << self.width
        each = 16 // self.width
        padded = np.pad(units, ((0, 0), (0, -units.shape[1] % each)))
        shifts = np.arange(each) * 2 * self.width
        return to_words((padded.reshape(len(units), -1, each) << shifts).sum(2))

    def start(self, stream: npt.NDArray[np.uint32], comment: str) -> Table:
        """The table of a kernel: levels, if there are any, and the rest."""
        if not self.levels:
            return Table("weights", stream, comment)
        codes = np.zeros(1 << self.width, np.int64)
        codes[: len(self.levels)] = self.levels
        words = to_words(((codes.reshape(-1, 4) & 0xFF) << np.arange(4) * 8).sum(1))
        return Table("weights", np.concatenate([words, stream]), f"codes; {comment}")


def fold_gain(layer: LayerSpec, gain: int) -> tuple[Int64s, Int64s, dict[str, int]]:
    """Constants of the output stage for accumulators of raw codes times 2^gain.

    Returns:
        Biases; of each channel its multiplier, or (shift, multiplier, addend) where the stage
        rounds twice; the scaling's numbers and ``lift``.
    """
    weights = layer.operands[-1]
    assert weights is not None
    sums, zero = flatten(weights).sum(1), layer.geometry.get("x_zero", 0)
    if layer.epilogue == "requantizetwice":
        scaling, addend, shift = fold_scaling_twice(layer, sums)
        tail = np.stack([shift, scaling.multiplier, addend], axis=1)
    else:
        scaling = fold_scaling(layer, sums, gain)
        tail = scaling.multiplier[:, None]
    bias: Int64s = (layer.constants["bias"].astype(np.int64) - zero * sums) << gain
    return bias, tail, {**scaling.numbers, "lift": scaling.power - gain}


def refuse_channels(layer: LayerSpec) -> str:
    """Why the channels cannot be taken in pairs, empty where they can."""
    weights = layer.operands[-1]
    if weights is None or "bias" not in layer.constants:
        return "the constants are no constants"
    if len(weights) < 2 or (len(weights) % 2 and layer.output.format.bits < 8):
        return "the number of output channels is odd"
    return ""


def find_form(layer: LayerSpec) -> Form:
    """The fewest bits. One bit has no 0, and so no room for places that pad."""
    weights = layer.operands[-1]
    assert weights is not None
    ordered = order_panel(layer, weights.astype(np.int64))
    if (np.abs(ordered) == 1).all():
        return Form(1)
    low, high = int(weights.min()), int(weights.max())
    plain = next(bits for bits in (2, 4, 8) if -(1 << bits - 1) <= low and high < 1 << bits - 1)
    stored = layer.inputs[-1].format.bits
    if stored <= _NARROW and plain > stored:
        levels = tuple(int(code) for code in np.unique(ordered))
        width = 2 if len(levels) <= 1 << 2 else _NARROW
        if width < plain and len(levels) <= 1 << width:
            return Form(width, levels)
    return Form(plain)


def pair_channels(count: int) -> npt.NDArray[np.intp]:
    """Channels of each pair, (pairs, 2); an odd last one comes with its predecessor."""
    first = np.minimum(np.arange(0, count, 2), count - 2)
    return np.stack([first, first + 1], axis=1)


def join_channels(places: Int64s) -> Int64s:
    """Byte words (pairs of channels, words, 4) of weights (channels, places)."""
    both = places[pair_channels(len(places))]
    joined: Int64s = both.reshape(len(both), 2, -1, 2).transpose(0, 2, 3, 1)
    return joined.reshape(len(both), -1, 4)


def pack_fields(joined: Int64s, width: int) -> npt.NDArray[np.uint32]:
    """Words (pairs of channels, words) of byte words (pairs of channels, byte words, 4)."""
    each = 8 // width
    padded = np.pad(joined, ((0, 0), (0, -joined.shape[1] % each), (0, 0)))
    fields = (padded < 0).astype(np.int64) if width == 1 else padded & ((1 << width) - 1)
    shifts = np.arange(each)[:, None] * width + np.arange(4) * 8
    shifted = fields.reshape(len(fields), -1, each, 4) << shifts
    return to_words(shifted.sum((2, 3)))


def flatten(weights: npt.NDArray[np.integer]) -> Int64s:
    """Weights as (channels, places)."""
    flat: Int64s = weights.reshape(len(weights), -1).astype(np.int64)
    return flat
