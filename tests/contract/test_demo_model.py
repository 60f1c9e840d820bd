"""The demo's network on the boards: built within their memory, or refused by the layers' sizes.

One or two boards of each port here; `make test-boards` builds it for all of them.
"""

from __future__ import annotations

import re

import pytest

from tests.footprint import (
    PACKAGES,
    built_boards,
    estimate,
    foreign_boards,
    generate,
    saved_demo_graph,
    smallest_boards,
)
from tinyq.errors import BudgetError
from tinyq.exports import export
from tinyq.firmware.toolchains import TOOLCHAINS
from tinyq.graph import Graph
from tinyq.hardware.boards import Board, load_boards
from tinyq.project import Selection, create_project


@pytest.fixture(scope="module")
def graph(tmp_path_factory: pytest.TempPathFactory) -> Graph:
    return saved_demo_graph(tmp_path_factory.mktemp("demo"))


def test_every_board_is_built_or_exported() -> None:
    both = {board.name for board in (*built_boards(), *foreign_boards())}
    assert both == set(load_boards())
    assert {board.port for board in smallest_boards()} == {board.port for board in built_boards()}


@pytest.mark.parametrize(
    "board",
    [
        pytest.param(
            board,
            id=board.name,
            marks=pytest.mark.requires(TOOLCHAINS[board.toolchain].compilers[0]),
        )
        for board in smallest_boards()
    ],
)
def test_demo_model_is_built_or_refused_by_its_size(graph, board: Board, tmp_path) -> None:
    need, folder = estimate(graph, board), tmp_path / "out"
    if not need.fits(board):
        with pytest.raises(BudgetError) as caught:
            create_project(graph, board, folder)
        named = re.findall(r"(\w+) \([\d,]+\)", caught.value.message)
        assert named
        assert set(named) <= {node.name for node in graph.nodes}
        assert not folder.exists()
        return
    image = create_project(graph, board, folder).image
    if board.startup is None:
        return
    assert image.flash_bytes <= board.flash_bytes
    assert image.ram_bytes <= board.ram_bytes
    # The estimate counts packed weights, which faster kernels may unpack.
    smallest = create_project(graph, board, folder, kernels=Selection(optimize="size")).image
    assert smallest.flash_bytes <= need.flash_bytes
    least = create_project(graph, board, folder, kernels=Selection(optimize="ram")).image
    assert least.ram_bytes <= need.ram_bytes


def test_both_outcomes_occur(graph) -> None:
    outcomes = {estimate(graph, board).fits(board) for board in smallest_boards()}
    assert outcomes == {True, False}


@pytest.mark.parametrize("board", foreign_boards(), ids=lambda board: board.name)
def test_demo_model_is_generated_for_the_others(graph, board: Board) -> None:
    assert estimate(graph, board).fits(board)
    assert "TQ_MARK(0)" in generate(graph, board)
    # The same kernels are compiled for a board that is built here.
    assert board.isa in {built.isa for built in built_boards()}


@pytest.mark.parametrize("kind", sorted(set(PACKAGES.values()) | {"platformio"}))
def test_demo_model_is_exported_for_the_others(graph, kind, tmp_path) -> None:
    files = export(graph, kind, tmp_path / "out")
    names = {path.name for path in files}
    assert "digits.h" in names
    described = {"arduino": "library.properties", "platformio": "library.json"}
    assert described.get(kind, "module.yml") in names
