"""Every emulated core gives the reference's answers: a network of all formats, random graphs.

`make test-boards` runs more of them and prints the table.
"""

from __future__ import annotations

from pathlib import PurePath

import numpy as np
import pytest

from tests.fleet import emulated_boards, emulator, fitting_graphs, run_graph
from tests.mixed_model import mixed_model
from tests.random_graphs import draw_graph
from tinyq.errors import BudgetError
from tinyq.firmware.build import build
from tinyq.hardware.boards import Board, find_board
from tinyq.targets import open_link

NEEDS = {
    "arm-none-eabi": ("qemu-system-arm", "arm-none-eabi-gcc"),
    "riscv": ("qemu-system-riscv32", "riscv64-unknown-elf-gcc"),
    "avr": ("avr-gcc", "gcc"),
}
CORES = {"armv6m", "armv7m", "armv7em", "armv8m", "mve", "rv32", "avr"}


def boards() -> list:
    return [
        pytest.param(board, id=board.name, marks=pytest.mark.requires(*NEEDS[board.toolchain]))
        for board in emulated_boards()
    ]


def test_every_core_is_there():
    assert {board.isa for board in emulated_boards()} == CORES


@pytest.mark.parametrize("board", boards())
def test_the_mixed_model_answers_as_the_reference(board: Board, tmp_path, seed):
    if board.ram_bytes < 4096:
        with pytest.raises(BudgetError, match="RAM"):
            run_graph(mixed_model(), board, tmp_path / "out", seed)
        return
    result = run_graph(mixed_model(), board, tmp_path / "out", seed)
    assert result.mismatches == 0
    assert result.instructions > 100_000
    assert result.image.ram_bytes <= board.ram_bytes


@pytest.mark.parametrize("board", boards())
def test_random_graphs_answer_as_the_reference(board: Board, tmp_path, seed):
    wrong = [
        [node.op.kernel for node in graph.nodes]
        for graph, run in fitting_graphs(board, 2, tmp_path, seed)
        if run.mismatches
    ]
    assert not wrong


@pytest.mark.requires("avr-gcc", "gcc")
def test_pages_hold_the_most_of_one_layer_in_ram(tmp_path, seed):
    """The mixed model's constants are in flash once, and in RAM layer by layer."""
    board = find_board("arduino-mega")
    graph = mixed_model()
    image = run_graph(graph, board, tmp_path / "out", seed).image
    constants = [graph.constant_bytes(node) for node in graph.nodes]
    assert sum(constants) > image.board.ram_bytes // 4
    assert image.ram_bytes - image.data_bytes < max(constants) + 4096
    assert image.text_bytes > sum(constants)


@pytest.mark.requires("avr-gcc", "gcc")
def test_simavr_knows_cycles_and_qemu_does_not(tmp_path, rng, seed):
    graph = draw_graph(rng, "tiny")
    cycles = {}
    for name in ("arduino-mega", "mps2-an386"):
        image = run_graph(graph, find_board(name), tmp_path / name, seed).image
        link = open_link(image, emulator(image.board))
        try:
            packed = np.zeros(graph.input.type.packed_bytes, np.uint8)
            cycles[name] = link.profile(packed)
        finally:
            link.close()
    assert cycles["mps2-an386"] is None
    assert cycles["arduino-mega"] is not None
    assert all(count > 0 for count in cycles["arduino-mega"])


TWO_PAGES = {
    PurePath("tq_model_instance.c"): """\
#include "tq_model.h"

static uint8_t kept = 7;
static uint8_t zeroed[64];
static const uint8_t large[96] TQ_CONSTANT(0) = {[95] = 40};
static const uint8_t small[8] TQ_CONSTANT(1) = {[7] = 2};

static void run(const void *input, void *output)
{
    const uint8_t *x = input;
    uint8_t *y = output;
    TQ_MARK(0);
    y[0] = large[x[0]];
    TQ_MARK(1);
    y[1] = small[x[1]];
    TQ_MARK(2);
    y[2] = kept;
    y[3] = zeroed[x[2]];
    zeroed[x[2]]++;
}

const tq_model tq_model_instance = {"pages", {0}, 4, 4, 0, 2, run, 0, 0, 0, 0, 0};
"""
}


@pytest.mark.requires("avr-gcc", "gcc")
def test_variables_lie_behind_the_largest_page_not_behind_the_last(tmp_path):
    """The linker itself goes on behind the last one (binutils 2.26)."""
    image = build(TWO_PAGES, find_board("arduino-mega"), tmp_path / "out")
    link = open_link(image, "simavr")
    try:
        inputs = np.array([[95, 7, 0, 0]] * 3, np.uint8)
        assert link.infer(inputs).tolist() == [[40, 2, 7, count] for count in range(3)]
    finally:
        link.close()
