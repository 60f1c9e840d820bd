"""Which of many trials are worth having."""

from __future__ import annotations

from collections.abc import Sequence

from tinyq.exploration.budgets import RESOURCES, Limits
from tinyq.exploration.trials import Trial
from tinyq.support.fronts import mark_unbeaten


def find_front(trials: Sequence[Trial]) -> list[Trial]:
    """Trials that no other beats in score and in every resource, by falling score.

    Of trials that are equal in all the first stays.
    """
    first = {_measure(it): it for it in reversed(trials)}
    distinct = [it for it in trials if first[_measure(it)] is it]
    unbeaten = mark_unbeaten([_measure(it) for it in distinct])
    front = [it for it, stays in zip(distinct, unbeaten, strict=True) if stays]
    return sorted(front, key=lambda it: (-it.score, *(it.costs[name] for name in RESOURCES)))


def order_by_worth(trials: Sequence[Trial], limits: Limits) -> list[Trial]:
    """Those within limits by falling score, then the others by how little they are beyond."""
    return sorted(
        trials,
        key=lambda it: (
            _excess(it, limits),
            -it.score,
            it.loss,
            *(it.costs[name] for name in RESOURCES),
        ),
    )


def _excess(trial: Trial, limits: Limits) -> float:
    over = limits.excess(trial.costs)
    return sum(much / (limits[name] or 1) for name, much in over.items())


def _measure(trial: Trial) -> tuple[float, ...]:
    return (-trial.score, *(float(trial.costs[name]) for name in RESOURCES))
