"""What the ELF of an image says: addresses, sizes and contents of its symbols."""

from __future__ import annotations

import struct
from bisect import bisect_right
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tinyq.errors import LinkError

if TYPE_CHECKING:
    from elftools.elf.elffile import ELFFile

_DIGEST_BYTES = 32
# Of tq_model, behind the digest: bytes of input, output and arena, and the layers.
_SIZES = struct.Struct("<4I")


@dataclass(frozen=True, slots=True)
class Identity:
    """What an image is.

    Args:
        model_digest: SHA-256 of the integer graph, 32 bytes.
        firmware_digest: SHA-256 of the sources and flags, 32 bytes.
        layers: Layers of the model.
        input_bytes: Packed bytes of one input.
        output_bytes: Packed bytes of one output.
        arena_bytes: Bytes of all intermediate tensors together.
    """

    model_digest: bytes
    firmware_digest: bytes
    layers: int
    input_bytes: int = 0
    output_bytes: int = 0
    arena_bytes: int = 0


@dataclass(frozen=True, slots=True)
class Symbol:
    """A function in the image.

    Args:
        name: Its name.
        address: First byte, without the Thumb bit.
        size_bytes: Length.
    """

    name: str
    address: int
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Functions:
    """All functions of an image, in order of their addresses."""

    symbols: tuple[Symbol, ...]

    def find(self, name: str) -> Symbol:
        """Return the function of a name.

        Raises:
            LinkError: If the image has none.
        """
        for symbol in self.symbols:
            if symbol.name == name:
                return symbol
        raise LinkError(f"the image has no function {name}", remedy="build it without stripping")

    def name_at(self, address: int) -> str:
        """Return the name of the function that holds an address, or the address in hexadecimal."""
        at = bisect_right(self.symbols, address, key=lambda symbol: symbol.address) - 1
        if at < 0:
            return f"0x{address:08x}"
        symbol = self.symbols[at]
        within = address - symbol.address < max(symbol.size_bytes, 1) or symbol.size_bytes == 0
        return symbol.name if within else f"0x{address:08x}"


def read_functions(elf: Path) -> Functions:
    """Return the functions of an image. Of several names for one address the first stays.

    Raises:
        LinkError: If the file is no ELF or has no symbols.
    """
    from elftools.elf.elffile import ELFFile

    with elf.open("rb") as file:
        image = ELFFile(file)
        thumb = image["e_machine"] == "EM_ARM"
        found: dict[int, Symbol] = {}
        for symbol in _symbols(image):
            if symbol["st_info"]["type"] == "STT_FUNC" and symbol["st_shndx"] != "SHN_UNDEF":
                address = symbol["st_value"] & ~1 if thumb else symbol["st_value"]
                found.setdefault(address, Symbol(symbol.name, address, symbol["st_size"]))
    return Functions(tuple(found[address] for address in sorted(found)))


def read_identity(elf: Path) -> Identity | None:
    """Return what an image is, as the image itself says.

    Returns:
        Digests and size, or `None` where the host's executables are not ELF.

    Raises:
        LinkError: If the image does not exist or has no such symbols.

    Twin: tq_model in firmware/core/tq_model.h.
    """
    from elftools.elf.elffile import ELFFile

    try:
        file = elf.open("rb")
    except OSError as error:
        raise LinkError(
            f"the image cannot be read: {error.strerror}",
            where=str(elf),
            remedy="build the model first",
        ) from None
    with file:
        if file.read(4) != b"\x7fELF":
            return None
        image = ELFFile(file)
        pointer_bytes = 2 if image["e_machine"] == "EM_AVR" else image.elfclass // 8
        model = _read(image, "tq_model_instance", elf)[pointer_bytes:]
        sizes = _SIZES.unpack_from(model, _DIGEST_BYTES)
        firmware = _read(image, "tq_firmware_digest", elf)
    input_bytes, output_bytes, arena_bytes, layers = sizes
    return Identity(model[:_DIGEST_BYTES], firmware, layers, input_bytes, output_bytes, arena_bytes)


def _symbols(image: ELFFile) -> list[Any]:
    table = image.get_section_by_name(".symtab")
    return list(table.iter_symbols()) if table is not None else []


def _read(image: ELFFile, name: str, elf: Path) -> bytes:
    for symbol in _symbols(image):
        if symbol.name == name and symbol["st_info"]["type"] == "STT_OBJECT":
            section = image.get_section(symbol["st_shndx"])
            start = symbol["st_value"] - section["sh_addr"]
            return bytes(section.data()[start : start + symbol["st_size"]])
    raise LinkError(
        f"the image has no symbol {name}", where=str(elf), remedy="build it without stripping"
    )
