"""The names of allocators, and what an allocator is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tinyq.exploration.budgets import Limits
from tinyq.exploration.names import explain_unknown
from tinyq.exploration.space import Assignment
from tinyq.exploration.table import Table

if TYPE_CHECKING:
    from tinyq.exploration.network import Network

Plan = Callable[[Table, Limits, int], list[Assignment]]
"""Assignments worth a trial, best first, at most so many; the same for the same arguments."""

MakeSampler = Callable[[Table, Limits, int], Any]
"""A sampler of Optuna that learns from trials, from a table, limits and a seed."""

Learn = Callable[["Network", Table, Limits, int, int], list[Assignment]]
"""The same from a training of the network, with a seed."""


@dataclass(frozen=True, slots=True)
class Allocator:
    """How assignments are found.

    Attributes:
        name: What the user calls it.
        plan: Where all are known before the first trial; None where trials teach.
        sampler: Where trials teach.
        learn: Where a training of the network finds them before the first trial.
    """

    name: str
    plan: Plan | None = None
    sampler: MakeSampler | None = None
    learn: Learn | None = None

    @property
    def knows_before(self) -> bool:
        """Whether all assignments are known before the first trial."""
        return self.plan is not None or self.learn is not None


ALLOCATORS: dict[str, Allocator] = {}


def plans(name: str) -> Callable[[Plan], Plan]:
    """Enter an allocator that knows all assignments before the first trial."""

    def enter(function: Plan) -> Plan:
        ALLOCATORS[name] = Allocator(name, plan=function)
        return function

    return enter


def samples(name: str) -> Callable[[MakeSampler], MakeSampler]:
    """Enter an allocator that learns from trials."""

    def enter(function: MakeSampler) -> MakeSampler:
        ALLOCATORS[name] = Allocator(name, sampler=function)
        return function

    return enter


def learns(name: str) -> Callable[[Learn], Learn]:
    """Enter an allocator that trains the network to find assignments."""

    def enter(function: Learn) -> Learn:
        ALLOCATORS[name] = Allocator(name, learn=function)
        return function

    return enter


def find_allocator(name: str) -> Allocator:
    """An allocator by its name.

    Raises:
        TinyqError: There is none.
    """
    if name not in ALLOCATORS:
        raise explain_unknown(name, ALLOCATORS, "allocator")
    return ALLOCATORS[name]
