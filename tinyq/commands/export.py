from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tinyq.commands.output import JsonOption, TrustOption, print_json


def export(
    model: Annotated[Path, typer.Argument(help="A .keras or .tflite model or a .tqg graph.")],
    kind: Annotated[
        str,
        typer.Option("--as", help="arduino, c, cmake, cmsis-pack, platformio or zephyr."),
    ],
    output: Annotated[Path, typer.Option("-o", "--output", help="Folder to write.")],
    trust: TrustOption = False,
    json: JsonOption = False,
) -> None:
    """Write a model as a library for other build systems."""
    from tinyq.exports import check_export, describe_kernels, estimate_slowness
    from tinyq.exports import export as run
    from tinyq.models import load_model

    check_export(kind, output)
    graph = load_model(model, trust=trust)
    slowness = estimate_slowness(graph)
    files = run(graph, kind, output, slowness)
    if json:
        print_json(
            {
                "kind": kind,
                "folder": str(output),
                "files": [str(path) for path in files],
                "kernels": "generic",
                "slower_than_build": slowness,
            }
        )
        return
    for path in files:
        typer.echo(output / path)
    typer.echo(describe_kernels(slowness))
