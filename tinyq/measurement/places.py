"""Where a build can be measured, checked before anything is built, trained or run."""

from __future__ import annotations

from pathlib import Path

from tinyq.errors import BoardError, LinkError
from tinyq.hardware.boards import Board
from tinyq.measurement.profile.cores import find_core
from tinyq.targets import default_target, target_names


def choose_target(board: Board, target: str | None = None) -> str:
    """The target to measure on: the one that was asked for, or the board's emulator.

    Raises:
        LinkError: There is no such target, or the board does not run on it.
    """
    if target is None:
        if not (board.qemu_machine or board.simavr_mcu or board.port == "host"):
            raise _no_emulator(board, f"no emulator is known for {board.title}")
        return default_target(board)
    name, _, address = target.partition(":")
    if name not in target_names():
        raise LinkError(
            f"no target is called {name!r}", remedy=f"take one of: {', '.join(target_names())}"
        )
    machines = {"qemu": board.qemu_machine, "simavr": board.simavr_mcu}
    if name in machines and not machines[name]:
        raise _no_emulator(board, f"{name} does not emulate {board.title}")
    return target


def check_port(target: str) -> None:
    """Check that a port exists, for what takes minutes before it opens it.

    Raises:
        LinkError: The target is a port that is a file, and there is none.
    """
    _, _, address = target.partition(":")
    if address.startswith("/") and not Path(address).exists():
        raise LinkError(
            "there is no such serial port", where=address, remedy="plug the board in, name its port"
        )


def find_sibling(board: Board) -> str | None:
    """An emulated board with the same core; None where there is none."""
    try:
        return find_core(board).counts_on
    except BoardError:
        return None


def _no_emulator(board: Board, message: str) -> LinkError:
    sibling = find_sibling(board)
    own = default_target(board) if board.qemu_machine or board.simavr_mcu else None
    ways = [
        *([f"measure with --target {own}"] if own else []),
        *([f"build with --board {sibling}, whose core is the same"] if sibling else []),
        "measure the generic C on this machine with --target host",
        "flash the board with `tinyq flash DIR` and measure with --target serial:PORT",
    ]
    return LinkError(message, where=f"board {board.name}", remedy=", or ".join(ways))
