from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from tinyq.commands.output import (
    JsonOption,
    describe_command,
    print_json,
    print_report,
    show_progress,
)


def demo(
    output: Annotated[Path, typer.Option("-o", "--output", help="Folder to write.")] = Path(
        "build/demo"
    ),
    board: Annotated[str, typer.Option(help="Name from `tinyq boards`.")] = "stm32",
    target: Annotated[str, typer.Option(help="qemu, host or serial:PORT.")] = "qemu",
    json: JsonOption = False,
) -> None:
    """Train, build and measure a small network on handwritten digits."""
    from tinyq.digits import run_demo
    from tinyq.firmware.toolchains import find_compiler
    from tinyq.hardware.boards import find_board
    from tinyq.measurement.places import check_port, choose_target
    from tinyq.project import Selection, check_request

    chosen = find_board(board)
    # All that can be known before minutes of training.
    choose_target(chosen, target)
    check_port(target)
    find_compiler(chosen)
    check_request(chosen, output / "firmware", "gcc", Selection())
    report, page = run_demo(
        output, chosen, target, partial(show_progress, quiet=json), describe_command()
    )
    if json:
        print_json(report.to_json())
    else:
        print_report(report)
        typer.echo(f"report: {page} and {page.with_suffix('.json').name}")
    if report.measurement.mismatches:
        raise typer.Exit(1)
