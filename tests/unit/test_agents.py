"""What learns from trials: small networks, agents, predictors, and what they propose."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import kendalltau

from tests.unit.test_exploration import draw_table, list_assignments
from tinyq.exploration.agents import Agent, Perceptron, fit, record
from tinyq.exploration.allocators.actor import act, act_by_goals, list_blocks, observe
from tinyq.exploration.allocators.predictor import breed, learn_scores
from tinyq.exploration.allocators.proposing import (
    FIRST,
    Tried,
    find_new,
    lower,
    read_actions,
    sort_pairs,
    write_actions,
)
from tinyq.exploration.budgets import Limits
from tinyq.exploration.supernet import price_pairs


def test_slopes_are_differences(rng) -> None:
    network = Perceptron(3, rng)
    x = rng.normal(size=(5, 3))
    for column in range(3):
        moved = [x + sign * 1e-5 * (np.arange(3) == column) for sign in (1, -1)]
        wanted = (network(moved[0]) - network(moved[1])) / 2e-5
        np.testing.assert_allclose(network.slope(x)[:, column], wanted, rtol=1e-4, atol=1e-9)


def test_a_network_learns_a_curve(rng) -> None:
    x = rng.uniform(-1, 1, (80, 2))
    wanted = np.sin(3 * x[:, 0]) + x[:, 1] ** 2
    error = fit(x, wanted, seed=1)(x) - wanted
    assert np.mean(error**2) < 0.05 * np.var(wanted)


def test_moves_follow_each_other() -> None:
    fixed = np.array([[0.0], [0.5], [1.0]])
    moves = record([fixed] * 2, [np.array([0.2, 0.4, 0.6]), np.array([0.1, 0.3, 0.5])], [7.0, 9.0])
    assert moves.seen[:, 1].tolist() == [1.0, 0.2, 0.4, 1.0, 0.1, 0.3]
    assert moves.got.tolist() == [0.0, 0.0, 7.0, 0.0, 0.0, 9.0]
    assert moves.ends.tolist() == [False, False, True] * 2
    np.testing.assert_array_equal(moves.after[:2], moves.seen[1:3])


def test_an_agent_finds_the_action_that_pays() -> None:
    """One move, whose reward is highest at an action that depends on what is seen."""
    generator = np.random.default_rng(0)
    seen = generator.integers(0, 2, (300, 1, 1)).astype(float)
    acted = generator.uniform(size=(300, 1))
    best = np.where(seen[:, 0, 0] > 0, 0.8, 0.25)
    agent = Agent(2, seed=3)
    agent.learn(record(seen, acted, (-4 * (acted[:, 0] - best) ** 2).tolist()), steps=1500)
    found = agent.act(np.array([[0.0, 1.0], [1.0, 1.0]]))
    np.testing.assert_allclose(found, [0.25, 0.8], atol=0.12)


def test_actions_stand_for_pairs_from_the_cheapest_on(rng) -> None:
    table = draw_table(rng)
    orders = sort_pairs(table)
    for order, row in zip(orders, price_pairs(table), strict=True):
        assert [row[at] for at in order] == sorted(row, reverse=True)
    for assignment in list_assignments(table)[::5]:
        assert read_actions(orders, write_actions(orders, assignment)) == assignment
    cheapest = tuple(order[-1] for order in orders)
    assert read_actions(orders, np.zeros(4)) == cheapest
    assert read_actions(orders, np.ones(4)) == tuple(order[0] for order in orders)


@pytest.mark.parametrize("case", range(4))
def test_what_is_too_dear_is_lowered_until_it_fits(case: int) -> None:
    table = draw_table(np.random.default_rng(case))
    orders = sort_pairs(table)
    cheapest = tuple(order[-1] for order in orders)
    limits = Limits(flash_bytes=table.predict(cheapest).flash_bytes + 2000)
    for assignment in list_assignments(table)[::4]:
        found = lower(table, limits, orders, assignment)
        # A pair that is cheaper in sum may be larger: then all that is left was lowered.
        assert limits.admit(table.predict(found)) or found == cheapest
        if limits.admit(table.predict(assignment)):
            assert found == assignment


@pytest.mark.parametrize("propose", [act, act_by_goals])
def test_agents_come_to_better_trials_than_chance(propose) -> None:
    """The score falls with the table's losses; a budget holds in every trial."""
    table = draw_table(np.random.default_rng(5), layers=6)
    middle = [table.predict(it).flash_bytes for it in list_assignments(table)]
    limits = Limits(flash_bytes=int(np.median(middle)))

    def ask(known, draws):
        return propose(table, limits, known, draws, 1)

    tried: list[Tried] = []
    generator = np.random.default_rng(0)
    for _ in range(20):
        found = find_new(table, limits, ask, tried, generator)
        tried.append(Tried(found, -table.loss_of(found) / 10))
    assert len({it.assignment for it in tried}) == len(tried)
    assert all(limits.admit(table.predict(it.assignment)) for it in tried)
    first, last = (np.mean([it.score for it in part]) for part in (tried[:FIRST], tried[-FIRST:]))
    assert last > first
    again = propose(table, limits, tried, np.random.default_rng(9), 1)
    assert again == propose(table, limits, tried, np.random.default_rng(9), 1)


def test_a_predictor_orders_what_it_has_not_seen() -> None:
    """Kendall's tau of foretold and true scores is at least .8, with products between layers."""
    table = draw_table(np.random.default_rng(3), layers=5)
    every = list_assignments(table)
    loss = np.array([table.loss_of(it) for it in every])
    score = -loss + 0.3 * np.array([it[0] * it[1] for it in every])
    order = np.random.default_rng(1).permutation(len(every))
    known = [Tried(every[at], float(score[at])) for at in order[:60]]
    predict = learn_scores(table, known, seed=0)
    rest = order[60:]
    tau = kendalltau(predict([every[at] for at in rest]), score[rest]).statistic
    assert tau >= 0.8


def test_breeding_finds_what_is_foretold_to_be_best() -> None:
    table = draw_table(np.random.default_rng(8), layers=5)
    every = list_assignments(table)
    limits = Limits(flash_bytes=int(np.median([table.predict(it).flash_bytes for it in every])))

    def predict(assignments):
        return np.array([-table.loss_of(it) for it in assignments])

    fitting = sorted((table.loss_of(it), it) for it in every if limits.admit(table.predict(it)))
    found = breed(table, limits, predict, [], np.random.default_rng(0))
    assert limits.admit(table.predict(found))
    assert table.loss_of(found) <= fitting[len(fitting) // 50][0] + 1e-9
    assert breed(table, limits, predict, [found], np.random.default_rng(0)) != found


def test_blocks_and_observations(rng) -> None:
    table = draw_table(rng, layers=7)
    assert [len(range(7)[block]) for block in list_blocks(7)] == [3, 3, 1]
    assert np.abs(observe(table)).max() <= 1.0 and observe(table).shape == (7, 8)
