"""The instructions of an image, as the toolchain's objdump prints them."""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import MappingProxyType

from tinyq.errors import ToolError
from tinyq.firmware.build import Image
from tinyq.firmware.toolchains import TOOLCHAINS, find_program

# objdump shows vector instructions as those of coprocessors unless it is told the architecture.
_ARCHITECTURES = MappingProxyType({"mve": ("--architecture=armv8.1-m.main",)})
_OPTIONS = ("--disassemble", "--line-numbers", "--no-show-raw-insn", "--wide")
_SYMBOL = re.compile(r"[0-9a-f]+ <(.+)>:")
_INSTRUCTION = re.compile(r"\s*([0-9a-f]+):\t([^.\s]\S*)\s*(.*)")
_LINE = re.compile(r"(\S+):(\d+)(?: \(discriminator \d+\))?")
_COMMENT = re.compile(r"\s*(@|;|# ).*")
_TARGET = re.compile(r"(?:^|[\s,])(?:0x)?([0-9a-f]+) <")
_REGISTER = re.compile(r"\b(r\d+|sl|fp|ip|sp|lr|pc|sb)\b")
_LIST = re.compile(r"\{(.*)\}")
_RANGE = re.compile(r"[a-z]+(\d+)-[a-z]+(\d+)")
_ADDRESS = re.compile(r"\[(.*?)\]")


@dataclass(frozen=True, slots=True)
class Instruction:
    """An instruction of an image.

    Attributes:
        address: First byte.
        text: Mnemonic and operands without comments.
        function: Function that holds it.
        target: Where it branches to, None where that is not in its text.
        source: File and line, such as "model.c:27"; empty where the image does not say.
    """

    address: int
    text: str
    function: str
    target: int | None
    source: str


def disassemble(image: Image) -> tuple[Instruction, ...]:
    """Return the instructions of an image in order of their addresses.

    Raises:
        ToolMissing: The toolchain's objdump is not installed.
        ToolError: It cannot read the image.
    """
    names = tuple(
        name.removesuffix("gcc") + "objdump"
        for name in TOOLCHAINS[image.board.toolchain].compilers
        if name.endswith("gcc")
    )
    program = find_program(image.board, names)
    options = (*_OPTIONS, *_ARCHITECTURES.get(image.board.isa, ()))
    command = [str(program), *options, str(image.elf)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        error = ToolError("objdump cannot read the image", where=str(image.elf))
        error.output = done.stderr
        raise error
    return parse(done.stdout)


def parse(listing: str) -> tuple[Instruction, ...]:
    """Return the instructions of objdump's listing with line numbers."""
    found: list[Instruction] = []
    function = source = ""
    for line in listing.splitlines():
        if match := _INSTRUCTION.fullmatch(line):
            address, mnemonic, operands = match.groups()
            text = " ".join(f"{mnemonic} {_COMMENT.sub('', operands)}".split())
            found.append(
                Instruction(int(address, 16), text, function, _find_target(operands), source)
            )
        elif match := _SYMBOL.fullmatch(line):
            function, source = match[1], ""
        elif match := _LINE.fullmatch(line):
            source = f"{Path(match[1]).name}:{match[2]}"
    return tuple(found)


def _find_target(operands: str) -> int | None:
    if operands.startswith("[") or "[pc" in operands:
        return None  # a literal's address is no target
    found = _TARGET.search(operands)
    return int(found[1], 16) if found else None


@dataclass(frozen=True, slots=True)
class Registers:
    """Which registers an Arm instruction uses, as far as timings ask for it.

    Attributes:
        address: Registers that make its address.
        results: Registers that it writes, if it writes its first operand.
        listed: Length of its list of registers, 0 without one.
    """

    address: frozenset[str]
    results: frozenset[str]
    listed: int


@cache
def read_registers(text: str) -> Registers:
    """Return the registers of an Arm instruction.

    Args:
        text: Mnemonic and operands, such as "ldr r3, [r0, #4]".
    """
    mnemonic, _, operands = text.partition(" ")
    listed = _LIST.search(operands)
    address = _ADDRESS.search(operands)
    if address is not None:
        base = frozenset(_REGISTER.findall(address[1]))
    else:
        base = frozenset(_REGISTER.findall(operands.split("{")[0]) if listed else ())
    results = _REGISTER.findall(listed[1]) if listed else _first_operands(mnemonic, operands)
    return Registers(base, frozenset(results), _count_list(listed[1]) if listed else 0)


def _first_operands(mnemonic: str, operands: str) -> list[str]:
    """The first operand, and the second where the instruction has two results."""
    count = 2 if re.match(r"ldrd|[su]mull|[su]mlal|umaal|sml[as]ld", mnemonic) else 1
    parts = operands.split("[")[0].split(",")[:count]
    return [register for part in parts for register in _REGISTER.findall(part)]


def _count_list(registers: str) -> int:
    count = 0
    for part in registers.split(","):
        span = _RANGE.fullmatch(part.strip())
        count += int(span[2]) - int(span[1]) + 1 if span else 1
    return count
