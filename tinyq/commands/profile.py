from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tinyq.commands.output import JsonOption, show, show_progress


def profile(
    folder: Annotated[Path, typer.Argument(help="What `tinyq build` has written.")],
    data: Annotated[
        Path | None,
        typer.Option(help="An .npz file with the array x, of which the first sample is taken."),
    ] = None,
    core: Annotated[
        str | None,
        typer.Option(help="Core whose timings are taken, such as cortex-m0plus; the board's."),
    ] = None,
    loops: Annotated[int, typer.Option(min=0, help="Hot loops of each layer.")] = 1,
    measured: Annotated[
        Path | None,
        typer.Option(help="report.json of a measurement on the board, to stand beside."),
    ] = None,
    report: Annotated[
        Path | None, typer.Option(help="Folder for report.html and report.json.")
    ] = None,
    json: JsonOption = False,
) -> None:
    """Count where an inference spends its instructions on the emulated core, estimate cycles."""
    from tinyq.api.profile import profile as run

    with show_progress("profiling", quiet=json) as progress:
        profiled = run(folder, data, core, loops, measured, report, progress)
    show(profiled, json)
