"""The boards of a test rack: a file names them, and the same tests run on each and on emulators."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path

import yaml

from tinyq.errors import TinyqError
from tinyq.firmware.build import Image
from tinyq.hardware.boards import Board, find_board
from tinyq.targets.flash import flash


@dataclass(frozen=True, slots=True)
class Place:
    """A board in the rack.

    Attributes:
        board: Name of the board in boards.yaml.
        port: Its serial port; None: the port with the board's USB id.
        flasher: What writes its image; None: the flasher of the board's entry.
        emulator: ``qemu`` or ``simavr`` in place of a board, None for a real one.
    """

    board: str
    port: str | None = None
    flasher: str | None = None
    emulator: str | None = None

    @property
    def name(self) -> str:
        """Name in reports."""
        return " ".join(filter(None, (self.board, self.emulator or self.port)))

    def find_board(self) -> Board:
        """The board's entry."""
        return find_board(self.board)


def read_rack(path: Path) -> tuple[Place, ...]:
    """The places that a YAML file lists.

        - board: nucleo-f446re
          port: /dev/ttyACM0      # may be left out where the USB id tells
          flasher: openocd        # may be left out: that of the board
        - board: arduino-mega
          emulator: simavr        # in place of a board

    Raises:
        TinyqError: The file cannot be read, or an entry is no place.
    """
    try:
        entries = yaml.safe_load(path.read_text("utf-8"))
    except (OSError, yaml.YAMLError) as error:
        raise TinyqError(f"cannot be read ({error})", where=str(path)) from None
    known = {field.name for field in fields(Place)}
    if not isinstance(entries, list) or not all(
        isinstance(entry, dict) and "board" in entry and set(entry) <= known for entry in entries
    ):
        raise TinyqError(
            "is no list of boards",
            where=str(path),
            remedy=f"each entry has `board` and may have {', '.join(sorted(known - {'board'}))}",
        )
    places = tuple(Place(**entry) for entry in entries)
    for place in places:
        place.find_board()
    return places


def bring_up(place: Place, image: Image) -> str:
    """Write an image to a place; the target on which it can be measured then.

    Args:
        place: Where.
        image: The firmware.

    Raises:
        TinyqError: The board cannot be written, or no port is known on which it answers.
    """
    if place.emulator:
        return place.emulator
    port = flash(image, place.port, place.flasher).port
    if port is None:
        raise TinyqError(
            "no port is known on which the board answers",
            where=place.board,
            remedy="give its `port` in the file of boards",
        )
    return f"serial:{port}"
