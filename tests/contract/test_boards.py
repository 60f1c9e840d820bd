"""Every board of the catalogue keeps the promises of a board."""

from __future__ import annotations

import re
import shutil
from pathlib import Path, PurePath

import pytest
import yaml

from tinyq.boards import Board, load_boards
from tinyq.build import TOOLCHAINS, BuildOptions, build
from tinyq.resources import BOARDS, FIRMWARE

CATALOGUE = load_boards()
PORT_FUNCTIONS = set(
    re.findall(r"\b(tq_port_\w+)\(", (FIRMWARE / "core" / "tq_port.h").read_text("utf-8"))
)
EMPTY_MODEL = {
    PurePath("tq_model_instance.c"): """\
#include "tq_model.h"

static void run(const void *input, void *output)
{
    TQ_MARK(0);
    *(uint32_t *)output = *(const uint32_t *)input;
    TQ_MARK(1);
}

const tq_model tq_model_instance = {"empty", {0}, 4, 4, 0, 1, run};
"""
}


@pytest.fixture(params=CATALOGUE.values(), ids=lambda board: board.name)
def board(request: pytest.FixtureRequest) -> Board:
    return request.param


@pytest.mark.parametrize("section", ["aliases", "boards"])
def test_section_is_sorted(section):
    names = list(yaml.safe_load(BOARDS.read_text("utf-8"))[section])
    assert names == sorted(names)


def test_names_are_lower_case_and_no_alias_hides_a_board():
    aliases = yaml.safe_load(BOARDS.read_text("utf-8"))["aliases"]
    assert not set(aliases) & set(CATALOGUE)
    assert all(re.fullmatch(r"[a-z0-9-]+", name) for name in (*CATALOGUE, *aliases))


def test_port_has_every_function_of_the_interface(board):
    folders = [FIRMWARE / "ports" / name for name in (board.port, board.startup) if name]
    text = "".join(path.read_text("utf-8") for folder in folders for path in folder.glob("*.c"))
    defined = re.findall(r"^\w+ (tq_port_\w+)\([^;{]*\)\n\{", text, re.MULTILINE)
    assert sorted(defined) == sorted(PORT_FUNCTIONS)


def test_numbers_name_their_document(board):
    assert (
        board.source == "none"
        if board.port == "host"
        else re.search(r"\b(DS|DAI ?)\d+", board.source)
    )


def test_memory_is_given_and_holds_the_stack(board):
    if board.startup is None:
        assert board.flash_bytes == board.ram_bytes == board.stack_bytes == 0
        return
    assert 0 < board.stack_bytes < board.ram_bytes
    assert board.stack_bytes % 8 == 0
    assert board.clock_hz > 0
    regions = sorted([(board.flash_origin, board.flash_bytes), (board.ram_origin, board.ram_bytes)])
    assert regions[0][0] + regions[0][1] <= regions[1][0]


def test_runner_is_possible(board):
    assert board.runner != "qemu" or board.qemu_machine
    assert board.runner != "host" or board.port == "host"


def test_empty_model_builds_without_a_warning_and_fits(board, tmp_path):
    if not any(map(shutil.which, TOOLCHAINS[board.toolchain].compilers)):
        pytest.skip(f"no compiler of {board.toolchain}")
    image = build(EMPTY_MODEL, board, tmp_path / "out", BuildOptions(cflags=("-Werror",)))
    assert image.text_bytes > 500
    assert image.flash_bytes == image.text_bytes + image.data_bytes
    if board.startup is None:
        return
    assert image.ram_bytes == image.data_bytes + image.bss_bytes + board.stack_bytes
    assert image.flash_bytes <= min(board.flash_bytes, 8192)
    assert image.ram_bytes <= board.ram_bytes
    binary = Path(image.elf.parent / "firmware.bin").read_bytes()
    assert len(binary) == image.flash_bytes
    assert int.from_bytes(binary[:4], "little") == board.ram_origin + board.stack_bytes
