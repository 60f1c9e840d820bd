"""Sizes of an image, from the sections and symbols of its ELF file."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

_MAGIC = b"\x7fELF"
_PAGE = ".tq_page_"  # sections that lie in flash and take turns at one place in RAM


@dataclass(frozen=True, slots=True)
class Sizes:
    """Bytes of an image.

    Attributes:
        text: Code and constants.
        data: Initialized variables, which take flash and RAM.
        bss: Variables that start as zero, and room for the largest page.
        stack: Reserve of the stack.
    """

    text: int = 0
    data: int = 0
    bss: int = 0
    stack: int = 0

    @property
    def flash(self) -> int:
        """Bytes of flash."""
        return self.text + self.data

    @property
    def ram(self) -> int:
        """Bytes of RAM."""
        return self.data + self.bss + self.stack


def read_sizes(elf: Path) -> Sizes:
    """Sizes from the section headers: by allocation, write permission and file content.

    All are 0 where programs are not ELF (macOS).
    """
    from elftools.elf.constants import SH_FLAGS
    from elftools.elf.elffile import ELFFile

    text = data = bss = stack = page = 0
    content = elf.read_bytes()
    if not content.startswith(_MAGIC):
        return Sizes()
    for section in ELFFile(io.BytesIO(content)).iter_sections():
        size, flags = section["sh_size"], section["sh_flags"]
        if not flags & SH_FLAGS.SHF_ALLOC:
            continue
        if section.name == ".stack":
            stack += size
        elif section.name.startswith(_PAGE):
            text, page = text + size, max(page, size)
        elif section["sh_type"] == "SHT_NOBITS":
            bss += size
        elif section.name == ".data" or flags & SH_FLAGS.SHF_WRITE:
            data += size
        else:
            text += size
    return Sizes(text, data, bss + page, stack)


def function_sizes(elf: Path) -> Mapping[str, Mapping[str, int]]:
    """Bytes of the functions of each source, by the source's file name and the function's name.

    Functions that other sources call stand under the empty name.
    """
    sizes: dict[str, dict[str, int]] = {}
    for source, name, size in _list_functions(elf):
        sizes.setdefault(source, {})[name] = size
    return sizes


def _list_functions(elf: Path) -> Iterator[tuple[str, str, int]]:
    from elftools.elf.elffile import ELFFile

    with elf.open("rb") as stream:
        table = ELFFile(stream).get_section_by_name(".symtab")
        source = ""
        for symbol in table.iter_symbols() if table else ():
            kind, bind = symbol["st_info"]["type"], symbol["st_info"]["bind"]
            if kind == "STT_FILE":
                source = symbol.name
            elif kind == "STT_FUNC":
                yield source if bind == "STB_LOCAL" else "", symbol.name, symbol["st_size"]
