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
    board: Annotated[
        str | None, typer.Option(help="Name from `tinyq boards`: kernels for its core and memory.")
    ] = None,
    core: Annotated[
        str | None,
        typer.Option(
            help="Cores whose kernels it has, in place of a board, with commas between them: "
            "cortex-m4, cortex-m0plus, generic ...; all that have kernels if neither is given."
        ),
    ] = None,
    optimize: Annotated[
        str, typer.Option(help="What kernels are chosen for: balanced, speed, size or ram.")
    ] = "balanced",
    data: Annotated[
        Path | None,
        typer.Option(help="Samples in an .npz file; the first is the example of the library."),
    ] = None,
    classes: Annotated[
        str | None,
        typer.Option(help="Names of the classes of the output, with commas between them."),
    ] = None,
    rounding: RoundingOption = "half_up",
    trust: TrustOption = False,
    inputs: InputsOption = None,
    outputs: OutputsOption = None,
    unfinished: UnfinishedOption = False,
    json: JsonOption = False,
) -> None:
    """Write a model as a library for other build systems."""
    from tinyq.api.export import export as run

    exported = run(
        model,
        kind,
        output,
        board=board,
        core=core,
        optimize=optimize,
        data=data,
        classes=classes,
        rounding=rounding,
        trust=trust,
        inputs=inputs,
        outputs=outputs,
        unfinished=unfinished,
    )
    show(exported, json)
