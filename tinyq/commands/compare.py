from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tinyq.commands.output import JsonOption, show, show_progress


def compare(
    folders: Annotated[
        list[Path],
        typer.Argument(
            help="What `tinyq build`, `tinyq measure --report`, `tinyq profile --report` or `tinyq "
            "search` has written, or folders of these."
        ),
    ],
    data: Annotated[
        Path | None, typer.Option(help="An .npz file with x and y to measure builds with.")
    ] = None,
    samples: Annotated[
        int | None, typer.Option(min=1, help="Use the first so many samples only.")
    ] = None,
    report: Annotated[
        Path | None, typer.Option(help="Folder for report.html and report.json.")
    ] = None,
    json: JsonOption = False,
) -> None:
    """Set several builds, reports and searches side by side, and mark what nothing beats."""
    from tinyq.api.compare import compare as run

    with show_progress("builds", quiet=json) as progress:
        compared = run(folders, data, samples, report, progress)
    show(compared, json)
