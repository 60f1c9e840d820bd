from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from tinyq.commands.output import JsonOption, print_json


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
    from tinyq.project import open_project
    from tinyq.targets.flash import flash as run

    project = open_project(folder)
    result = run(project.image, port, flasher, probe)
    if json:
        device = None
        if result.info is not None:
            fields = asdict(result.info).items()
            device = {k: v.hex() if isinstance(v, bytes) else v for k, v in fields}
        print_json({"flasher": result.program, "port": result.port, "device": device})
        return
    typer.echo(f"written to {project.image.board.title} with {result.program}")
    if result.info is None:
        typer.echo("not greeted: no serial port is known; name it with --port")
    else:
        typer.echo(f"{result.port}: runs {result.info.name} at {result.info.clock_hz / 1e6:g} MHz")
