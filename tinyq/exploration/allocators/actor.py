"""Assignments of agents that learn from trials what a layer needs."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from tinyq.exploration.agents import Agent, record
from tinyq.exploration.allocators.proposing import (
    FIRST,
    Tried,
    draw_limits,
    lower,
    make_sampler,
    read_actions,
    sort_pairs,
    write_actions,
)
from tinyq.exploration.allocators.registry import samples
from tinyq.exploration.budgets import RESOURCES, Limits
from tinyq.exploration.space import Assignment
from tinyq.exploration.table import Table

_NOISE, _CALMING = 0.4, 0.9  # deviation of the first actions, and what a trial leaves of it
_REWARD = 10.0  # of a score from 0 to 1

Rows = npt.NDArray[np.float64]
Decide = Callable[[Rows, Sequence[Rows], Sequence[float], np.random.Generator, int], Rows]
"""Actions from what is seen of layers, actions and rewards of trials, draws and a seed."""


@samples("actor")
def choose_by_actor(table: Table, limits: Limits, seed: int) -> Any:
    """An agent that goes from layer to layer, and lowers what it chose until it fits.

    a_l = actor(place, what pairs save and lose, a_(l-1)) + noise,  reward = 10 score at the end

    Reference: Wang et al. 2019, HAQ, arXiv:1811.08886, section 3.
    """

    def propose(tried: Sequence[Tried], generator: np.random.Generator) -> Assignment:
        return act(table, limits, tried, generator, seed)

    return make_sampler(table, limits, propose, seed)


@samples("hierarchy")
def choose_by_goals(table: Table, limits: Limits, seed: int) -> Any:
    """An agent that gives each block of layers a goal, and one that chooses within it.

        g_b = upper(block),  a_l = lower(layer, g_b),  reward of lower = 10 score - |mean a - g_b|

    A block is a run of about as many layers as there are blocks.

    Reference: Lou et al. 2019, AutoQ, arXiv:1902.05690, section 3.
    """

    def propose(tried: Sequence[Tried], generator: np.random.Generator) -> Assignment:
        return act_by_goals(table, limits, tried, generator, seed)

    return make_sampler(table, limits, propose, seed)


def act(
    table: Table,
    limits: Limits,
    tried: Sequence[Tried],
    generator: np.random.Generator,
    seed: int,
) -> Assignment:
    """The next assignment of one agent, which learns all that was tried anew."""
    return _propose(_decide, table, limits, tried, generator, seed)


def act_by_goals(
    table: Table,
    limits: Limits,
    tried: Sequence[Tried],
    generator: np.random.Generator,
    seed: int,
) -> Assignment:
    """The next assignment of two agents, one above the other."""
    return _propose(_decide_by_goals, table, limits, tried, generator, seed)


def _propose(
    decide: Decide,
    table: Table,
    limits: Limits,
    tried: Sequence[Tried],
    generator: np.random.Generator,
    seed: int,
) -> Assignment:
    """What is decided after all that was tried, drawn in the beginning; lowered until it fits."""
    orders, seen = sort_pairs(table), observe(table)
    within = draw_limits(table, limits, generator)
    if len(tried) < FIRST:
        return lower(table, within, orders, read_actions(orders, generator.uniform(size=len(seen))))
    actions = [write_actions(orders, it.assignment) for it in tried]
    chosen = decide(seen, actions, [_REWARD * it.score for it in tried], generator, seed)
    return lower(table, within, orders, read_actions(orders, chosen), chosen)


def _decide(
    seen: Rows,
    actions: Sequence[Rows],
    rewards: Sequence[float],
    generator: np.random.Generator,
    seed: int,
) -> Rows:
    agent = Agent(seen.shape[1] + 1, seed)
    agent.learn(record([seen] * len(actions), actions, rewards))
    return _walk(agent, seen, _noise(len(actions)), generator)


def _decide_by_goals(
    seen: Rows,
    actions: Sequence[Rows],
    rewards: Sequence[float],
    generator: np.random.Generator,
    seed: int,
) -> Rows:
    blocks = list_blocks(len(seen))
    coarse = np.array([seen[block].mean(axis=0) for block in blocks])
    goals = [np.array([acted[block].mean() for block in blocks]) for acted in actions]
    upper = Agent(coarse.shape[1] + 1, seed)
    upper.learn(record([coarse] * len(actions), goals, rewards))
    aims = _walk(upper, coarse, _noise(len(actions)), generator)
    # What was reached is what was aimed at, in hindsight: it costs these moves nothing. The agent
    # below learns what a miss costs from the goals of other trials.
    episodes, acted, got = [], [], []
    for place, (own, goal) in enumerate(zip(actions, goals, strict=True)):
        for other in (goal, goals[(place + 1) % len(goals)]):
            episodes.append(_with_goals(seen, blocks, other))
            acted.append(own)
            got.append(rewards[place] - float(np.abs(goal - other).mean()))
    below = Agent(seen.shape[1] + 2, seed + 1)
    below.learn(record(episodes, acted, got))
    return _walk(below, _with_goals(seen, blocks, aims), _noise(len(actions)), generator)


def observe(table: Table) -> Rows:
    """What an agent sees of each layer, shape (layers, 4 + resources), each about 0 .. 1.

    Place, number of pairs, largest loss, its rank, and the most that a pair saves of each resource.
    """
    count = len(table.loss)
    losses = np.array([max(row) for row in table.loss])
    rows = [
        np.arange(count) / max(count - 1, 1),
        np.array([len(row) for row in table.loss]) / 8.0,
        losses / (losses.max(initial=0.0) or 1.0),
        losses.argsort(kind="stable").argsort(kind="stable") / max(count - 1, 1),
    ]
    saved = {
        "flash_bytes": table.flash,
        "ram_bytes": [[min(pair, default=0) for pair in row] for row in table.live],
        "instructions": table.instructions,
        "cycles": table.cycles or table.instructions,
    }
    for name in RESOURCES:
        most = np.array([-float(min(row)) for row in saved[name]])
        rows.append(most / (np.abs(most).max(initial=0.0) or 1.0))
    return np.array(rows).T


def list_blocks(layers: int) -> list[slice]:
    """Runs of layers, of about the square root of their number each."""
    size = max(1, round(math.sqrt(layers)))
    return [slice(start, min(start + size, layers)) for start in range(0, layers, size)]


def _with_goals(seen: Rows, blocks: Sequence[slice], goals: Rows) -> Rows:
    column = np.concatenate(
        [np.full(block.stop - block.start, goal) for block, goal in zip(blocks, goals, strict=True)]
    )
    return np.concatenate([seen, column[:, None]], axis=1)


def _walk(agent: Agent, seen: Rows, noise: float, generator: np.random.Generator) -> Rows:
    """Actions from the first row to the last, each of which sees the one before it."""
    chosen, before = [], 1.0
    for row in seen:
        action = float(agent.act(np.append(row, before)[None])[0])
        before = float(np.clip(action + noise * generator.standard_normal(), 0.0, 1.0))
        chosen.append(before)
    return np.array(chosen)


def _noise(trials: int) -> float:
    return _NOISE * _CALMING ** (trials - FIRST)
