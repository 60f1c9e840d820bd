"""Sizes of an image, from ELF files made section by section; the budget they are held to."""

from __future__ import annotations

import dataclasses
import struct
from pathlib import Path

import pytest

from tinyq.errors import BudgetError
from tinyq.firmware.build import Image, check_budget
from tinyq.firmware.sections import Sizes, read_sizes
from tinyq.hardware.boards import find_board

PROGBITS, NOBITS = 1, 8
WRITE, ALLOC, EXECUTE = 1, 2, 4
CODE, CONSTANT, VARIABLE = ALLOC | EXECUTE, ALLOC, ALLOC | WRITE


def write_elf(path: Path, sections: list[tuple[str, int, int, int]]) -> Path:
    """An ELF file of 32 bits that has nothing but sections: name, type, flags, size."""
    names = b"\0" + b"".join(name.encode() + b"\0" for name, *_ in sections) + b".shstrtab\0"
    body = bytes(max((size for _, kind, _, size in sections if kind != NOBITS), default=0))
    start = 52
    rows = [struct.pack("<10I", *[0] * 10)]
    for name, kind, flags, size in sections:
        at = names.index(b"\0" + name.encode() + b"\0") + 1
        rows.append(struct.pack("<10I", at, kind, flags, 0, start, size, 0, 0, 1, 0))
    at = names.index(b"\0.shstrtab\0") + 1
    row = (at, 3, 0, 0, start + len(body), len(names), 0, 0, 1, 0)
    rows.append(struct.pack("<10I", *row))
    table = start + len(body) + len(names)
    head = b"\x7fELF" + bytes([1, 1, 1]) + bytes(9)
    head += struct.pack(
        "<HHIIIIIHHHHHH", 2, 40, 1, 0, 0, table, 0, 52, 0, 0, 40, len(rows), len(rows) - 1
    )
    path.write_bytes(head + body + names + b"".join(rows))
    return path


def test_each_kind_of_section_counts_where_it_lies(tmp_path):
    elf = write_elf(
        tmp_path / "a.elf",
        [
            (".vectors", PROGBITS, CONSTANT, 100),
            (".text", PROGBITS, CODE, 2000),
            (".rodata", PROGBITS, CONSTANT, 30),
            (".data", PROGBITS, VARIABLE, 400),
            (".ramfunc", PROGBITS, VARIABLE | EXECUTE, 50),
            (".bss", NOBITS, VARIABLE, 6000),
            (".noinit", NOBITS, VARIABLE, 7),
            (".stack", NOBITS, VARIABLE, 1024),
            (".debug_info", PROGBITS, 0, 99_999),
            (".comment", PROGBITS, 0, 50),
        ],
    )
    sizes = read_sizes(elf)
    assert sizes == Sizes(text=2130, data=450, bss=6007, stack=1024)
    assert sizes.flash == 2130 + 450
    assert sizes.ram == 450 + 6007 + 1024


def test_pages_lie_in_flash_and_the_largest_in_ram_as_well(tmp_path):
    pages = [(f".tq_page_{i}", PROGBITS, CONSTANT, size) for i, size in enumerate((10, 700, 30))]
    elf = write_elf(tmp_path / "a.elf", [(".text", PROGBITS, CODE, 1000), *pages])
    assert read_sizes(elf) == Sizes(text=1740, data=0, bss=700, stack=0)


def test_an_empty_and_a_foreign_file_have_no_sizes(tmp_path):
    assert read_sizes(write_elf(tmp_path / "a.elf", [])) == Sizes()
    (tmp_path / "b").write_bytes(b"\xcf\xfa\xed\xfe" + bytes(60))
    assert read_sizes(tmp_path / "b") == Sizes()


@pytest.mark.parametrize("part", ["data", "bss", "stack"])
def test_each_part_of_the_ram_may_be_the_one_too_many(part):
    board = dataclasses.replace(find_board("stm32"), ram_bytes=1000)
    sizes = Sizes(data=100, bss=600, stack=300)
    for more in (0, 1):
        grown = dataclasses.replace(sizes, **{part: getattr(sizes, part) + more})
        image = Image(
            *(Path("a.elf"), board, grown.text, grown.data, grown.bss),
            *(grown.flash, grown.ram, "gcc", "00"),
        )
        if more:
            with pytest.raises(BudgetError, match="1,001 bytes of RAM, 1 more"):
                check_budget(image)
        else:
            check_budget(image)


@pytest.mark.requires("arm-none-eabi-gcc")
def test_a_built_image_counts_the_stack_of_its_board(tmp_path):
    from tests.unit.test_build import MODEL
    from tinyq.firmware.build import build

    board = find_board("stm32")
    more = dataclasses.replace(board, stack_bytes=board.stack_bytes + 512)
    first, second = (build(MODEL, it, tmp_path / str(it.stack_bytes)) for it in (board, more))
    assert second.ram_bytes - first.ram_bytes == 512
    assert first.ram_bytes == first.data_bytes + first.bss_bytes + board.stack_bytes
