"""Write an image to the board that is plugged in, through the board's own flasher, and greet it.

A flasher is a program that is installed, or a drive that the board shows. What a program prints
when it fails is turned into the cause: no probe, no permission, or no contact with the chip.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tinyq.errors import LinkError, TinyqError, ToolMissing
from tinyq.firmware.build import Image
from tinyq.hardware.boards import Board
from tinyq.targets import open_link
from tinyq.targets.drives import copy_to_drive, make_uf2
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


@dataclass(frozen=True, slots=True)
class Flasher:
    """A way to write an image.

    Attributes:
        program: Name on the PATH; None: a copy to the drive that the board shows.
        run: Makes the command, or copies.
        remedy: How to install the program.
        needs_port: Whether it writes through the serial port.
    """

    program: str | None
    run: Callable[[Image, Sequence[str], str | None], list[str] | None]
    remedy: str
    needs_port: bool = False


def flash(image: Image, port: str | None = None, flasher: str | None = None) -> Flashed:
    """Write an image to its board, verify and reset it, and wait until it answers as this image.

    Args:
        image: The firmware.
        port: Serial port of the board; None: the one whose USB id is the board's.
        flasher: Which of `FLASHERS` to use; None: the one of the board's entry.

    Raises:
        ToolMissing: The flasher is not installed.
        LinkError: There is no probe, no permission, no contact, or no answer afterwards.
        TinyqError: The board has no flasher, or there is none of that name.
    """
    board = image.board
    name, arguments = _choose(board, flasher)
    chosen = FLASHERS[name]
    found = port or find_port(board)
    if chosen.needs_port and found is None:
        raise _no_port(board)
    command = chosen.run(image, arguments, found)
    if command is not None:
        _run(command, name, board, chosen.remedy)
    if found is None:
        return Flashed(name, None, None)
    return Flashed(name, found, _greet(image, found))


def find_port(board: Board) -> str | None:
    """Return the serial port whose USB id is the board's; None when none is plugged in.

    Raises:
        LinkError: Several are.
    """
    from serial.tools import list_ports

    if board.serial.usb is None:
        return None
    wanted = tuple(int(part, 16) for part in board.serial.usb.split(":"))
    ports = sorted(p.device for p in list_ports.comports() if (p.vid, p.pid) == wanted)
    if len(ports) > 1:
        raise LinkError(
            f"{len(ports)} boards with the USB id {board.serial.usb} are plugged in",
            where=", ".join(ports),
            remedy="say which one with --port",
        )
    return str(ports[0]) if ports else None


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


def _binary(image: Image) -> str:
    return str(image.elf.with_suffix(".bin"))


def _origin(image: Image) -> str:
    return f"{image.board.flash_origin:#010x}"


def _openocd(image: Image, arguments: Sequence[str], port: str | None) -> list[str]:
    del port
    return ["openocd", *arguments, "-c", f"program {{{image.elf}}} verify reset exit"]


def _pyocd(image: Image, arguments: Sequence[str], port: str | None) -> list[str]:
    del port
    target = ["--target", arguments[0]] if arguments else []
    return ["pyocd", "flash", *target, "--format", "elf", str(image.elf)]


def _st_flash(image: Image, arguments: Sequence[str], port: str | None) -> list[str]:
    del port
    return ["st-flash", *arguments, "--reset", "write", _binary(image), _origin(image)]


def _dfu_util(image: Image, arguments: Sequence[str], port: str | None) -> list[str]:
    del port
    where = arguments or ("-a", "0", "-s", f"{_origin(image)}:leave", "-D")
    return ["dfu-util", *where, _binary(image)]


def _avrdude(image: Image, arguments: Sequence[str], port: str | None) -> list[str]:
    return ["avrdude", *arguments, "-P", str(port), "-D", "-U", f"flash:w:{_binary(image)}:r"]


def _esptool(image: Image, arguments: Sequence[str], port: str | None) -> list[str]:
    write = ["--port", str(port), "write_flash", "--verify", "0x10000", _binary(image)]
    return ["esptool.py", *arguments, *write]


def _stm32loader(image: Image, arguments: Sequence[str], port: str | None) -> list[str]:
    run = ["-e", "-w", "-v", "-g", _origin(image), _binary(image)]
    return ["stm32loader", *arguments, "-p", str(port), *run]


def _platformio(image: Image, arguments: Sequence[str], port: str | None) -> list[str]:
    del arguments
    folder = image.elf.parent
    if not (folder / "platformio.ini").is_file():
        raise TinyqError(
            "is no PlatformIO project",
            where=str(folder),
            remedy="build it with --build-system platformio",
        )
    environment = ["--environment", "registry", "--target", "upload"]
    upload = ["--upload-port", port] if port else []
    return ["platformio", "run", "--project-dir", str(folder), *environment, *upload]


def _uf2(image: Image, arguments: Sequence[str], port: str | None) -> None:
    del port
    label, family = _drive(image.board, arguments, 2)
    data = make_uf2(
        image.elf.with_suffix(".bin").read_bytes(), image.board.flash_origin, int(family, 16)
    )
    copy_to_drive(data, "firmware.uf2", label, "hold BOOTSEL while plugging the board in")


def _daplink(image: Image, arguments: Sequence[str], port: str | None) -> None:
    del port
    (label,) = _drive(image.board, arguments, 1)
    data = image.elf.with_suffix(".bin").read_bytes()
    copy_to_drive(data, "firmware.bin", label, "plug the board in")


def _drive(board: Board, arguments: Sequence[str], count: int) -> Sequence[str]:
    if len(arguments) != count:
        raise TinyqError(
            "the board's entry names no drive to copy to",
            where=f"board {board.name}",
            remedy="choose another flasher with --with",
        )
    return arguments


FLASHERS: Mapping[str, Flasher] = {
    "avrdude": Flasher("avrdude", _avrdude, "apt-get install avrdude", needs_port=True),
    "daplink": Flasher(None, _daplink, ""),
    "dfu-util": Flasher("dfu-util", _dfu_util, "apt-get install dfu-util"),
    "esptool": Flasher("esptool.py", _esptool, "pip install esptool", needs_port=True),
    "openocd": Flasher("openocd", _openocd, "apt-get install openocd"),
    "platformio": Flasher("platformio", _platformio, "pip install platformio"),
    "pyocd": Flasher("pyocd", _pyocd, "pip install pyocd"),
    "st-flash": Flasher("st-flash", _st_flash, "apt-get install stlink-tools"),
    "stm32loader": Flasher("stm32loader", _stm32loader, "pip install stm32loader", needs_port=True),
    "uf2": Flasher(None, _uf2, ""),
}

_UDEV = (
    "let this user open USB probes: install the udev rules of the flasher (OpenOCD: "
    "60-openocd.rules), then plug it in again; for a serial port: sudo usermod -aG dialout $USER"
)
# What the programs print, first match first: a refused device is also one that cannot be opened.
_CAUSES: Sequence[tuple[str, str, str]] = (
    (
        r"LIBUSB_ERROR_ACCESS|[Pp]ermission denied|[Aa]ccess denied|insufficient permissions",
        "there is no permission to open the probe or port",
        _UDEV,
    ),
    (
        r"No available debug probes|no device found|unable to find a matching|"
        r"Couldn't find any ST-Link|unable to open .*device|No DFU capable|"
        r"can't open device|could not open port|No such file or directory.*tty|"
        r"Error: open failed|LIBUSB_ERROR_NO_DEVICE",
        "no probe or board was found",
        "plug it in, with a cable that carries data; for dfu-util, start its boot loader",
    ),
    (
        r"unable to connect to the target|Error connecting DP|init mode failed|No ACK|"
        r"not in sync|not responding|Failed to connect|Could not find MEM-AP|"
        r"[Tt]arget voltage.*0\.0|Can't init|unknown chip|No core.*found",
        "the probe has no contact with the chip",
        "check power and wiring (SWDIO, SWCLK, ground, reset), and that the board is the right one",
    ),
    (
        r"[Vv]erif\w+ (failed|error|mismatch)|checksum mismatch|contents differ|\*\* Verify Failed",
        "what the chip holds afterwards is not the image",
        "flash again; if it stays so, check the supply and whether the flash is write-protected",
    ),
)


def explain_failure(output: str) -> tuple[str, str]:
    """Return the cause and the remedy that a flasher's output tells of."""
    for pattern, message, remedy in _CAUSES:
        if re.search(pattern, output):
            return message, remedy
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    fault = next((line for line in lines if re.search(r"\b[Ee]rror\b", line)), "")
    return fault or (lines or ["it printed nothing"])[-1], "see what the flasher's manual says"


def _run(command: list[str], name: str, board: Board, remedy: str) -> None:
    program = _find_program(command[0])
    if program is None:
        raise ToolMissing(
            f"{command[0]} is not installed", where=f"board {board.name}", remedy=remedy
        )
    try:
        done = subprocess.run(
            [*program, *command[1:]],
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
    output = done.stderr + "\n" + done.stdout
    # OpenOCD ends with 0 after some failures of its scripts.
    if done.returncode == 0 and not re.search(r"^\*\* .*Failed \*\*", output, re.MULTILINE):
        return
    message, cure = explain_failure(output)
    raise LinkError(f"{name} failed: {message}", where=f"board {board.name}", remedy=cure)


def _find_program(name: str) -> list[str] | None:
    """Return how to call a program: from the PATH, or PlatformIO from this Python."""
    found = shutil.which(name)
    if found:
        return [found]
    if name == "platformio":
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
