from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tinyq.commands.output import (
    JsonOption,
    RoundingOption,
    TrustOption,
    print_json,
    print_kernels,
    print_table,
    show_progress,
)

if TYPE_CHECKING:
    from tinyq.project import Project, Tuner


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
    rounding: RoundingOption = "half_up",
    trust: TrustOption = False,
    json: JsonOption = False,
) -> None:
    """Turn a model into C and firmware for a board."""
    from tinyq.codegen import GENERIC
    from tinyq.hardware.boards import find_board
    from tinyq.models import load_model
    from tinyq.project import Selection, check_request, create_project

    check_kernels(kernels, cmsis_nn)
    chosen = find_board(board)
    isas = GENERIC if kernels == "generic" else None
    check_request(chosen, output, build_system, Selection(isas, optimize, None, weights_in_ram))
    with _show_tuning(json) if tune else nullcontext() as tuner:
        project = create_project(
            load_model(model, rounding, trust),
            chosen,
            output,
            build_system,
            cmsis_nn,
            Selection(isas, optimize, tuner, weights_in_ram),
        )
    if json:
        print_json(_describe(project, output))
    else:
        _print(project, all_candidates=tune)


@contextmanager
def _show_tuning(quiet: bool) -> Iterator[Tuner]:
    """A tuner that shows how far it is."""
    from functools import partial

    from tinyq.measurement.counting import count_candidates

    with show_progress("counting kernels", quiet=quiet) as progress:
        yield partial(count_candidates, progress=progress)


def _describe(project: Project, output: Path) -> dict[str, Any]:
    from tinyq.codegen import EXPLANATIONS

    image, board = project.image, project.image.board
    return {
        "model": project.graph.name,
        "board": board.name,
        "folder": str(output),
        "elf": str(image.elf),
        "flash_bytes": image.flash_bytes,
        "flash_limit_bytes": board.flash_bytes,
        "ram_bytes": image.ram_bytes,
        "ram_limit_bytes": board.ram_bytes,
        "arena_bytes": project.plan.arena_bytes,
        "arena_proven": project.plan.proven,
        "optimize": project.optimize,
        "meaning": EXPLANATIONS[project.optimize],
        "layers": [asdict(entry) for entry in project.kernels],
        "graph_digest": project.graph_digest,
        "firmware_digest": image.firmware_digest,
        "toolchain": image.toolchain,
    }


def _print(project: Project, *, all_candidates: bool) -> None:
    from tinyq.codegen import EXPLANATIONS

    image, board = project.image, project.image.board
    meaning = EXPLANATIONS[project.optimize]
    print_kernels(
        f"kernels for {project.optimize}: {meaning}",
        project.kernels,
        rivals=all_candidates,
        clock_hz=board.clock_hz,
    )
    print_table(
        f"{project.graph.name} for {board.title}",
        ("memory", "needed B", "of B", "share"),
        [
            _budget_row("flash", image.flash_bytes, board.flash_bytes),
            _budget_row("RAM", image.ram_bytes, board.ram_bytes),
        ],
        right=("needed B", "of B", "share"),
    )
    proof = "proven optimal" if project.plan.proven else "not proven optimal"
    typer.echo(f"activations take {project.plan.arena_bytes:,} bytes of RAM, {proof}")
    typer.echo(f"firmware: {image.elf}")


def check_kernels(kernels: str, cmsis_nn: str | None) -> None:
    """Check that the two options about kernels belong together.

    Raises:
        TinyqError: They do not, or there are no such kernels.
    """
    from tinyq.errors import TinyqError

    if kernels not in ("tinyq", "generic", "cmsis-nn"):
        raise TinyqError(
            f"there are no kernels {kernels!r}",
            where="--kernels",
            remedy="choose tinyq, generic or cmsis-nn",
        )
    if (kernels == "cmsis-nn") != (cmsis_nn is not None):
        raise TinyqError(
            "CMSIS-NN is chosen by both its name and its folder",
            where="--kernels",
            remedy="pass --kernels cmsis-nn --cmsis-nn DIR, where DIR has Include and the archive",
        )


def _budget_row(memory: str, needed: int, limit: int) -> tuple[str, str, str, str]:
    if not limit:
        return memory, f"{needed:,}", "-", "-"
    return memory, f"{needed:,}", f"{limit:,}", f"{needed / limit:.1%}"
