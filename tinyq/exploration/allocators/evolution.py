"""Assignments bred from the best so far."""

from __future__ import annotations

from typing import Any

from tinyq.exploration.allocators.registry import samples
from tinyq.exploration.budgets import Limits
from tinyq.exploration.space import Space

_POPULATION = 24


@samples("evolution")
def breed(space: Space, limits: Limits, seed: int) -> Any:
    """NSGA-II over score, flash, RAM and instructions, with the budgets as constraints.

    Reference: Deb et al. 2002, NSGA-II; Guo et al. 2020, SPOS, arXiv:1904.00420, section 3.4, and
    Wang et al. 2020, APQ, arXiv:2006.08509 (evolution over bits).
    """
    import optuna

    population = min(_POPULATION, max(4, space.size))
    return optuna.samplers.NSGAIISampler(population_size=population, seed=seed)
