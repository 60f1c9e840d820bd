"""Weights of 3 x 3 in as few bits as the codes need, made those of F(2 x 2, 3 x 3) in RAM.

    U = G w G^T,  G = rows (1, 0, 0), (1, 1, 1), (1, -1, 1), (0, 0, 1)

The outer rows and columns lack a factor of 2 against `winograd2`; the kernel gives it to the sums
of products when it transforms them back, where a shift is free. Accumulators are 4 * acc times the
gain of the fields, see `packed`. For each pair of channels: bias and multiplier of the one and of
the other; then byte words, for each pair of places nine, row by row.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np

from tinyq.codegen.layouts import Arrangement, Table
from tinyq.codegen.layouts.packed import (
    GAINS,
    find_width,
    flatten,
    join_channels,
    pack_fields,
    pair_channels,
    refuse_channels,
)
from tinyq.codegen.layouts.scaling import fold_scaling, refuse_scaling, sum_reach, to_words

if TYPE_CHECKING:
    from tinyq.codegen.variants import Facts

_GAIN = 2
_ORDER = [0, 2, 1, 3]


def refuse(facts: Facts) -> str:
    """Why these constants do not fit, empty where they do."""
    reason = refuse_channels(facts)
    if reason:
        return reason
    weights = facts.operands[-1]
    assert weights is not None
    gain = _GAIN + GAINS[find_width(facts)]
    return refuse_scaling(facts, sum_reach(facts, flatten(weights)), gain=gain)


def arrange(facts: Facts) -> Arrangement:
    """One stream of words; ``width`` and ``lift`` as in `packed`."""
    weights = facts.operands[-1]
    assert weights is not None
    width, sums = find_width(facts), flatten(weights).sum(1)
    gain, count = _GAIN + GAINS[width], len(weights)
    scaling = fold_scaling(facts, sums, gain)
    zero = facts.geometry.get("x_zero", 0)
    bias = (facts.tables["bias"].astype(np.int64) - zero * sums) << gain
    head = to_words(np.stack([bias, scaling.multiplier], axis=1))[pair_channels(count)]
    taps = weights.astype(np.int64).reshape(count, 9, -1, 4)[..., _ORDER]
    pairs = taps.reshape(count, 9, -1, 2).transpose(0, 2, 1, 3).reshape(count, -1)
    body = pack_fields(join_channels(pairs), width)
    stream = np.concatenate([head.reshape(len(body), 4), body], axis=1).reshape(-1)
    comment = f"two channels: bias, multiplier of each, weights of {width} bits"
    numbers = {**scaling.numbers, "width": width, "lift": scaling.power - gain}
    return Arrangement((Table("weights", stream, comment),), MappingProxyType(numbers))
