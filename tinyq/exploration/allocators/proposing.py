"""What proposes the next assignment from all trials before it, as a sampler of Optuna."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from tinyq.exploration.budgets import Limits, time_of
from tinyq.exploration.space import Assignment
from tinyq.exploration.supernet import price_pairs
from tinyq.exploration.table import Table

FIRST = 6
"""Trials at random before anything learns."""

_PROPOSALS, _DRAWS = 4, 256


@dataclass(frozen=True, slots=True)
class Tried:
    """What is known of a trial.

    Attributes:
        assignment: Which pair each layer had.
        score: What came of it; higher is better.
    """

    assignment: Assignment
    score: float


Propose = Callable[[Sequence[Tried], np.random.Generator], Assignment]
"""The next assignment, from all that were tried and what draws at random."""


def make_sampler(table: Table, limits: Limits, propose: Propose, seed: int) -> Any:
    """A sampler of Optuna that asks a function.

    It keeps nothing between trials, so that every worker proposes from what all of them have found.
    What was tried before is asked for again, with other draws; the fourth time a walk of single
    layers within the limits goes from there to something new.
    """
    import optuna

    space = table.space
    choices = {
        name: optuna.distributions.CategoricalDistribution([pair.label for pair in pairs])
        for name, pairs in space.layers.items()
    }

    class Proposing(optuna.samplers.BaseSampler):
        def infer_relative_search_space(self, study: Any, trial: Any) -> Mapping[str, Any]:
            return choices

        def sample_relative(self, study: Any, trial: Any, search_space: Any) -> dict[str, Any]:
            states = (optuna.trial.TrialState.COMPLETE,)
            tried = [
                Tried(_read(it.params), float(it.values[0]))
                for it in study.get_trials(deepcopy=False, states=states)
            ]
            generator = np.random.default_rng((seed, trial.number))
            found = find_new(table, limits, propose, tried, generator)
            return {name: pair.label for name, pair in space.pairs(found).items()}

        def sample_independent(self, study: Any, trial: Any, name: str, choice: Any) -> Any:
            return choice.choices[0]

    def _read(params: Mapping[str, Any]) -> Assignment:
        return tuple(choices[name].choices.index(params[name]) for name in space.layers)

    return Proposing()


def find_new(
    table: Table,
    limits: Limits,
    propose: Propose,
    tried: Sequence[Tried],
    generator: np.random.Generator,
) -> Assignment:
    """What is proposed and was not tried; near it, within limits, where proposals repeat."""
    known = {it.assignment for it in tried}
    for _ in range(_PROPOSALS):
        found = propose(tried, generator)
        if found not in known:
            return found
    for _ in range(_DRAWS):
        layer = int(generator.integers(len(found)))
        pair = int(generator.integers(len(table.loss[layer])))
        near = (*found[:layer], pair, *found[layer + 1 :])
        if limits.admit(table.predict(near)):
            if near not in known:
                return near
            found = near
    return found


def draw_any(table: Table, generator: np.random.Generator) -> Assignment:
    """Any assignment."""
    return tuple(int(generator.integers(len(row))) for row in table.loss)


def sort_pairs(table: Table) -> list[list[int]]:
    """The pairs of each layer, the dearest first."""
    return [
        sorted(range(len(row)), key=lambda at, row=row: (-row[at], at))  # type: ignore[misc]
        for row in price_pairs(table)
    ]


def read_actions(orders: Sequence[Sequence[int]], actions: npt.NDArray[np.float64]) -> Assignment:
    """Pairs that actions stand for: 1 is the dearest, 0 the cheapest.

    place = min(n - 1, floor(a n)) of n pairs from the cheapest on: HAQ's round over b_min .. b_max
    """
    return tuple(
        order[len(order) - 1 - min(len(order) - 1, int(action * len(order)))]
        for order, action in zip(orders, actions, strict=True)
    )


def write_actions(
    orders: Sequence[Sequence[int]], assignment: Assignment
) -> npt.NDArray[np.float64]:
    """The middle of the actions that stand for an assignment."""
    return np.array(
        [
            (len(order) - 1 - order.index(pair) + 0.5) / len(order)
            for order, pair in zip(orders, assignment, strict=True)
        ]
    )


def lower(
    table: Table, limits: Limits, orders: Sequence[Sequence[int]], assignment: Assignment
) -> Assignment:
    """Cheaper pairs, from the first layer to the last and again, until the sums fit.

    Reference: Wang et al. 2019, HAQ, arXiv:1811.08886, section 3.3.
    """
    found = list(assignment)
    while not limits.admit(table.predict(tuple(found))):
        before = list(found)
        for layer, order in enumerate(orders):
            place = order.index(found[layer])
            if place + 1 < len(order):
                found[layer] = order[place + 1]
                if limits.admit(table.predict(tuple(found))):
                    return tuple(found)
        if found == before:
            break  # nothing fits
    return tuple(found)


def draw_limits(table: Table, limits: Limits, generator: np.random.Generator) -> Limits:
    """The limits; without any some that are drawn, so that trials spread over a front."""
    if not limits.is_open:
        return limits
    time = time_of(table.base)
    least = tuple(min(range(len(row)), key=row.__getitem__) for row in price_pairs(table))
    cheapest, share = table.predict(least), float(generator.uniform())
    most = {
        name: int(cheapest[name] + share * max(table.base[name] - cheapest[name], 0)) + 1
        for name in ("flash_bytes", time)
    }
    return Limits(**most)
