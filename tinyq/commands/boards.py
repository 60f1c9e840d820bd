from __future__ import annotations

from typing import Annotated

import typer

from tinyq.commands.output import JsonOption, show


def boards(
    name: Annotated[str | None, typer.Argument(help="A board, to show all about it.")] = None,
    json: JsonOption = False,
) -> None:
    """List the boards that firmware can be built for, or show one."""
    from tinyq.api.boards import boards as run

    show(run(name), json)
