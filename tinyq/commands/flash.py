from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tinyq.commands.output import JsonOption, show


def flash(
    folder: Annotated[Path, typer.Argument(help="What `tinyq build` has written.")],
    port: Annotated[
        str | None, typer.Option(help="Serial port; found by the board's USB id when not given.")
    ] = None,
    flasher: Annotated[
        str | None, typer.Option("--with", help="Another flasher than the board's own.")
    ] = None,
    probe: Annotated[
        str | None,
        typer.Option(help="Serial number of the board's probe; that of --port when not given."),
    ] = None,
    json: JsonOption = False,
) -> None:
    """Write the firmware to the board, verify and reset it, wait until it answers."""
    from tinyq.api.flash import flash as run

    show(run(folder, port, flasher, probe), json)
