"""Fewer bits for the least sensitive layer first, one step at a time."""

from __future__ import annotations

from tinyq.exploration.allocators.registry import plans
from tinyq.exploration.budgets import RESOURCES, Limits
from tinyq.exploration.space import Assignment
from tinyq.exploration.table import Table


@plans("rank")
def descend(table: Table, limits: Limits, count: int) -> list[Assignment]:
    """A walk from the base: the step that saves most for its loss, until everything fits.

    The step of a layer goes to the pair with the least (loss added) / (share saved), where shares
    are of the base's flash, RAM, instructions and cycles, of those resources that are limited, or
    of all where none is. The last ``count`` assignments of the walk, those that fit first.

    Reference: Cai et al. 2020, ZeroQ, arXiv:2001.00281, section 3.3 (its greedy alternative).
    """
    resources = [name for name in RESOURCES if limits[name] is not None] or list(RESOURCES)
    walk = [table.space.base]
    while (step := _find_step(table, walk[-1], resources)) is not None:
        walk.append(step)
        if not limits.is_open and limits.admit(table.predict(step)):
            break
    if limits.is_open:
        return _thin(walk, count)
    return sorted(walk[-count:], key=lambda it: sum(limits.excess(table.predict(it)).values()))


def _find_step(table: Table, before: Assignment, resources: list[str]) -> Assignment | None:
    """The cheapest step that saves something; None where none does."""
    costs, loss = table.predict(before), table.loss_of(before)
    best: tuple[float, Assignment] | None = None
    for layer, row in enumerate(table.loss):
        for pair in range(len(row)):
            after = (*before[:layer], pair, *before[layer + 1 :])
            saved = _share(table, costs, table.predict(after), resources)
            if saved <= 0.0:
                continue
            price = max(table.loss_of(after) - loss, 0.0) / saved
            if best is None or (price, after) < best:
                best = price, after
    return None if best is None else best[1]


def _share(table: Table, before: object, after: object, resources: list[str]) -> float:
    return sum(
        (before[name] - after[name]) / max(table.base[name], 1)  # type: ignore[index]
        for name in resources
    )


def _thin(walk: list[Assignment], count: int) -> list[Assignment]:
    """At most ``count`` of a walk, with both ends."""
    if len(walk) <= count:
        return walk
    last = len(walk) - 1
    return [walk[round(place * last / max(count - 1, 1))] for place in range(count)]
