"""Where an image runs: a process on the host, an emulator, a board on a serial port.

A module of this package with a public function `open(image, address, *, counting)` is a target;
its name is what stands before the colon in `--target`.
"""

from __future__ import annotations

import importlib
import pkgutil
from typing import TYPE_CHECKING, Protocol

from tinyq.errors import LinkError

if TYPE_CHECKING:
    from types import ModuleType

    import numpy as np
    from numpy.typing import NDArray

    from tinyq.firmware.build import Image
    from tinyq.hardware.boards import Board
    from tinyq.targets.counts import InstructionCounts
    from tinyq.targets.wire import DeviceInfo

# Targets that count executed instructions.
EMULATORS = ("qemu", "simavr")


class Link(Protocol):
    """A device that runs one image and answers."""

    resets: int

    def hello(self) -> DeviceInfo:
        """Return what the device says about itself."""

    def infer(self, inputs: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return packed outputs, uint8 (n, output_bytes), of packed inputs, (n, input_bytes)."""

    def infer_sequence(self, inputs: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return packed outputs of the steps of one sequence, from its first step on."""

    def profile(self, packed: NDArray[np.uint8]) -> tuple[int, ...] | None:
        """Return cycles per layer of one inference; `None` without a cycle counter."""

    def stack_used(self) -> int | None:
        """Return the stack's high-water mark in bytes; `None` where unknown."""

    def paint_stack(self) -> None:
        """Let `stack_used` count from here."""

    def echo(self, payload: bytes) -> bytes:
        """Return the bytes after their way through the device."""

    def reset(self) -> DeviceInfo:
        """Reset the device and greet it again."""

    def instruction_counts(self) -> InstructionCounts | None:
        """End the run and return what was counted; `None` where nothing was."""

    def close(self) -> None:
        """End the connection and what it started. A second call does nothing."""


def target_names() -> tuple[str, ...]:
    """Return the names of all targets, sorted."""
    names = sorted(info.name for info in pkgutil.iter_modules(__path__))
    return tuple(name for name in names if hasattr(_load(name), "open"))


def open_link(image: Image, target: str, *, counting: bool = False) -> Link:
    """Start or open a target that runs an image, and greet it.

    Args:
        image: The built firmware.
        target: "host", "qemu", "simavr" or "serial:PORT".
        counting: Count executed instructions, where the target can.

    Raises:
        LinkError: If the target is unknown, cannot be opened or does not answer as it should.
        ToolMissing: If the target needs a program that is not installed.
    """
    name, _, address = target.partition(":")
    names = target_names()
    if name not in names:
        raise LinkError(f"no target is called {name!r}", remedy=f"take one of: {', '.join(names)}")
    link: Link = _load(name).open(image, address, counting=counting)
    return link


def open_profiler(image: Image) -> Link:
    """Boot an image in its board's emulator and count what each instruction does.

    Args:
        image: The built firmware.

    Raises:
        LinkError: If the board has no emulator, or the device does not answer as it should.
        ToolMissing: If the emulator or a C compiler is not installed.
    """
    name = default_target(image.board)
    if name not in EMULATORS:
        raise LinkError(
            f"target {name} counts no instructions",
            where=f"board {image.board.name}",
            remedy="build for a board with an emulator (`tinyq boards`)",
        )
    link: Link = _load(name).open(image, "", counting=True, costs=True)
    return link


def default_target(board: Board) -> str:
    """Return what runs the image of a board unless told otherwise: its emulator, or the host.

    Raises:
        LinkError: The board has no emulator.
    """
    if board.qemu_machine:
        return "qemu"
    if board.simavr_mcu:
        return "simavr"
    if board.port == "host":
        return "host"
    raise LinkError(
        f"no emulator is known for {board.title}",
        where=f"board {board.name}",
        remedy="flash it with `tinyq flash DIR` and measure with --target serial:PORT",
    )


def _load(name: str) -> ModuleType:
    return importlib.import_module(f"{__name__}.{name}")
