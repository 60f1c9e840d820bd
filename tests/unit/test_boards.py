from __future__ import annotations

from pathlib import Path

import pytest

from tinyq.errors import BoardError
from tinyq.hardware.boards import find_board, load_boards

FIELDS = """\
    title: A board
    isa: armv7m
    port: cmsdk
    toolchain: arm-none-eabi
    flash_origin: 0
    flash_bytes: 1024
    ram_origin: 0x20000000
    ram_bytes: 512
    stack_bytes: 128
    clock_hz: 1000000
    runner: serial
    source: a datasheet
"""
BAD_FIELDS = FIELDS.replace("1024", "x")


def write(folder: Path, text: str) -> Path:
    path = folder / "boards.yaml"
    path.write_text(text, "utf-8")
    return path


def test_entry_takes_over_its_families_and_merges_mappings(tmp_path):
    path = write(
        tmp_path,
        "families:\n"
        "  base:\n"
        f"{FIELDS}"
        "    cflags: [-a]\n"
        "    defines: {ONE: 1, TWO: 2}\n"
        "  middle:\n"
        "    family: base\n"
        "    cflags: [-b, -c]\n"
        "    defines: {TWO: 3}\n"
        "    serial: {baud: 9600}\n"
        "boards:\n"
        "  mine:\n"
        "    family: middle\n"
        "    ram_bytes: 2048\n"
        "    defines: {PORT: A}\n"
        "    serial: {usb: '1:2'}\n",
    )
    board = find_board("mine", path)
    assert board.name == "mine"
    assert (board.flash_bytes, board.ram_bytes) == (1024, 2048)
    assert board.cflags == ("-b", "-c")
    assert board.defines == {"ONE": 1, "TWO": 3, "PORT": "A"}
    assert (board.serial.baud, board.serial.usb) == (9600, "1:2")


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("boards:\n  b:\n" + FIELDS.replace("1024", "many"), 8, ["flash_bytes", "integer"]),
        ("boards:\n  b:\n" + FIELDS.replace("512", "-1"), 10, ["ram_bytes", "greater"]),
        ("boards:\n  b:\n" + FIELDS.replace("serial", "usb"), 13, ["runner", "'qemu'"]),
        ("boards:\n  b:\n" + FIELDS.replace("    port: cmsdk\n", ""), 2, ["port", "required"]),
        ("boards:\n  b:\n" + FIELDS + "    flash_byte: 3\n", 15, ["unknown", "flash_byte"]),
        ("boards:\n  b:\n" + FIELDS + "    title: again\n", 15, ["title", "twice"]),
        ("boards:\n  b:\n" + FIELDS + "    serial: {baud: 0}\n", 15, ["serial.baud", "greater"]),
        ("boards:\n  b:\n    family: none\n", 3, ["no family"]),
        ("boards:\n  b:\n    family: [1]\n", 3, ["no family"]),
        ("boards:\n  b: 3\n", 2, ["mapping"]),
        ("boards: 3\n", 1, ["mapping"]),
        ("families:\n  f:\n    family: f\nboards:\n  b:\n    family: f\n", 3, ["itself"]),
        (
            "families:\n  f:\n" + FIELDS.replace("1024", "x") + "boards:\n  b: {family: f}\n",
            8,
            ["b"],
        ),
        ("aliases:\n  x: y\nboards:\n  b:\n" + FIELDS, 2, ["'x'", "no board"]),
        ("aliases:\n  x: [y]\nboards:\n  b:\n" + FIELDS, 2, ["'x'", "no board"]),
        ("board:\n  b: 1\n", 1, ["section", "'board'"]),
        ("boards:\n  b: {\n", 3, ["not YAML"]),
    ],
)
def test_fault_is_told_with_its_line(tmp_path, text, line, words):
    with pytest.raises(BoardError) as caught:
        load_boards(write(tmp_path, text))
    assert caught.value.where == f"boards.yaml:{line}"
    assert all(word in caught.value.message for word in words), caught.value.message


def test_missing_or_empty_file_is_told(tmp_path):
    with pytest.raises(BoardError, match="cannot be read"):
        load_boards(tmp_path / "none.yaml")
    with pytest.raises(BoardError, match="no mapping"):
        load_boards(write(tmp_path, ""))


def test_unknown_field_proposes_the_right_one(tmp_path):
    with pytest.raises(BoardError) as caught:
        load_boards(write(tmp_path, "boards:\n  b:\n" + FIELDS + "    flash_byte: 3\n"))
    assert "flash_bytes" in str(caught.value.remedy)


def test_find_board_knows_aliases_and_any_letter_case():
    assert find_board("stm32") is find_board("STM32F405")
    assert find_board("stm32").name == "stm32f405"


@pytest.mark.parametrize(
    ("name", "near"),
    [("nucleo-f411", "nucleo-f411re"), ("stm32f40", "stm32f405"), ("mps2", "mps2-an")],
)
def test_unknown_board_proposes_near_names(name, near):
    with pytest.raises(BoardError) as caught:
        find_board(name)
    assert repr(name) in caught.value.message
    assert near in str(caught.value.remedy)


def test_unlike_name_lists_all_boards():
    with pytest.raises(BoardError) as caught:
        find_board("zzzzzzzz")
    assert all(name in str(caught.value.remedy) for name in load_boards())
