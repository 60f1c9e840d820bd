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
    UnfinishedOption,
    show,
    show_progress,
)


def build(
    model: Annotated[Path, typer.Argument(help="A .keras, .tflite or .h5 model, or a .tqg graph.")],
    board: Annotated[str, typer.Option(help="Name from `tinyq boards`.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="Folder to write.")],
    build_system: Annotated[
        str, typer.Option(help="What runs the compiler: gcc, make, cmake or platformio.")
    ] = "gcc",
    kernels: Annotated[
        str, typer.Option(help="tinyq: those of the core; generic: portable C alone; cmsis-nn.")
    ] = "tinyq",
    cmsis_nn: Annotated[
        str | None,
        typer.Option(help="Folder with CMSIS-NN's headers and archive, or address for PlatformIO."),
    ] = None,
    optimize: Annotated[
        str,
        typer.Option(
            help="What kernels are chosen for: balanced, speed, size (flash) or ram, within the "
            "board's memory."
        ),
    ] = "balanced",
    tune: Annotated[
        bool,
        typer.Option(help="Count the kernels of each layer on the emulated core, then choose."),
    ] = False,
    weights_in_ram: Annotated[
        bool, typer.Option(help="Copy the weights to RAM at start: faster where flash is slow.")
    ] = False,
    max_flash: Annotated[
        int, typer.Option(min=0, help="Bytes of flash at most; 0: what the board has.")
    ] = 0,
    max_ram: Annotated[
        int,
        typer.Option(
            min=0, help="Bytes of RAM at most, stack and buffers too; 0: what the board has."
        ),
    ] = 0,
    max_cycles: Annotated[
        int,
        typer.Option(
            min=0,
            help="Cycles of one inference at most, estimated by --tune, else instructions; 0: any.",
        ),
    ] = 0,
    rounding: RoundingOption = "half_up",
    trust: TrustOption = False,
    inputs: InputsOption = None,
    outputs: OutputsOption = None,
    unfinished: UnfinishedOption = False,
    stream: StreamOption = None,
    json: JsonOption = False,
) -> None:
    """Turn a model into C and firmware for a board."""
    from tinyq.api.build import build as run

    with show_progress("counting kernels", quiet=json) as progress:
        built = run(
            model,
            board,
            output,
            build_system=build_system,
            kernels=kernels,
            cmsis_nn=cmsis_nn,
            optimize=optimize,
            tune=tune,
            weights_in_ram=weights_in_ram,
            max_flash=max_flash,
            max_ram=max_ram,
            max_cycles=max_cycles,
            rounding=rounding,
            trust=trust,
            inputs=inputs,
            outputs=outputs,
            unfinished=unfinished,
            stream=stream,
            progress=progress,
        )
    show(built, json)
