"""Weights of 3 x 3 in as few bits as the codes need, made those of F(2 x 2, 3 x 3) in RAM.

    U = G w G^T,  G = rows (1, 0, 0), (1, 1, 1), (1, -1, 1), (0, 0, 1)

The outer rows and columns lack a factor of 2 against `winograd2`; the kernel gives it to the sums
of products when it transforms them back, where a shift is free. Accumulators are 4 * acc times the
gain of the fields, see `packed`. For each pair of channels: of the one and of the other bias and
multiplier, or bias, shift, multiplier, addend where the stage rounds twice; then byte words, for
each pair of places nine, row by row. Where codes are looked up, the units of the one channel, nine
for a pair of places, come before those of the other.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np

from tinyq.codegen.layouts import Arrangement
from tinyq.codegen.layouts.packed import (
    find_form,
    fold_gain,
    join_channels,
    pair_channels,
    refuse_channels,
    refuse_gain,
)
from tinyq.codegen.layouts.scaling import to_words

if TYPE_CHECKING:
    from tinyq.kernels.layer import LayerSpec

_GAIN = 2
_ORDER = [0, 2, 1, 3]


def refuse(layer: LayerSpec) -> str:
    """Why these constants do not fit, empty where they do."""
    reason = refuse_channels(layer)
    if reason:
        return reason
    return refuse_gain(layer, _GAIN + find_form(layer).gain)


def arrange(layer: LayerSpec) -> Arrangement:
    """One stream of words; ``width`` and ``lift`` as in `packed`."""
    weights = layer.operands[-1]
    assert weights is not None
    form, count = find_form(layer), len(weights)
    bias, tail, numbers = fold_gain(layer, _GAIN + form.gain)
    head = to_words(np.concatenate([bias[:, None], tail], axis=1))[pair_channels(count)]
    taps = weights.astype(np.int64).reshape(count, 9, -1, 4)[..., _ORDER]
    pairs = taps.reshape(count, 9, -1, 2).transpose(0, 2, 1, 3)
    if form.levels:
        both = pairs[pair_channels(count)].transpose(0, 2, 1, 3, 4)
        body = form.pack_units(both.reshape(len(head), -1, 2))
    else:
        body = form.pack(join_channels(pairs.reshape(count, -1)))
    stream = np.concatenate([head.reshape(len(head), -1), body], axis=1).reshape(-1)
    comment = f"two channels: bias, multiplier of each, weights of {form.width} bits"
    return Arrangement((form.start(stream, comment),), MappingProxyType(numbers | form.numbers))
