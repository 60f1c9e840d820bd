"""Compiler families: what they are called, how they link without a system, how to install them."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tinyq.errors import TinyqError, ToolMissing
from tinyq.hardware.boards import Board


@dataclass(frozen=True, slots=True)
class Toolchain:
    """How a family of compilers is called and installed.

    Args:
        compilers: Names of the compiler, the first one found is taken.
        objcopy: Name of the program that makes a raw binary, None where there is none to make.
        remedy: The commands that install it.
        ldflags: What the linker takes from the compiler's own files, for firmware.
        prefix_map: Option that keeps the build folder's name out of the image.
    """

    compilers: tuple[str, ...]
    objcopy: str | None
    remedy: str
    ldflags: tuple[str, ...] = ("-nostdlib",)
    prefix_map: str = "-ffile-prefix-map"


TOOLCHAINS: Mapping[str, Toolchain] = {
    "arm-none-eabi": Toolchain(
        ("arm-none-eabi-gcc",),
        "arm-none-eabi-objcopy",
        "install it: `sudo apt install gcc-arm-none-eabi` (Debian, Ubuntu), "
        "`sudo dnf install arm-none-eabi-gcc-cs` (Fedora), "
        "`brew install --cask gcc-arm-embedded` (macOS) or "
        "`winget install Arm.GnuArmEmbeddedToolchain` (Windows)",
    ),
    "avr": Toolchain(
        ("avr-gcc",),
        "avr-objcopy",
        "install it: `sudo apt install gcc-avr avr-libc` (Debian, Ubuntu), "
        "`sudo dnf install avr-gcc avr-libc` (Fedora) or "
        "`brew install osx-cross/avr/avr-gcc` (macOS)",
        # The start-up file of avr-libc knows the vectors of each chip. GCC before 8 maps only the
        # names in debug information, and the firmware has no others.
        ldflags=("-nodefaultlibs",),
        prefix_map="-fdebug-prefix-map",
    ),
    "host": Toolchain(
        ("gcc", "cc", "clang"),
        None,
        "install it: `sudo apt install gcc libc6-dev` (Debian, Ubuntu), "
        "`sudo dnf install gcc` (Fedora) or `xcode-select --install` (macOS)",
    ),
    "riscv": Toolchain(
        ("riscv64-unknown-elf-gcc", "riscv-none-elf-gcc", "riscv32-unknown-elf-gcc"),
        "riscv64-unknown-elf-objcopy",
        "install it: `sudo apt install gcc-riscv64-unknown-elf` (Debian, Ubuntu) or "
        "`brew install riscv64-elf-gcc` (macOS)",
    ),
}

# What builds boards for which there is no port here, and how to get there.
FOREIGN: Mapping[str, str] = {
    "arduino": "let its Arduino core build: `tinyq export MODEL --as platformio` or `--as arduino`",
    "zephyr": "let Zephyr build: `tinyq export MODEL --as zephyr`",
}


def find_compiler(board: Board) -> Path:
    """Find the compiler of a board on the PATH.

    Args:
        board: Its `toolchain` is looked for.

    Returns:
        The compiler's path.

    Raises:
        ToolMissing: It is not installed; says how to install it.
        TinyqError: The board names a toolchain that is not known, or is built by another system.
    """
    if board.toolchain in FOREIGN:
        raise TinyqError(
            f"firmware for {board.title} is not built by a compiler that tinyq calls",
            where=f"board {board.name}",
            remedy=FOREIGN[board.toolchain],
        )
    toolchain = TOOLCHAINS.get(board.toolchain)
    if toolchain is None:
        raise TinyqError(
            f"toolchain {board.toolchain!r} is not known",
            where=f"board {board.name}",
            remedy=f"choose one of {', '.join(TOOLCHAINS)}",
        )
    return find_program(board, toolchain.compilers)


def find_program(board: Board, names: Sequence[str]) -> Path:
    """Return the first program of several names that is on the PATH.

    Raises:
        ToolMissing: There is none; says how to install the board's toolchain.
    """
    for name in names:
        path = shutil.which(name)
        if path:
            return Path(path)
    raise ToolMissing(
        f"{names[0]} is not installed",
        where=f"board {board.name}",
        remedy=TOOLCHAINS[board.toolchain].remedy,
    )
