"""Budgets, spaces, allocators and fronts of a search, without a model."""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaml

from tinyq.errors import RecipeError, TinyqError
from tinyq.exploration.allocators import ALLOCATORS, find_allocator, grid, ilp, rank
from tinyq.exploration.budgets import RESOURCES, Costs, Limits, limit_cycles, read_amount
from tinyq.exploration.front import find_front, order_by_worth
from tinyq.exploration.proxies import PROXIES, find_proxy
from tinyq.exploration.sensitivities import SENSITIVITIES, find_sensitivity
from tinyq.exploration.space import Pair, Space, read_space
from tinyq.exploration.table import Table
from tinyq.exploration.trials import Trial
from tinyq.hardware.boards import find_board
from tinyq.measurement.profile.energy import find_pace

PAIRS = tuple(Pair(weights, "int8") for weights in ("int8", "int4", "ternary"))
NAMES = ("first", "inner", "branch", "last")


def draw_table(rng: np.random.Generator, layers: int = 4, pairs: int = 3, nodes: int = 5) -> Table:
    """Differences as layers have them: losses rise, bytes, instructions and cycles do either."""
    shape = (layers, pairs)
    loss = np.sort(rng.exponential(1.0, shape), axis=1)
    flash = -np.sort(rng.integers(0, 4000, shape), axis=1)
    work = rng.integers(-9000, 4000, shape)
    live = rng.integers(-500, 300, (*shape, nodes))
    cycles = work + rng.integers(-4000, 4000, shape)
    for values in (loss, flash, work, live, cycles):
        values[:, 0] = 0
    return Table(
        Space({f"layer{at}": PAIRS[:pairs] for at in range(layers)}),
        Costs(30_000, 9_000, 200_000, 260_000),
        tuple(map(tuple, loss.tolist())),
        tuple(map(tuple, flash.tolist())),
        tuple(map(tuple, work.tolist())),
        tuple(tuple(map(tuple, row)) for row in live.tolist()),
        tuple(int(it) for it in rng.integers(1000, 3000, nodes)),
        6_000,
        tuple(map(tuple, cycles.tolist())),
    )


def list_assignments(table: Table) -> list[tuple[int, ...]]:
    return list(itertools.product(*(range(len(row)) for row in table.loss)))


@pytest.mark.parametrize("case", range(12))
def test_the_program_equals_brute_force(case: int) -> None:
    """The least loss within limits, whichever are set; none where none exists."""
    rng = np.random.default_rng(case)
    table = draw_table(rng)
    every = list_assignments(table)
    for _ in range(8):
        some = table.predict(every[rng.integers(len(every))])
        limits = Limits(
            *(some[name] if rng.integers(2) else None for name in RESOURCES),
        )
        if limits.is_open:
            continue
        fitting = [it for it in every if limits.admit(table.predict(it))]
        found = ilp.solve(table, limits, 3)
        assert all(limits.admit(table.predict(it)) for it in found)
        assert len(set(found)) == len(found) == min(3, len(fitting))
        wanted = sorted(table.loss_of(it) for it in fitting)[: len(found)]
        # Of equal losses the smaller network is taken: that weighs a millionth of the loss.
        assert [table.loss_of(it) for it in found] == pytest.approx(wanted, rel=1e-3, abs=1e-4)


def test_costs_are_sums_but_for_ram() -> None:
    table = draw_table(np.random.default_rng(4))
    for assignment in list_assignments(table)[::7]:
        costs = table.predict(assignment)
        places = list(enumerate(assignment))
        assert costs.flash_bytes == 30_000 + sum(table.flash[at][pair] for at, pair in places)
        work = sum(table.instructions[at][pair] for at, pair in places)
        assert costs.instructions == 200_000 + work
        assert costs.cycles == 260_000 + sum(table.cycles[at][pair] for at, pair in places)
    blind = replace(table, cycles=())
    assert blind.predict(assignment) == replace(costs, cycles=0)
    assert ilp.solve(blind, Limits(instructions=199_000), 1)


def test_time_and_energy_are_limits_of_cycles() -> None:
    board = find_board("nucleo-l4r5zi")  # 120 MHz, 0.28 nJ a cycle
    pace = find_pace(board)
    assert limit_cycles(None, None, None, board, pace) is None
    assert limit_cycles(7, None, None, board, pace) == 7
    assert limit_cycles(None, 2.5, None, board, pace) == 300_000
    assert limit_cycles(None, None, 28.0, board, pace) == 100_000
    assert limit_cycles(200_000, 2.5, 280.0, board, pace) == 200_000
    drawn = find_pace(board, 120.0)  # 120 mW at 120 MHz are 1 nJ a cycle
    assert limit_cycles(None, None, 28.0, board, drawn) == 28_000


@pytest.mark.parametrize(
    ("board", "limits", "what"),
    [
        ("nucleo-l4r5zi", (None, 0.0, None), "no amount"),
        ("nucleo-l4r5zi", (None, None, float("nan")), "no amount"),
        ("stm32f405", (None, None, 5.0), "what a cycle of"),
        ("host", (None, 5.0, None), "clock"),
        ("host", (5, None, None), "no emulated core"),
        ("riscv-virt", (5, None, None), "no timings"),
    ],
)
def test_limits_of_what_nobody_knows(board: str, limits: tuple, what: str) -> None:
    entry = find_board(board)
    with pytest.raises(TinyqError, match=what) as caught:
        limit_cycles(*limits, entry, find_pace(entry))
    assert caught.value.remedy


def test_nothing_fits_where_nothing_can() -> None:
    table = draw_table(np.random.default_rng(1))
    assert ilp.solve(table, Limits(flash_bytes=1), 4) == []


@pytest.mark.parametrize("count", [2, 5, 12])
def test_the_program_spreads_over_a_front(count: int) -> None:
    table = draw_table(np.random.default_rng(3), layers=6)
    found = ilp.solve(table, Limits(), count)
    assert 2 <= len(set(found)) == len(found) <= count
    assert table.space.base in found
    costs = [table.predict(it) for it in found]
    assert min(it.flash_bytes for it in costs) < table.base.flash_bytes


def test_the_grid_lists_all_in_order_of_loss() -> None:
    table = draw_table(np.random.default_rng(5))
    found = grid.list_all(table, Limits(), 1000)
    assert sorted(found) == list_assignments(table)
    assert [table.loss_of(it) for it in found] == sorted(map(table.loss_of, found))
    huge = draw_table(np.random.default_rng(5), layers=12)
    with pytest.raises(TinyqError, match="531,441 assignments"):
        grid.list_all(huge, Limits(), 3)


def test_the_walk_ends_within_the_budget() -> None:
    table = draw_table(np.random.default_rng(7))
    smallest = min(table.predict(it).flash_bytes for it in list_assignments(table))
    limits = Limits(flash_bytes=(table.base.flash_bytes + smallest) // 2)
    found = rank.descend(table, limits, 20)
    assert limits.admit(table.predict(found[0]))
    assert not any(limits.admit(table.predict(it)) for it in found[1:])
    assert table.space.base in found
    assert len(rank.descend(table, Limits(), 3)) == 3


def test_arena_is_planned_by_node_and_not_summed() -> None:
    """Two layers that are never alive together do not add up."""
    space = Space({"a": PAIRS[:2], "b": PAIRS[:2]})
    live = (((0, 0), (-50, 0)), ((0, 0), (0, -80)))
    table = Table(
        space,
        Costs(0, 110, 0),
        ((0.0, 1.0),) * 2,
        ((0, 0),) * 2,
        ((0, 0),) * 2,
        live,
        (100, 90),
        10,
    )
    assert [table.predict(it).ram_bytes for it in list_assignments(table)] == [110, 110, 100, 60]
    assert ilp.solve(table, Limits(ram_bytes=100), 1) == [(1, 0)]


@pytest.mark.parametrize(
    ("text", "base", "amount"),
    [
        ("64K", 1024, 65536),
        ("64kB", 1024, 65536),
        ("1.5M", 1000, 1_500_000),
        ("7", 1024, 7),
        (9, 1000, 9),
        (None, 1024, None),
    ],
)
def test_amounts(text: str, base: int, amount: int | None) -> None:
    assert read_amount(text, "--flash", base) == amount


@pytest.mark.parametrize("text", ["", "K", "-4K", "0", "1e9", "64 X", "2MB2", "nan", True])
def test_wrong_amounts(text: str) -> None:
    with pytest.raises(TinyqError) as caught:
        read_amount(text, "--flash", 1024)
    assert caught.value.where == "--flash"


def test_instructions_have_no_bytes() -> None:
    with pytest.raises(TinyqError):
        read_amount("2MB", "--instructions", 1000)


def test_a_space_is_read_from_patterns(tmp_path: Path) -> None:
    file = tmp_path / "space.yaml"
    text = {
        "layers": {
            "first": ["int8"],
            "in*": ["int8", {"weights": "ttq", "activations": "int8"}],
            "*": ["int8", "lsq4"],
        }
    }
    file.write_text(yaml.safe_dump(text), "utf-8")
    names = ("one", "inner", "last")
    space = read_space(file, names)
    assert space.to_json() == {
        "one": ["int8"],
        "inner": ["int8", "ttq/int8"],
        "last": ["int8", "lsq4"],
    }
    assert space.size == 4
    assert [it[:2] for it in space.deviations()] == [(1, 1), (2, 1)]
    recipe = space.to_recipe((0, 1, 0), (0.0, 1.0))
    assert recipe["layers"]["inner"] == {"weights": "ttq", "activations": "int8"}
    assert recipe["input"] == {"range": [0.0, 1.0]}


@pytest.mark.parametrize(
    "source",
    [
        [],
        {},
        {"layers": {}},
        {"layers": {"*": "int8"}},
        {"layers": {"*": []}},
        {"layers": {"*": [{"weights": "int8"}]}},
        {"layers": {"*": [3]}},
        {"layers": {"*": ["int77"]}},
        {"layers": {"nobody": ["int8"]}},
        {"layers": {"*": ["int8"]}, "more": 1},
    ],
)
def test_wrong_spaces(source: object) -> None:
    with pytest.raises(RecipeError) as caught:
        read_space(source, NAMES)  # type: ignore[arg-type]
    assert caught.value.remedy


def try_out(number: int, score: float, flash: int, ram: int = 1, work: int = 1) -> Trial:
    return Trial(number, (number,), score, 1.0 - score, Costs(flash, ram, work))


def test_a_front_has_what_nothing_beats() -> None:
    trials = [
        try_out(0, 0.9, 100),
        try_out(1, 0.9, 120),
        try_out(2, 0.8, 50),
        try_out(3, 0.7, 60),
        try_out(4, 0.7, 60, work=0),
        try_out(5, 0.9, 100),
    ]
    assert [it.number for it in find_front(trials)] == [0, 2, 4]
    assert find_front([]) == []
    limits = Limits(flash_bytes=70)
    assert [it.number for it in order_by_worth(trials, limits)][:4] == [2, 4, 3, 0]


@pytest.mark.parametrize(
    ("find", "known"),
    [(find_allocator, ALLOCATORS), (find_sensitivity, SENSITIVITIES), (find_proxy, PROXIES)],
)
def test_parts_are_found_by_name(find, known) -> None:
    for name in known:
        assert find(name)
    for wrong in ("nothing", "", "ptq:3", "train:0", "train:x"):
        with pytest.raises(TinyqError, match="there is no"):
            find(wrong)


def test_epochs_of_a_proxy() -> None:
    assert find_proxy("train:7").epochs == 7
    assert str(find_proxy("train")) == "train:1"
    assert not find_proxy("ptq").trains
