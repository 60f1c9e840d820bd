from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from tinyq.commands.output import JsonOption, TrustOption, show, show_progress


def search(
    model: Annotated[
        Path, typer.Argument(help="A float model: .keras, .h5, or the folder of a SavedModel.")
    ],
    data: Annotated[
        Path, typer.Option(help="An .npz file with inputs in x and, to train on, labels in y.")
    ],
    board: Annotated[str, typer.Option(help="Board, see `tinyq boards`.")],
    output: Annotated[
        Path, typer.Option("-o", "--output", help="Folder to write; an earlier search goes on.")
    ],
    val: Annotated[
        Path | None, typer.Option(help="An .npz file that judges; a fifth of the data without.")
    ] = None,
    flash: Annotated[str | None, typer.Option(help="Most flash, such as 64K.")] = None,
    ram: Annotated[str | None, typer.Option(help="Most RAM, such as 16K.")] = None,
    instructions: Annotated[
        str | None, typer.Option(help="Most instructions of an inference, such as 2M.")
    ] = None,
    cycles: Annotated[
        str | None, typer.Option(help="Most cycles of an inference, such as 2M; estimated.")
    ] = None,
    milliseconds: Annotated[
        float | None,
        typer.Option(help="Most milliseconds of an inference, such as 12.5; estimated."),
    ] = None,
    energy: Annotated[
        float | None, typer.Option(help="Most microjoules of an inference, such as 250; estimated.")
    ] = None,
    power: Annotated[
        float | None,
        typer.Option(help="Milliwatts that the board draws while it computes, for --energy."),
    ] = None,
    space: Annotated[
        Path | None, typer.Option(help="A YAML file with the methods of each layer.")
    ] = None,
    method: Annotated[
        str | None,
        typer.Option(help="A method that says the next three, such as hawq_v3."),
    ] = None,
    sensitivity: Annotated[
        str | None,
        typer.Option(
            help="divergence, hessian_trace, hessian_eigenvalue, taylor, second_order, fisher, "
            "imprint or steps."
        ),
    ] = None,
    allocator: Annotated[
        str | None,
        typer.Option(
            help="ilp, rank, grid, evolution, tpe, predictor, actor, hierarchy, gumbel, relaxed, "
            "fractional, parametrized, constrained, bit_planes or bottleneck."
        ),
    ] = None,
    proxy: Annotated[
        str | None, typer.Option(help="ptq, reconstruct, train:EPOCHS or full:EPOCHS.")
    ] = None,
    trials: Annotated[int | None, typer.Option(help="Trials of all workers together.")] = None,
    storage: Annotated[
        str | None,
        typer.Option(help="Journal or database that workers share; a journal in the folder."),
    ] = None,
    threads: Annotated[
        int | None,
        typer.Option(min=1, help="Threads of this worker; one where a storage is named."),
    ] = None,
    optimize: Annotated[
        str, typer.Option(help="What kernels are chosen for: balanced, speed, size or ram.")
    ] = "balanced",
    seed: Annotated[int, typer.Option(help="Seed of whatever is drawn.")] = 0,
    samples: Annotated[
        int, typer.Option(min=1, help="Calibrate on the first so many inputs only.")
    ] = 512,
    trust: TrustOption = False,
    json: JsonOption = False,
) -> None:
    """Search the bits of each layer that fit a board's budgets and lose least."""
    from tinyq.api.search import search as run

    found = run(
        model,
        data,
        board,
        output,
        val=val,
        flash=flash,
        ram=ram,
        instructions=instructions,
        cycles=cycles,
        milliseconds=milliseconds,
        energy=energy,
        power=power,
        space=space,
        method=method,
        sensitivity=sensitivity,
        allocator=allocator,
        proxy=proxy,
        trials=trials,
        storage=storage,
        threads=threads,
        optimize=optimize,
        seed=seed,
        samples=samples,
        trust=trust,
        show=partial(show_progress, quiet=json),
    )
    show(found, json)
