from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from tinyq.api.arguments import as_project
from tinyq.hardware.boards import Board
from tinyq.support.documents import stamp
from tinyq.support.tables import Part, Shown
from tinyq.targets.flash import Flashed
from tinyq.targets.flash import flash as write_image


@dataclass(frozen=True, slots=True, repr=False)
class Written(Shown):
    """What became of writing firmware to a board.

    Attributes:
        board: The board.
        outcome: What wrote it, and what the board said.
    """

    board: Board
    outcome: Flashed

    @property
    def port(self) -> str | None:
        """Serial port on which the board answered, None where none was known."""
        return self.outcome.port

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        device = None
        if self.outcome.info is not None:
            fields = asdict(self.outcome.info).items()
            device = {key: it.hex() if isinstance(it, bytes) else it for key, it in fields}
        content = {"flasher": self.outcome.program, "port": self.port, "device": device}
        return stamp("flash", content)

    def parts(self) -> list[Part]:
        """Two lines."""
        info = self.outcome.info
        greeting = (
            "not greeted: no serial port is known; name it with --port"
            if info is None
            else f"{self.port}: runs {info.name} at {info.clock_hz / 1e6:g} MHz"
        )
        return [f"written to {self.board.title} with {self.outcome.program}", greeting]


def flash(
    folder: Any, port: str | None = None, flasher: str | None = None, probe: str | None = None
) -> Written:
    """Write the firmware to the board, verify and reset it, wait until it answers.

    Args:
        folder: What `tinyq.build` has given, or its folder.
        port: Serial port; found by the board's USB id when None.
        flasher: Another flasher than the board's own.
        probe: Serial number of the board's probe; that of the port's own USB device when None.

    Raises:
        ToolMissing: The flasher is not installed.
        LinkError: There is no probe, no permission, no contact, or no answer afterwards.
        TinyqError: It is no build folder, the board has no flasher, or it chooses no probe.
    """
    image = as_project(folder).image
    return Written(image.board, write_image(image, port, flasher, probe))
