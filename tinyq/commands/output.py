"""How a command prints: JSON for programs, tables for people."""

from __future__ import annotations

import json as jsons
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Annotated, Any, Protocol

import typer

if TYPE_CHECKING:
    from tinyq.support.tables import Part, Table


class Result(Protocol):
    """What a function of `import tinyq` returns, as far as it is printed."""

    @property
    def ok(self) -> bool:
        """Whether what was checked is as it should be."""

    def to_json(self) -> dict[str, Any]:
        """Plain data."""

    def parts(self) -> Sequence[Part]:
        """Tables and lines."""


JsonOption = Annotated[
    bool, typer.Option("--json", help="Print JSON to standard output and nothing else.")
]

RoundingOption = Annotated[
    str,
    typer.Option(
        help="Of .tflite, .onnx and tfmot models: half_up rounds once, tflite as TFLite's kernels "
        "do; of .onnx models onnx, as onnxruntime's do."
    ),
]

InputsOption = Annotated[
    str | None,
    typer.Option(
        help="Tensors at which the part of the model begins that is read, with commas between "
        "them; its own inputs if not given."
    ),
]

OutputsOption = Annotated[
    str | None,
    typer.Option(
        help="Tensors at which it ends, and what follows is not looked at; its own outputs if not "
        "given."
    ),
]

TrustOption = Annotated[
    bool,
    typer.Option(
        "--trust", help="Load a SavedModel although it is a program: its author is trusted."
    ),
]

UnfinishedOption = Annotated[
    bool,
    typer.Option(
        "--unfinished", help="Take a model although a layer's method has not come to its end."
    ),
]

StreamOption = Annotated[
    str | None,
    typer.Option(
        help="time=AXIS[,step=N][,carry=1]: make a step of the model that takes the newest N "
        "frames along an axis of its inputs, 0 the first, and keeps what it needs of those before; "
        "with carry=1 recurrent layers go on from step to step."
    ),
]

_FILE_COLUMNS = 160  # of a table that goes into a file or a pipe


def print_json(data: Any) -> None:
    """Print data as JSON, two spaces deep, keys in the order given."""
    typer.echo(jsons.dumps(data, indent=2, ensure_ascii=False, allow_nan=False))


def print_table(table: Table) -> None:
    """Print a table, as wide as the terminal."""
    from rich.console import Console

    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = _FILE_COLUMNS
    console.print(table.to_rich())


def print_parts(parts: Sequence[Part]) -> None:
    """Print tables and lines in their order."""
    for part in parts:
        if isinstance(part, str):
            typer.echo(part)
        else:
            print_table(part)


def show(result: Result, json: bool) -> None:
    """Print a result as JSON or for people.

    Raises:
        Exit: With code 1, where what was checked is not as it should be.
    """
    if json:
        print_json(result.to_json())
    else:
        print_parts(result.parts())
    if not result.ok:
        raise typer.Exit(1)


@contextmanager
def show_progress(title: str, *, quiet: bool = False) -> Iterator[Callable[[int, int], None]]:
    """Show a progress bar on standard error from the first update to the end of the block."""
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    bar = Progress(*columns, console=Console(stderr=True), disable=quiet)
    task = bar.add_task(title, total=None)

    with ExitStack() as shown:

        def update(done: int, total: int) -> None:
            if not bar.live.is_started:
                shown.enter_context(bar)
            bar.update(task, completed=done, total=total)

        yield update
