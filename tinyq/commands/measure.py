from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tinyq.commands.output import JsonOption, show, show_progress


def measure(
    folder: Annotated[Path, typer.Argument(help="What `tinyq build` has written.")],
    data: Annotated[Path, typer.Option(help="An .npz file with the arrays x and y.")],
    target: Annotated[
        str | None,
        typer.Option(help="qemu, simavr, host or serial:PORT; the board's emulator if not given."),
    ] = None,
    samples: Annotated[
        int | None, typer.Option(min=1, help="Use the first so many samples only.")
    ] = None,
    report: Annotated[
        Path | None, typer.Option(help="Folder for report.html and report.json.")
    ] = None,
    compare_kernels: Annotated[
        bool, typer.Option(help="Measure the same model with tinyq's own kernels as well.")
    ] = False,
    json: JsonOption = False,
) -> None:
    """Stream a data set through the firmware: accuracy, agreement, instructions, memory."""
    from tinyq.api.measure import measure as run

    with show_progress("measuring", quiet=json) as progress:
        measured = run(folder, data, target, samples, report, compare_kernels, progress)
    show(measured, json)
