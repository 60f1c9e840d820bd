from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from tinyq.commands.output import JsonOption, show, show_progress


def demo(
    output: Annotated[Path, typer.Option("-o", "--output", help="Folder to write.")] = Path(
        "build/demo"
    ),
    board: Annotated[str, typer.Option(help="Name from `tinyq boards`.")] = "stm32",
    target: Annotated[str, typer.Option(help="qemu, host or serial:PORT.")] = "qemu",
    json: JsonOption = False,
) -> None:
    """Train, build and measure a small network on handwritten digits."""
    from tinyq.api.demo import demo as run

    show(run(output, board, target, partial(show_progress, quiet=json)), json)
