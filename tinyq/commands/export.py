from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tinyq.commands.output import (
    InputsOption,
    JsonOption,
    OutputsOption,
    TrustOption,
    UnfinishedOption,
    show,
)


def export(
    model: Annotated[Path, typer.Argument(help="A .keras or .tflite model or a .tqg graph.")],
    kind: Annotated[
        str,
        typer.Option("--as", help="arduino, c, cmake, cmsis-pack, platformio or zephyr."),
    ],
    output: Annotated[Path, typer.Option("-o", "--output", help="Folder to write.")],
    trust: TrustOption = False,
    inputs: InputsOption = None,
    outputs: OutputsOption = None,
    unfinished: UnfinishedOption = False,
    json: JsonOption = False,
) -> None:
    """Write a model as a library for other build systems."""
    from tinyq.api.export import export as run

    show(run(model, kind, output, trust, inputs, outputs, unfinished), json)
