from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tinyq.commands.output import (
    JsonOption,
    describe_command,
    print_json,
    print_report,
    print_table,
    show_progress,
)

if TYPE_CHECKING:
    from tinyq.measurement.run import Measurement
    from tinyq.project import Project


def measure(
    folder: Annotated[Path, typer.Argument(help="What `tinyq build` has written.")],
    data: Annotated[Path, typer.Option(help="An .npz file with the arrays x and y.")],
    target: Annotated[
        str | None,
        typer.Option(help="qemu, simavr, host or serial:PORT; the board's emulator if not given."),
    ] = None,
    samples: Annotated[
        int | None, typer.Option(min=1, help="Use the first so many samples only.")
    ] = None,
    report: Annotated[
        Path | None, typer.Option(help="Folder for report.html and report.json.")
    ] = None,
    compare_kernels: Annotated[
        bool, typer.Option(help="Measure the same model with tinyq's own kernels as well.")
    ] = False,
    json: JsonOption = False,
) -> None:
    """Stream a data set through the firmware: accuracy, agreement, instructions, memory."""
    from tinyq.measurement.places import choose_target
    from tinyq.measurement.report import Report, describe_origin, write_report
    from tinyq.measurement.run import measure as run
    from tinyq.project import open_project
    from tinyq.support.datasets import load_dataset
    from tinyq.support.folders import check_writable

    if report is not None:
        check_writable(report)
    project = open_project(folder)
    target = choose_target(project.image.board, target)
    with show_progress(f"measuring on {target}", quiet=json) as progress:
        result = run(project, target, load_dataset(data).take(samples), progress)
    own = _measure_own(project, target, data, samples) if compare_kernels else None
    found = Report(
        f"{result.model} on {result.board}",
        result.accuracy or {},
        result,
        origin=describe_origin(describe_command()),
    )
    page = write_report(found, project.graph, project.plan, report) if report else None
    if json:
        compared = {"compared": own.to_json()} if own else {}
        print_json({**found.to_json(), **compared})
    else:
        print_report(found)
        if own:
            _print_comparison(result, own)
        if page is not None:
            typer.echo(f"report: {page} and {page.with_suffix('.json').name}")
    if result.mismatches or (own and own.mismatches):
        raise typer.Exit(1)


def _measure_own(project: Project, target: str, data: Path, samples: int | None) -> Measurement:
    """Build the same model with tinyq's own kernels and measure it on the same data."""
    from tinyq.errors import TinyqError
    from tinyq.measurement.run import measure as run
    from tinyq.project import create_project
    from tinyq.support.datasets import load_dataset

    if target.startswith("serial"):
        raise TinyqError(
            "two back ends are compared where tinyq starts the firmware itself",
            where="--compare-kernels",
            remedy="use an emulator, or build, flash and measure each of the two",
        )
    own = create_project(project.graph, project.image.board, project.folder / "own-kernels")
    return run(own, target, load_dataset(data).take(samples))


def _print_comparison(result: Measurement, own: Measurement) -> None:
    def count(instructions: float | None) -> str:
        return "-" if instructions is None else f"{instructions:,.0f}"

    pairs = zip(result.layers, own.layers, strict=True)
    rows = [
        (it.name, f"{it.macs:,}", count(it.instructions), count(other.instructions))
        for it, other in pairs
    ]
    rows += [
        ("flash bytes", "", f"{result.flash_bytes:,}", f"{own.flash_bytes:,}"),
        ("RAM bytes", "", f"{result.ram_bytes:,}", f"{own.ram_bytes:,}"),
        ("mismatching codes", "", f"{result.mismatches:,}", f"{own.mismatches:,}"),
    ]
    columns = ("layer", "MACs", "instructions as built", "with tinyq's kernels")
    print_table("kernels side by side", columns, rows, right=columns[1:])
