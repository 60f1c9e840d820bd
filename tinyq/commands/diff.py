from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tinyq.commands.output import (
    InputsOption,
    JsonOption,
    OutputsOption,
    TrustOption,
    show,
)


def diff(
    first: Annotated[
        str,
        typer.Argument(
            help="PATH or PATH@PLACE: a model at reference, c, litert or onnxruntime, a build "
            "folder at qemu, simavr, host or serial:PORT."
        ),
    ],
    second: Annotated[str, typer.Argument(help="The execution to compare with.")],
    data: Annotated[Path, typer.Option(help="An .npz file with inputs in the array x.")],
    samples: Annotated[int, typer.Option(min=1, help="Use the first so many samples only.")] = 32,
    rounding: Annotated[
        str | None,
        typer.Option(help="half_up, tflite or onnx; of each file its own rule if left out."),
    ] = None,
    trust: TrustOption = False,
    inputs: InputsOption = None,
    outputs: OutputsOption = None,
    json: JsonOption = False,
) -> None:
    """Find the first layer at which two executions of a model differ."""
    from tinyq.api.diff import diff as run

    show(run(first, second, data, samples, rounding, trust, inputs, outputs), json)
