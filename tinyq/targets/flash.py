"""Write an image to the board that is plugged in, through the board's own flasher, and greet it.

A flasher is a program that is installed, or a drive that the board shows: `flashers`. Port and
probe are one board: `probes`. What a program prints when it fails is turned into the cause:
`flash_failures`.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from tinyq.errors import LinkError, TinyqError, ToolMissing
from tinyq.firmware.build import Image
from tinyq.hardware.boards import Board
from tinyq.targets import open_link
from tinyq.targets.flash_failures import explain_failure
from tinyq.targets.flashers import BINARY, ELF, FLASHERS, Device, Flasher
from tinyq.targets.probes import check_probe, find_port, find_probe
from tinyq.targets.wire import DeviceInfo

_PROGRAM_SECONDS = 180.0
_GREETING_ATTEMPTS = 3
_PORT_SECONDS = 8.0


@dataclass(frozen=True, slots=True)
class Flashed:
    """What became of writing an image.

    Attributes:
        program: What wrote it.
        port: Serial port on which the board answered, None where none was known.
        info: What the board said there, None without a port.
    """

    program: str
    port: str | None
    info: DeviceInfo | None


def flash(
    image: Image, port: str | None = None, flasher: str | None = None, probe: str | None = None
) -> Flashed:
    """Write an image to its board, verify and reset it, and wait until it answers as this image.

    Args:
        image: The firmware.
        port: Serial port of the board; None: the one whose USB id is the board's.
        flasher: Which of `FLASHERS` to use; None: the one of the board's entry.
        probe: Serial number of the board's probe; None: that of the port's own USB device.

    Raises:
        ToolMissing: The flasher is not installed.
        LinkError: There is no probe, no permission, no contact, or no answer afterwards.
        TinyqError: The board has no flasher, there is none of that name, or it chooses no probe.
    """
    board = image.board
    name, arguments = _choose(board, flasher)
    chosen = FLASHERS[name]
    if probe is not None and not chosen.chooses:
        raise TinyqError(
            f"{name} does not choose a probe by its serial number",
            where="--probe",
            remedy="leave --probe out and plug in this board alone, or choose another --with",
        )
    found = port or find_port(board, probe)
    if chosen.needs_port and found is None:
        raise _no_port(board)
    device = Device(found, check_probe(probe) if probe else find_probe(found))
    arguments_of_program = chosen.run(image, arguments, device)
    if arguments_of_program is not None:
        _run(chosen, name, arguments_of_program, image)
    if found is None:
        return Flashed(name, None, None)
    return Flashed(name, found, _greet(image, found))


def _choose(board: Board, flasher: str | None) -> tuple[str, tuple[str, ...]]:
    """Return the flasher's name and the board's arguments for it."""
    if flasher is None and not board.flasher:
        raise TinyqError(
            f"nothing is known that writes firmware to {board.title}",
            where=f"board {board.name}",
            remedy="flash firmware.elf with the maker's tool, or choose one with --with",
        )
    name = flasher or board.flasher[0]
    if name not in FLASHERS:
        raise TinyqError(
            f"there is no flasher {name!r}", remedy=f"choose one of {', '.join(FLASHERS)}"
        )
    same = board.flasher and board.flasher[0] == name
    return name, board.flasher[1:] if same else ()


def _no_port(board: Board) -> LinkError:
    usb = f" (USB id {board.serial.usb})" if board.serial.usb else ""
    return LinkError(
        f"no serial port of {board.title}{usb} is plugged in",
        where=f"board {board.name}",
        remedy="plug the board in, with a cable that carries data, or name the port with --port",
    )


def _run(flasher: Flasher, name: str, arguments: list[str], image: Image) -> None:
    """Run a program in a folder of its own that holds the image."""
    board = image.board
    program = _find_program(flasher)
    if program is None:
        raise ToolMissing(
            f"{flasher.programs[0]} is not installed",
            where=f"board {board.name}",
            remedy=flasher.remedy,
        )
    with tempfile.TemporaryDirectory(prefix="tinyq-flash-") as folder:
        for source, copy in ((image.elf, ELF), (image.elf.with_suffix(".bin"), BINARY)):
            if source.is_file():
                shutil.copyfile(source, Path(folder, copy))
        status, output = _call([*program, *arguments], folder, name, board)
    if flasher.succeeded(status, output):
        return
    message, cure = explain_failure(output)
    raise LinkError(f"{name} failed: {message}", where=f"board {board.name}", remedy=cure)


def _call(command: list[str], folder: str, name: str, board: Board) -> tuple[int, str]:
    try:
        done = subprocess.run(
            command,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_PROGRAM_SECONDS,
        )
    except subprocess.TimeoutExpired:
        raise LinkError(
            f"{name} did not end within {_PROGRAM_SECONDS:.0f} seconds",
            where=f"board {board.name}",
            remedy="unplug the board, plug it in and flash again",
        ) from None
    return done.returncode, done.stderr + "\n" + done.stdout


def _find_program(flasher: Flasher) -> list[str] | None:
    """Return how to call a program: from the PATH, or PlatformIO from this Python."""
    found = next(filter(None, map(shutil.which, flasher.programs)), None)
    if found:
        return [str(Path(found).absolute())]
    if "platformio" in flasher.programs:
        import importlib.util

        if importlib.util.find_spec("platformio") is not None:
            return [sys.executable, "-m", "platformio"]
    return None


def _greet(image: Image, port: str) -> DeviceInfo:
    """Wait until the board is back on its port and answers as this image."""
    _wait_for_port(port)
    for attempt in range(1, _GREETING_ATTEMPTS + 1):
        try:
            link = open_link(image, f"serial:{port}")
        except LinkError as error:
            if attempt == _GREETING_ATTEMPTS:
                raise LinkError(
                    f"the image was written, but the board does not answer as it: {error.message}",
                    where=error.where,
                    remedy=error.remedy,
                ) from None
            continue
        try:
            return link.hello()
        finally:
            link.close()
    raise AssertionError("unreachable")


def _wait_for_port(port: str) -> None:
    """A board whose USB comes from the chip itself is gone for a moment."""
    limit = time.monotonic() + _PORT_SECONDS
    while "://" not in port and Path("/dev").is_dir() and not Path(port).exists():
        if time.monotonic() > limit:
            return  # opening it says what is wrong
        time.sleep(0.1)
