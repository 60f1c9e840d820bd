"""Every assignment, for spaces that are small enough."""

from __future__ import annotations

import itertools

from tinyq.errors import TinyqError
from tinyq.exploration.allocators.registry import plans
from tinyq.exploration.budgets import Limits
from tinyq.exploration.space import Assignment
from tinyq.exploration.table import Table

_MOST = 200_000


@plans("grid")
def list_all(table: Table, limits: Limits, count: int) -> list[Assignment]:
    """All assignments that the table expects to fit, those of least summed loss first.

    Raises:
        TinyqError: The space is too large.
    """
    if table.space.size > _MOST:
        raise TinyqError(
            f"the space has {table.space.size:,} assignments",
            where="--allocator grid",
            remedy=f"give at most {_MOST:,} by --space, or take ilp",
        )
    counts = [range(len(pairs)) for pairs in table.space.layers.values()]
    fitting = (it for it in itertools.product(*counts) if limits.admit(table.predict(it)))
    return sorted(fitting, key=lambda it: (table.loss_of(it), it))[:count]
