"""Eight channels of a depthwise convolution, even and odd ones apart, for cores with MVE.

VMULLB multiplies the even lanes of sixteen bits, VMULLT the odd ones. For each eight channels:
biases of the even and of the odd channels; for each tap eight weights as bytes; multipliers of the
even channels, where the stage rounds twice their shifts to the left, and the same of the odd ones.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np

from tinyq.codegen.layouts import Arrangement, Table
from tinyq.codegen.layouts.order import taps_by_channel
from tinyq.codegen.layouts.scaling import to_words
from tinyq.codegen.layouts.triples import fold_vector_stage, refuse_finish

if TYPE_CHECKING:
    from tinyq.codegen.variants import Facts

_LANES = 8


def refuse(facts: Facts) -> str:
    """Why these constants do not fit, empty where they do."""
    weights = facts.operands[-1]
    if weights is None or "bias" not in facts.tables:
        return "the constants are no constants"
    return refuse_finish(facts, taps_by_channel(weights))


def arrange(facts: Facts) -> Arrangement:
    """One stream of words."""
    weights = facts.operands[-1]
    assert weights is not None
    flat = taps_by_channel(weights)
    stage = fold_vector_stage(facts, flat.sum(1))
    more = -len(flat) % _LANES
    taps = np.pad(flat << stage.power, ((0, more), (0, 0))).astype(np.int8)
    octets = np.ascontiguousarray(taps.reshape(-1, _LANES, flat.shape[1]).swapaxes(1, 2))
    last = [_split(table) for table in stage.tables]
    parts = [_split(stage.bias), octets.reshape(len(octets), -1).view(np.uint32)]
    parts += [words[:, first : first + 4] for first in (0, 4) for words in last]
    stream = np.concatenate(parts, axis=1).reshape(-1)
    comment = "eight channels: biases, weights as bytes, constants of the stage"
    table = Table("weights", stream, comment)
    return Arrangement((table,), MappingProxyType({**stage.numbers, "taps": flat.shape[1]}))


def _split(values: np.ndarray) -> np.ndarray:
    """Words of eight channels in a row each, even channels first."""
    words = np.pad(to_words(values), (0, -len(values) % _LANES)).reshape(-1, _LANES)
    return np.concatenate([words[:, 0::2], words[:, 1::2]], axis=1)
