"""Assignments bred from the best so far."""

from __future__ import annotations

from typing import Any

from tinyq.exploration.allocators.registry import samples
from tinyq.exploration.budgets import Limits
from tinyq.exploration.table import Table

_POPULATION = 24


@samples("evolution")
def breed(table: Table, limits: Limits, seed: int) -> Any:
    """NSGA-II over score, flash, RAM and instructions, with the budgets as constraints.

    Reference: Deb et al. 2002, NSGA-II; Guo et al. 2020, SPOS, arXiv:1904.00420, section 3.4.
    """
    import optuna

    population = min(_POPULATION, max(4, table.space.size))
    return optuna.samplers.NSGAIISampler(population_size=population, seed=seed)
