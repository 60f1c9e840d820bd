"""Build folders: made whole or not at all, read back as they were."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from tests.bench_layers import Layer, make_graph
from tests.random_graphs import draw_graph
from tinyq.errors import BudgetError, TinyqError
from tinyq.graph import Graph
from tinyq.hardware.boards import find_board
from tinyq.project import MANIFEST, Limits, Project, Selection, create_project, open_project
from tinyq.selection import OBJECTIVES

pytestmark = pytest.mark.requires("gcc")


@pytest.fixture
def graph() -> Graph:
    return draw_graph(np.random.default_rng(1))


def test_a_project_comes_back_as_it_was_made(graph: Graph, tmp_path: Path) -> None:
    made = create_project(graph, find_board("host"), tmp_path / "build")
    read = open_project(tmp_path / "build")
    assert read.image == made.image
    assert read.graph_digest == made.graph_digest
    assert read.plan.offsets == made.plan.offsets
    for name in ("folder", "optimize", "isas", "kernels", "cflags"):
        assert getattr(read, name) == getattr(made, name)
    assert (tmp_path / "build" / "model" / f"{graph.name}.h").is_file()


def test_building_again_replaces_the_folder(graph: Graph, tmp_path: Path) -> None:
    folder = tmp_path / "build"
    first = create_project(graph, find_board("host"), folder)
    (folder / "leftover.txt").write_text("from before")
    second = create_project(graph, find_board("host"), folder)
    assert first.image.firmware_digest == second.image.firmware_digest
    assert not (folder / "leftover.txt").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["build"]


def test_a_folder_of_something_else_is_left_alone(graph: Graph, tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(TinyqError, match="not a build folder"):
        create_project(graph, find_board("host"), tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_a_failed_build_leaves_nothing(
    graph: Graph, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path / "nowhere"))
    with pytest.raises(TinyqError, match="not installed"):
        create_project(graph, find_board("stm32"), tmp_path / "build")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.requires("arm-none-eabi-gcc")
def test_a_board_that_is_just_too_small_gets_smaller_kernels(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The linker finds what the estimate did not; the choice is made again."""
    monkeypatch.setattr("tinyq.project.creation._FIRMWARE_BYTES", 0)
    layer = make_graph(Layer("Conv2D", (16, 16, 32), 32), "model", "s8", "s8")
    board, fastest = find_board("nucleo-l4r5zi"), Selection(optimize="speed")
    fast = create_project(layer, board, tmp_path / "fast", kernels=fastest)
    smaller = dataclasses.replace(board, flash_bytes=fast.image.flash_bytes - 1)
    monkeypatch.setattr("tinyq.project.creation.find_board", lambda _: smaller)
    small = create_project(layer, smaller, tmp_path / "small", kernels=fastest)
    assert small.image.flash_bytes < fast.image.flash_bytes
    assert small.chosen["layer"].instructions > fast.chosen["layer"].instructions
    tiny = dataclasses.replace(board, flash_bytes=8192)
    with pytest.raises(BudgetError, match="bytes of flash.*most go to layer by conv2d"):
        create_project(layer, tiny, tmp_path / "tiny", kernels=fastest)
    assert not (tmp_path / "tiny").exists()


@pytest.mark.requires("arm-none-eabi-gcc")
def test_limits_of_the_user_are_kept_or_refused(tmp_path: Path) -> None:
    layer = make_graph(Layer("Conv2D", (16, 16, 32), 32), "model", "s8", "s8")
    board = find_board("nucleo-l4r5zi")

    def build(name: str, objective: str, **limits: int) -> Project:
        selection = Selection(optimize=objective, limits=Limits(**limits))
        return create_project(layer, board, tmp_path / name, kernels=selection)

    fast, small = build("fast", "speed"), build("small", "size")
    flash = (fast.image.flash_bytes + small.image.flash_bytes) // 2
    between = build("flash", "speed", flash_bytes=flash)
    assert small.image.flash_bytes <= between.image.flash_bytes <= flash
    assert between.image.board == board
    cycles = fast.chosen["layer"].instructions * 3
    assert build("cycles", "size", cycles=cycles).chosen["layer"].instructions <= cycles
    ram = build("ram", "speed", ram_bytes=fast.image.ram_bytes - 1000)
    assert ram.image.ram_bytes <= fast.image.ram_bytes - 1000
    with pytest.raises(BudgetError, match="bytes of flash"):
        build("tiny", "speed", flash_bytes=4096)
    with pytest.raises(BudgetError, match="about .* cycles by the fastest"):
        build("quick", "speed", cycles=1000)
    with pytest.raises(TinyqError, match="at least 0"):
        build("odd", "speed", ram_bytes=-1)
    assert not {"tiny", "quick", "odd"} & {path.name for path in tmp_path.iterdir()}


@pytest.mark.requires("arm-none-eabi-gcc")
def test_size_comes_first(tmp_path: Path) -> None:
    layer = make_graph(Layer("Conv2D", (8, 8, 16), 8), "model", "s8", "s8")
    board = find_board("nucleo-l4r5zi")
    made = {
        name: create_project(layer, board, tmp_path / name, kernels=Selection(optimize=name))
        for name in OBJECTIVES
    }
    sizes = {name: project.image.flash_bytes for name, project in made.items()}
    assert sizes["size"] == min(sizes.values()) < sizes["speed"]
    assert open_project(tmp_path / "size").optimize == "size"


def test_not_a_build_folder(tmp_path: Path) -> None:
    with pytest.raises(TinyqError, match="is not a build folder"):
        open_project(tmp_path)


def test_another_version(graph: Graph, tmp_path: Path) -> None:
    folder = tmp_path / "build"
    create_project(graph, find_board("host"), folder)
    (folder / MANIFEST).write_text('{"tinyq_project": 99}')
    with pytest.raises(TinyqError, match="another version"):
        open_project(folder)


def test_a_graph_that_was_exchanged_is_noticed(graph: Graph, tmp_path: Path) -> None:
    create_project(graph, find_board("host"), tmp_path / "one")
    create_project(draw_graph(np.random.default_rng(2)), find_board("host"), tmp_path / "two")
    (tmp_path / "two" / "graph.tqg").replace(tmp_path / "one" / "graph.tqg")
    with pytest.raises(TinyqError, match="not the one that the firmware was built from"):
        open_project(tmp_path / "one")


def test_missing_firmware(graph: Graph, tmp_path: Path) -> None:
    project = create_project(graph, find_board("host"), tmp_path / "build")
    project.image.elf.unlink()
    with pytest.raises(TinyqError, match="firmware is missing"):
        open_project(tmp_path / "build")
