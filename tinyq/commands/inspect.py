from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tinyq.commands.output import (
    InputsOption,
    JsonOption,
    OutputsOption,
    RoundingOption,
    TrustOption,
    show,
)


def inspect(
    model: Annotated[Path, typer.Argument(help="A .keras, .tflite or .h5 model, or a .tqg graph.")],
    board: Annotated[
        str | None, typer.Option(help="Show the kernels that this board's core would run, too.")
    ] = None,
    optimize: Annotated[
        str, typer.Option(help="What they are chosen for: balanced, speed, size or ram.")
    ] = "balanced",
    rounding: RoundingOption = "half_up",
    trust: TrustOption = False,
    inputs: InputsOption = None,
    outputs: OutputsOption = None,
    json: JsonOption = False,
) -> None:
    """Show a model layer by layer: formats, shapes, MACs, bytes, zero weights; and advice on it."""
    from tinyq.api.inspect import inspect as run

    show(run(model, board, optimize, rounding, trust, inputs, outputs), json)
