from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tinyq.commands.output import (
    InputsOption,
    JsonOption,
    OutputsOption,
    RoundingOption,
    StreamOption,
    TrustOption,
    show,
)


def check(
    model: Annotated[
        Path, typer.Argument(help="A model file of any kind, float or integer, or a SavedModel.")
    ],
    board: Annotated[str | None, typer.Option(help="Whose flash, RAM and kernels count.")] = None,
    optimize: Annotated[
        str, typer.Option(help="What kernels are chosen for: balanced, speed, size or ram.")
    ] = "balanced",
    rounding: RoundingOption = "half_up",
    trust: TrustOption = False,
    inputs: InputsOption = None,
    outputs: OutputsOption = None,
    stream: StreamOption = None,
    json: JsonOption = False,
) -> None:
    """List what would be refused, too big or slow, all of it at once, without building anything."""
    from tinyq.api.check import check as run

    show(run(model, board, optimize, rounding, trust, inputs, outputs, stream), json)
