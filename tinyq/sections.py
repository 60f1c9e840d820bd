"""Sizes of an image, from the sections of its ELF file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

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
    from elftools.common.exceptions import ELFError
    from elftools.elf.constants import SH_FLAGS
    from elftools.elf.elffile import ELFFile

    text = data = bss = stack = page = 0
    with elf.open("rb") as stream:
        try:
            sections = list(ELFFile(stream).iter_sections())
        except ELFError:
            return Sizes()
        for section in sections:
            size, flags = section["sh_size"], section["sh_flags"]
            if not flags & SH_FLAGS.SHF_ALLOC:
                continue
            if section.name == ".stack":
                stack += size
            elif section.name.startswith(_PAGE):
                text, page = text + size, max(page, size)
            elif section["sh_type"] == "SHT_NOBITS":
                bss += size
            elif flags & SH_FLAGS.SHF_WRITE:
                data += size
            else:
                text += size
    return Sizes(text, data, bss + page, stack)
