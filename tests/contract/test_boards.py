"""Every board of the catalogue keeps the promises of a board."""

from __future__ import annotations

import re
from pathlib import Path, PurePath

import pytest
import yaml

from tinyq.errors import TinyqError
from tinyq.firmware.build import BuildOptions, build, port_folders
from tinyq.firmware.toolchains import FOREIGN, TOOLCHAINS
from tinyq.hardware.boards import Board, load_boards
from tinyq.support.resources import BOARDS, FIRMWARE
from tinyq.targets.flash import FLASHERS

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

const tq_model tq_model_instance = {"empty", {0}, 4, 4, 0, 1, run, 0, 0, 0, 0, 0};
"""
}


BUILT_HERE = [board for board in CATALOGUE.values() if board.toolchain in TOOLCHAINS]
BUILT_ELSEWHERE = [board for board in CATALOGUE.values() if board.toolchain not in TOOLCHAINS]


@pytest.fixture(params=CATALOGUE.values(), ids=lambda board: board.name)
def board(request: pytest.FixtureRequest) -> Board:
    return request.param


@pytest.fixture(
    params=[
        pytest.param(
            board,
            id=board.name,
            marks=pytest.mark.requires(TOOLCHAINS[board.toolchain].compilers[0]),
        )
        for board in BUILT_HERE
    ]
)
def built_board(request: pytest.FixtureRequest) -> Board:
    return request.param


def test_there_are_the_boards_that_people_own():
    families = ("f0", "f1", "f4", "f7", "g4", "h7", "l4", "u5", "wb")
    assert all(any(f"-{family}" in name for name in CATALOGUE) for family in families)
    assert len([board for board in CATALOGUE.values() if board.runner == "serial"]) >= 30


@pytest.mark.parametrize("section", ["aliases", "boards"])
def test_section_is_sorted(section):
    names = list(yaml.safe_load(BOARDS.read_text("utf-8"))[section])
    assert names == sorted(names)


def test_names_are_lower_case_and_no_alias_hides_a_board():
    aliases = yaml.safe_load(BOARDS.read_text("utf-8"))["aliases"]
    assert not set(aliases) & set(CATALOGUE)
    assert all(re.fullmatch(r"[a-z0-9-]+", name) for name in (*CATALOGUE, *aliases))


def test_port_has_every_function_of_the_interface(built_board):
    folders = [FIRMWARE / "ports" / name for name in port_folders(built_board)]
    text = "".join(path.read_text("utf-8") for folder in folders for path in folder.glob("*.c"))
    defined = re.findall(r"^\w+ (tq_port_\w+)\([^;{]*\)\n\{", text, re.MULTILINE)
    assert set(defined) == PORT_FUNCTIONS


def test_numbers_name_their_document(board):
    if board.port == "host" or board.name == "arduino":
        assert board.source == "none"
    else:
        assert re.search(r"\bDS ?\d+|\bDAI \d+|\bDS\b|\bPS \d|\bR01DS\d+", board.source)


def test_memory_is_given_and_holds_the_stack(built_board):
    board = built_board
    if board.startup is None:
        assert board.flash_bytes == board.ram_bytes == board.stack_bytes == 0
        return
    assert 0 < board.stack_bytes < board.ram_bytes
    assert board.stack_bytes % 8 == 0
    assert board.clock_hz > 0
    regions = sorted([(board.flash_origin, board.flash_bytes), (board.ram_origin, board.ram_bytes)])
    assert regions[0][0] + regions[0][1] <= regions[1][0]


@pytest.mark.parametrize("board", BUILT_ELSEWHERE, ids=lambda board: board.name)
def test_board_without_a_port_names_what_builds_it(board, tmp_path):
    with pytest.raises(TinyqError) as caught:
        build(EMPTY_MODEL, board, tmp_path / "out")
    assert board.title in caught.value.message
    assert caught.value.remedy == FOREIGN[board.toolchain]
    assert not (tmp_path / "out").exists()


def test_tested_says_what_has_run(board):
    emulated = board.qemu_machine or board.simavr_mcu
    if board.startup is not None:
        assert (board.tested == "emulator") == bool(emulated)


def test_flasher_is_one_that_is_known(board):
    assert not board.flasher or board.flasher[0] in FLASHERS


def test_usb_id_is_vendor_and_product(board):
    assert board.serial.usb is None or re.fullmatch(r"[0-9a-f]{4}:[0-9a-f]{4}", board.serial.usb)


def test_platformio_id_is_given_where_a_board_is_sold(board):
    bought = board.runner == "serial" and board.toolchain not in {"host", "zephyr"}
    # PlatformIO's platform for Nordic's chips ends with the nRF52.
    if bought and board.name not in {"arduino", "netduino-plus-2", "nrf5340-dk"}:
        assert re.fullmatch(r"[A-Za-z0-9_-]+", board.platformio or "")


def test_second_boot_stage_of_the_rp2040_has_its_checksum():
    """CRC-32, most significant bit first, from 0xFFFFFFFF: RP2040 Datasheet, 2.8.1.3.1."""
    text = (FIRMWARE / "ports/rp2040/boot2.c").read_text("utf-8")
    table = text[text.index("= {") :]
    words = [int(word, 16) for word in re.findall(r"0x([0-9A-F]{8})u", table)]
    code = b"".join(word.to_bytes(4, "little") for word in words[:-1]).ljust(252, b"\0")
    crc = 0xFFFFFFFF
    for byte in code:
        crc ^= byte << 24
        for _ in range(8):
            crc = (crc << 1 ^ (0x04C11DB7 if crc >> 31 else 0)) & 0xFFFFFFFF
    assert words[-1] == crc


def test_runner_is_possible(board):
    assert board.runner != "qemu" or board.qemu_machine
    assert board.runner != "simavr" or board.simavr_mcu
    assert board.runner != "host" or board.port == "host"


def test_empty_model_builds_without_a_warning_and_fits(built_board, tmp_path):
    board = built_board
    options = BuildOptions(payload_bytes=256, cflags=("-Werror",))
    image = build(EMPTY_MODEL, board, tmp_path / "out", options)
    assert image.text_bytes > 500
    assert image.flash_bytes == image.text_bytes + image.data_bytes
    if board.startup is None:
        return
    assert image.ram_bytes == image.data_bytes + image.bss_bytes + board.stack_bytes
    assert image.flash_bytes <= min(board.flash_bytes, 8192)
    assert image.ram_bytes <= board.ram_bytes
    binary = Path(image.elf.parent / "firmware.bin").read_bytes()
    assert len(binary) == image.flash_bytes
    if board.startup == "cortexm":
        vectors = binary[256:] if board.port == "rp2040" else binary
        assert int.from_bytes(vectors[:4], "little") == board.ram_origin + board.stack_bytes
