from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tinyq.commands.output import JsonOption, show


def methods(
    name: Annotated[
        str | None, typer.Argument(help="A method's id, or a name that a recipe may say.")
    ] = None,
    svg: Annotated[
        Path | None, typer.Option(help="Write the plot of levels and slope to this file.")
    ] = None,
    json: JsonOption = False,
) -> None:
    """List the methods of quantization and what each can do, or explain one."""
    from tinyq.api.methods import methods as run

    show(run(name, svg), json)
