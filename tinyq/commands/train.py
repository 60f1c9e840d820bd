from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tinyq.commands.output import JsonOption, TrustOption, show, show_progress


def train(
    model: Annotated[
        Path, typer.Argument(help="A float model: .keras, .h5, or the folder of a SavedModel.")
    ],
    recipe: Annotated[Path, typer.Option(help="A YAML file: methods for each layer, and phases.")],
    data: Annotated[Path, typer.Option(help="An .npz file with the arrays x and y.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="The .keras file to write.")],
    val: Annotated[
        Path | None, typer.Option(help="An .npz file with samples that are not trained on.")
    ] = None,
    epochs: Annotated[
        int | None, typer.Option(help="Epochs; 5 where the recipe has no phases.")
    ] = None,
    rate: Annotated[
        float | None,
        typer.Option(help="Learning rate at the start; 0.001 where the recipe has no phases."),
    ] = None,
    batch_size: Annotated[int, typer.Option(help="Samples per step.")] = 32,
    objective: Annotated[
        str,
        typer.Option(help="classes, binary, values, or auto: what labels and output ask for."),
    ] = "auto",
    state: Annotated[
        Path | None,
        typer.Option(help="Folder of checkpoints; a training that was stopped goes on from there."),
    ] = None,
    log: Annotated[Path | None, typer.Option(help="Folder of TensorBoard scalars.")] = None,
    seed: Annotated[
        int, typer.Option(help="Seed of the order of samples and of whatever is drawn.")
    ] = 0,
    trust: TrustOption = False,
    json: JsonOption = False,
) -> None:
    """Quantize a float Keras model by a recipe and train it, with checkpoints."""
    from tinyq.api.train import train as run

    with show_progress("training", quiet=json) as progress:
        trained = run(
            model,
            recipe,
            data=data,
            val=val,
            output=output,
            epochs=epochs,
            rate=rate,
            batch_size=batch_size,
            objective=objective,
            state=state,
            log=log,
            seed=seed,
            trust=trust,
            progress=progress,
        )
    show(trained, json)
