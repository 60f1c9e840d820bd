"""Ways to write an image: programs with their commands, and drives that boards show."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tinyq.errors import TinyqError
from tinyq.firmware.build import Image
from tinyq.hardware.boards import Board
from tinyq.targets.drives import copy_to_drive, make_uf2

# A program runs in a folder that holds the image alone, under these names: no path of the user's
# stands in a command, and no script of a build folder is found.
ELF, BINARY = "firmware.elf", "firmware.bin"


@dataclass(frozen=True, slots=True)
class Device:
    """Which board an image is for, of those that are plugged in.

    Attributes:
        port: Its serial port, None where none is known.
        probe: Serial number of its debug probe, None for the only one.
    """

    port: str | None = None
    probe: str | None = None


def _believe_status(status: int, output: str) -> bool:
    # OpenOCD ends with 0 after some failures of its scripts.
    return status == 0 and not re.search(r"^\*\* .*Failed \*\*", output, re.MULTILINE)


def _believe_download(status: int, output: str) -> bool:
    """dfu-util ends with 74 where the board has left at once, as it was told to."""
    return status == 0 or (status == 74 and "File downloaded successfully" in output)


@dataclass(frozen=True, slots=True)
class Flasher:
    """A way to write an image.

    Attributes:
        programs: Names on the PATH, the first that is there is taken; none: a copy to the drive
            that the board shows.
        run: Makes the command's arguments, or copies.
        remedy: How to install the program.
        needs_port: Whether it writes through the serial port.
        chooses: Whether it takes a probe by its serial number.
        succeeded: Whether the image is written, by exit status and output.
    """

    programs: tuple[str, ...]
    run: Callable[[Image, Sequence[str], Device], list[str] | None]
    remedy: str
    needs_port: bool = False
    chooses: bool = False
    succeeded: Callable[[int, str], bool] = _believe_status


def _origin(image: Image) -> str:
    return f"{image.board.flash_origin:#010x}"


def _openocd(image: Image, arguments: Sequence[str], device: Device) -> list[str]:
    del image
    choice = ["-c", f"adapter serial {device.probe}"] if device.probe else []
    return [*arguments, *choice, "-c", f"program {ELF} verify reset exit"]


def _pyocd(image: Image, arguments: Sequence[str], device: Device) -> list[str]:
    del image
    target = ["--target", arguments[0]] if arguments else []
    choice = ["--uid", device.probe] if device.probe else []
    return ["flash", "-W", *choice, *target, "--format", "elf", ELF]


def _st_flash(image: Image, arguments: Sequence[str], device: Device) -> list[str]:
    choice = ["--serial", device.probe] if device.probe else []
    return [*choice, *arguments, "--reset", "write", BINARY, _origin(image)]


def _dfu_util(image: Image, arguments: Sequence[str], device: Device) -> list[str]:
    del device  # a boot loader has another serial number than the probe
    return [*(arguments or ("-a", "0", "-s", f"{_origin(image)}:leave", "-D")), BINARY]


def _avrdude(image: Image, arguments: Sequence[str], device: Device) -> list[str]:
    del image
    return [*arguments, "-P", str(device.port), "-D", "-U", f"flash:w:{BINARY}:r"]


def _esptool(image: Image, arguments: Sequence[str], device: Device) -> list[str]:
    del image  # it verifies by itself, and version 5 knows no --verify
    return [*arguments, "--port", str(device.port), "write_flash", "0x10000", BINARY]


def _stm32loader(image: Image, arguments: Sequence[str], device: Device) -> list[str]:
    run = ["-e", "-w", "-v", "-g", _origin(image), BINARY]
    return [*arguments, "-p", str(device.port), *run]


def _platformio(image: Image, arguments: Sequence[str], device: Device) -> list[str]:
    del arguments
    folder = image.elf.parent.absolute()
    if not (folder / "platformio.ini").is_file():
        raise TinyqError(
            "is no PlatformIO project",
            where=str(folder),
            remedy="build it with --build-system platformio",
        )
    environment = ["--environment", "registry", "--target", "upload"]
    upload = ["--upload-port", device.port] if device.port else []
    return ["run", "--project-dir", str(folder), *environment, *upload]


def _uf2(image: Image, arguments: Sequence[str], device: Device) -> None:
    del device  # the boot loader's drive does not tell the board's serial number
    label, family = _drive(image.board, arguments, 2)
    data = make_uf2(_read_binary(image), image.board.flash_origin, int(family, 16))
    copy_to_drive(data, "firmware.uf2", label, "hold BOOTSEL while plugging the board in")


def _daplink(image: Image, arguments: Sequence[str], device: Device) -> None:
    (label,) = _drive(image.board, arguments, 1)
    copy_to_drive(_read_binary(image), BINARY, label, "plug the board in", device.probe)


def _read_binary(image: Image) -> bytes:
    return Path(image.elf.with_suffix(".bin")).read_bytes()


def _drive(board: Board, arguments: Sequence[str], count: int) -> Sequence[str]:
    if len(arguments) != count:
        raise TinyqError(
            "the board's entry names no drive to copy to",
            where=f"board {board.name}",
            remedy="choose another flasher with --with",
        )
    return arguments


FLASHERS: Mapping[str, Flasher] = {
    "avrdude": Flasher(("avrdude",), _avrdude, "apt-get install avrdude", needs_port=True),
    "daplink": Flasher((), _daplink, "", chooses=True),
    "dfu-util": Flasher(
        ("dfu-util",), _dfu_util, "apt-get install dfu-util", succeeded=_believe_download
    ),
    "esptool": Flasher(("esptool", "esptool.py"), _esptool, "pip install esptool", needs_port=True),
    "openocd": Flasher(("openocd",), _openocd, "apt-get install openocd", chooses=True),
    "platformio": Flasher(("platformio",), _platformio, "pip install platformio"),
    "pyocd": Flasher(("pyocd",), _pyocd, "pip install pyocd", chooses=True),
    "st-flash": Flasher(("st-flash",), _st_flash, "apt-get install stlink-tools", chooses=True),
    "stm32loader": Flasher(
        ("stm32loader",), _stm32loader, "pip install stm32loader", needs_port=True
    ),
    "uf2": Flasher((), _uf2, ""),
}
