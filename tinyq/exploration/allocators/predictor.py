"""Assignments bred by a predictor of what their trials would find."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from tinyq.exploration.agents import fit
from tinyq.exploration.allocators.proposing import (
    FIRST,
    Tried,
    draw_any,
    draw_limits,
    lower,
    make_sampler,
    sort_pairs,
)
from tinyq.exploration.allocators.registry import samples
from tinyq.exploration.budgets import Limits
from tinyq.exploration.space import Assignment
from tinyq.exploration.table import Table

_POPULATION, _PARENTS, _GENERATIONS, _MUTATION = 32, 8, 12, 0.15

Predict = Callable[[Sequence[Assignment]], npt.NDArray[np.float64]]


@samples("predictor")
def breed_by_prediction(table: Table, limits: Limits, seed: int) -> Any:
    """A network learns scores from trials; evolution by its answers proposes the next one.

    Reference: Wang et al. 2020, APQ, arXiv:2006.08509, section 3.
    """

    def propose(tried: Sequence[Tried], generator: np.random.Generator) -> Assignment:
        within = draw_limits(table, limits, generator)
        if len(tried) < FIRST:
            return lower(table, within, sort_pairs(table), draw_any(table, generator))
        known = [it.assignment for it in tried]
        return breed(table, within, learn_scores(table, tried, seed), known, generator)

    return make_sampler(table, limits, propose, seed)


def learn_scores(table: Table, tried: Sequence[Tried], seed: int) -> Predict:
    """A predictor of scores: a network over the pairs of all layers and the table's summed loss.

    Trained on scores less their mean in parts of their deviation.
    """
    rows = describe(table, [it.assignment for it in tried])
    scores = np.array([it.score for it in tried])
    middle, spread = float(scores.mean()), float(scores.std()) or 1.0
    predictor = fit(rows, (scores - middle) / spread, seed)
    return lambda assignments: middle + spread * predictor(describe(table, assignments))


def describe(table: Table, assignments: Sequence[Assignment]) -> npt.NDArray[np.float64]:
    """One column for each pair of each layer, 1 where it is chosen, and the summed loss."""
    counts = [len(row) for row in table.loss]
    starts = np.concatenate([[0], np.cumsum(counts)])
    rows = np.zeros((len(assignments), int(starts[-1]) + 1))
    scale = sum(max(row) for row in table.loss) or 1.0
    for row, assignment in zip(rows, assignments, strict=True):
        row[starts[:-1] + np.array(assignment, np.int64)] = 1.0
        row[-1] = table.loss_of(assignment) / scale
    return rows


def breed(
    table: Table,
    limits: Limits,
    predict: Predict,
    known: Sequence[Assignment],
    generator: np.random.Generator,
) -> Assignment:
    """The assignment within limits that is foretold the best score and was not tried.

    The best of 32 are crossed layer by layer, and a layer in seven changes; 12 times.
    """
    orders = sort_pairs(table)

    def fitted(assignment: Assignment) -> Assignment:
        return lower(table, limits, orders, assignment)

    tried = set(known)
    first = [*known, *(draw_any(table, generator) for _ in range(_POPULATION))]
    people = list(dict.fromkeys(fitted(it) for it in first))
    for _ in range(_GENERATIONS):
        parents = _best(people, predict, _PARENTS)
        children = [fitted(_cross(table, parents, generator)) for _ in range(_POPULATION)]
        people = list(dict.fromkeys([*parents, *children, *people[:_POPULATION]]))
    new = [it for it in people if it not in tried]
    return _best(new or people, predict, 1)[0]


def _best(people: Sequence[Assignment], predict: Predict, count: int) -> list[Assignment]:
    order = np.argsort(-predict(people), kind="stable")[:count]
    return [people[place] for place in order]


def _cross(
    table: Table, parents: Sequence[Assignment], generator: np.random.Generator
) -> Assignment:
    mother, father = (parents[at] for at in generator.integers(0, len(parents), 2))
    child = []
    for layer, row in enumerate(table.loss):
        if generator.uniform() < _MUTATION:
            child.append(int(generator.integers(len(row))))
        else:
            child.append((mother if generator.integers(2) else father)[layer])
    return tuple(child)
