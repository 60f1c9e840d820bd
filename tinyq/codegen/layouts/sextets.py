"""Six channels of a dense layer by sixteen int8 weights, for cores with MVE.

As `tinyq.codegen.layouts.triples`, in groups of six channels and one of those that are left.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np

from tinyq.codegen.layouts import Arrangement, Table
from tinyq.codegen.layouts.triples import (
    BLOCK,
    fold_vector_stage,
    join_lanes,
    refuse_finish,
    stream_groups,
)

if TYPE_CHECKING:
    from tinyq.codegen.variants import Facts

_GROUP = 6


def refuse(facts: Facts) -> str:
    """Why these constants do not fit, empty where they do."""
    weights = facts.operands[-1]
    if weights is None or "bias" not in facts.tables:
        return "the constants are no constants"
    return refuse_finish(facts, weights.astype(np.int64))


def arrange(facts: Facts) -> Arrangement:
    """Weights and biases, then the constants of the stage if it has any."""
    weights = facts.operands[-1]
    assert weights is not None
    rows = weights.astype(np.int64)
    stage = fold_vector_stage(facts, rows.sum(1))
    sixes, rest = divmod(len(rows), _GROUP)
    groups = (_GROUP,) * sixes + ((rest,) if rest else ())
    stream = stream_groups(rows[:, None] << stage.power, stage.bias, groups)
    tables = [Table("weights", stream, "groups of channels: biases, weights as bytes")]
    if stage.tables:
        scales = join_lanes(*stage.tables)
        tables.append(Table("scales", scales, "constants of the output stage"))
    numbers = {"sixes": sixes, "rest": rest, "blocks": -(-rows.shape[1] // BLOCK)}
    return Arrangement(tuple(tables), MappingProxyType({**stage.numbers, **numbers}))
