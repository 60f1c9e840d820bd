"""Two channels by two weights in as few bits as the codes need: unpacked to int16 in RAM.

The width is 8, 4, 2 or 1 bits: the least that holds every code, 1 for -1 and +1. A *byte word*
holds (a0, b0, a1, b1), two neighbouring weights of two channels, as fields at the top of each byte;
a word in flash has 8 / width byte words, the first one lowest in each byte. Fields at the top are
codes times 2^gain, which goes into shift and biases. An odd last channel has the one before it as
its neighbour, once more.

Codes of a format of at most four bits that need more than these as integers are looked up instead:
a *pair index* has the places of two neighbouring weights in a table of the codes, 4 or 2 bits each,
and a word the indices of (a0, a1), (b0, b1) and so on, the first one lowest. The codes, as bytes,
come before all else.

+------+--------+---------+
| bias | tail   | weights |
| 2    | tail*2 | words   |
+------+--------+---------+

The tail of a channel is its multiplier, or (shift, multiplier, addend) where the epilogue rounds
twice. Weights follow the panel of activations, see `quads.order_panel`.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
import numpy.typing as npt

from tinyq.kernels.armv7em.quads import order_panel
from tinyq.kernels.layer import LayerSpec
from tinyq.kernels.packing.epilogue import (
    TWICE,
    Epilogue,
    fold_scaling,
    fold_scaling_twice,
    refuse_scaling,
    refuse_scaling_twice,
    remove_zero,
    sum_reach,
)
from tinyq.kernels.packing.order import by_channel
from tinyq.kernels.packing.record import Record, Table
from tinyq.kernels.packing.words import Int64s, Words, to_words

PAIR = Record("bias:2", "tail:tail*2", "weights:words")
# log2 of what fields are multiplied by: those of one bit are +64 and -64.
GAINS = MappingProxyType({8: 0, 4: 4, 2: 6, 1: 6})
_NARROW = 4


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
    def listed(self) -> int:
        """Words of the table of what every pair index means."""
        return 4**self.width if self.levels else 0

    @property
    def codes(self) -> int:
        """Words of the codes in flash."""
        return 2**self.width // 4 if self.levels else 0

    def pack(self, joined: Int64s) -> Words:
        """Words (pairs of channels, words) of byte words (pairs of channels, byte words, 4)."""
        if not self.levels:
            return pack_fields(joined, self.width)
        return self.pack_indices(joined[..., [0, 2, 1, 3]].reshape(len(joined), -1, 2))

    def pack_indices(self, places: Int64s) -> Words:
        """Words (pairs of channels, words) of weights (pairs of channels, pairs, 2)."""
        index = np.searchsorted(self.levels, places)
        pairs = index[..., 0] | index[..., 1] << self.width
        each = 16 // self.width
        padded = np.pad(pairs, ((0, 0), (0, -pairs.shape[1] % each)))
        shifts = np.arange(each) * 2 * self.width
        return to_words((padded.reshape(len(pairs), -1, each) << shifts).sum(2))

    def start(self, stream: Words, comment: str) -> Table:
        """The table of a kernel: levels, if there are any, and the rest."""
        if not self.levels:
            return Table("weights", stream, comment, "w")
        codes = np.zeros(1 << self.width, np.int64)
        codes[: len(self.levels)] = self.levels
        words = to_words(((codes.reshape(-1, 4) & 0xFF) << np.arange(4) * 8).sum(1))
        return Table("weights", np.concatenate([words, stream]), f"codes; {comment}", "w")


@dataclass(frozen=True, slots=True, eq=False)
class GainedFold:
    """Constants of an epilogue for accumulators of raw codes times 2^gain.

    Attributes:
        bias: Of each channel.
        tail: Of each channel its multiplier, or (shift, multiplier, addend).
        epilogue: Integers for the text.
        lift: log2 of what accumulators still lack; negative where they have too much.
    """

    bias: Int64s
    tail: Int64s
    epilogue: Epilogue
    lift: int


def refuse_packed(layer: LayerSpec) -> str:
    """Why these constants do not fit, empty where they do."""
    return refuse_channels(layer) or refuse_gain(layer, find_form(layer).gain)


def refuse_gain(layer: LayerSpec, gain: int) -> str:
    """Why accumulators times 2^gain do not fit the epilogue, empty where they do."""
    assert layer.weights is not None
    reach = sum_reach(layer, by_channel(layer.weights))
    if layer.epilogue != TWICE:
        return refuse_scaling(layer, reach, gain=gain)
    if int(reach.max()) << gain >= 2**31:
        return "accumulators are too large"
    return refuse_scaling_twice(layer, reach)


def pack_packed(layer: LayerSpec, form: Form, fold: GainedFold) -> Table:
    """One stream of words."""
    assert layer.weights is not None
    paired = pair_channels(len(layer.weights))
    body = form.pack(join_channels(order_panel(layer, layer.weights.astype(np.int64))))
    stream = PAIR.pack(
        {"tail": fold.tail.shape[1], "words": body.shape[1]},
        bias=to_words(fold.bias)[paired],
        tail=to_words(fold.tail)[paired].reshape(len(paired), -1),
        weights=body,
    )
    comment = f"two channels: biases, multipliers, weights of {form.width} bits"
    return form.start(stream, comment)


def fold_gain(layer: LayerSpec, gain: int) -> GainedFold:
    """Constants of the epilogue for accumulators of raw codes times 2^gain."""
    assert layer.weights is not None
    sums = by_channel(layer.weights).sum(1)
    if layer.epilogue == TWICE:
        scaling, addend, shift = fold_scaling_twice(layer, sums)
        tail: Int64s = np.stack([shift, scaling.multiplier, addend], axis=1)
    else:
        scaling = fold_scaling(layer, sums, gain)
        tail = scaling.multiplier[:, None]
    bias = remove_zero(layer, sums) << gain
    return GainedFold(bias, tail, scaling.epilogue, scaling.power - gain)


def refuse_channels(layer: LayerSpec) -> str:
    """Why the channels cannot be taken in pairs, empty where they can."""
    weights = layer.weights
    if weights is None or "bias" not in layer.constants:
        return "the constants are no constants"
    if len(weights) < 2 or (len(weights) % 2 and layer.output.format.bits < 8):
        return "the number of output channels is odd"
    return ""


def find_form(layer: LayerSpec) -> Form:
    """The fewest bits. One bit has no 0, and so no room for places that pad."""
    weights = layer.weights
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


def pack_fields(joined: Int64s, width: int) -> Words:
    """Words (pairs of channels, words) of byte words (pairs of channels, byte words, 4)."""
    each = 8 // width
    padded = np.pad(joined, ((0, 0), (0, -joined.shape[1] % each), (0, 0)))
    fields = (padded < 0).astype(np.int64) if width == 1 else padded & ((1 << width) - 1)
    shifts = np.arange(each)[:, None] * width + np.arange(4) * 8
    shifted = fields.reshape(len(fields), -1, each, 4) << shifts
    return to_words(shifted.sum((2, 3)))
