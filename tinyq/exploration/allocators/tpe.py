"""Assignments drawn where good ones were dense."""

from __future__ import annotations

from typing import Any

from tinyq.exploration.allocators.registry import samples
from tinyq.exploration.budgets import Limits
from tinyq.exploration.table import Table

_FIRST = 10  # trials at random before it learns


@samples("tpe")
def draw(table: Table, limits: Limits, seed: int) -> Any:
    """Tree-structured Parzen estimator over score, flash, RAM and instructions.

    Reference: Bergstra et al. 2011; Ozaki et al. 2022, several objectives.
    """
    import optuna

    return optuna.samplers.TPESampler(
        seed=seed,
        n_startup_trials=min(_FIRST, table.space.size),
        multivariate=True,
        constant_liar=True,
    )
