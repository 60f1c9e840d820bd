"""How a command prints: JSON for programs, tables for people."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

if TYPE_CHECKING:
    from tinyq.measurement.report import Report
    from tinyq.measurement.run import LayerMeasurement, Measurement
    from tinyq.project import LayerKernel

JsonOption = Annotated[
    bool, typer.Option("--json", help="Print JSON to standard output and nothing else.")
]

RoundingOption = Annotated[
    str,
    typer.Option(
        help="Of .tflite and tfmot models: half_up rounds once, tflite as TFLite's kernels do."
    ),
]

TrustOption = Annotated[
    bool,
    typer.Option(
        "--trust", help="Load a SavedModel although it is a program: its author is trusted."
    ),
]

_FILE_COLUMNS = 160  # of a table that goes into a file or a pipe


_COMMAND: ContextVar[tuple[str, ...]] = ContextVar("command", default=())


@contextmanager
def naming_command(words: Sequence[str]) -> Iterator[None]:
    """Let reports of the block say by which words they were made."""
    token = _COMMAND.set(("tinyq", *words))
    try:
        yield
    finally:
        _COMMAND.reset(token)


def describe_command() -> str | None:
    """The command that is running, as a shell takes it; None outside of one."""
    return shlex.join(_COMMAND.get()) or None


def print_json(data: Any) -> None:
    """Print data as JSON, two spaces deep, keys in the order given."""
    typer.echo(json.dumps(data, indent=2, ensure_ascii=False, allow_nan=False))


def print_table(
    title: str, columns: Sequence[str], rows: Iterable[Sequence[str]], *, right: Sequence[str] = ()
) -> None:
    """Print a table, its first column whole, those named in `right` aligned to the right."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(title=title, title_justify="left", box=None, pad_edge=False)
    for index, column in enumerate(columns):
        justify: Literal["left", "right"] = "right" if column in right else "left"
        table.add_column(column, justify=justify, no_wrap=index == 0, overflow="fold")
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = _FILE_COLUMNS
    console.print(table)


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


def print_kernels(
    title: str, kernels: Sequence[LayerKernel], *, rivals: bool = False, clock_hz: int = 0
) -> None:
    """Print the kernel of each layer, or all that fit it with the chosen ones marked.

    Args:
        title: Of the table.
        kernels: All candidates.
        rivals: Whether those that were not chosen are printed, too.
        clock_hz: Of the board; 0 where it is unknown.
    """
    numbers = ("instructions", "cycles", "flash B", "code B", "scratch B")
    shown = [entry for entry in kernels if rivals or entry.chosen]
    columns = ("layer", *(("chosen",) if rivals else ()), "kernel", *numbers)
    print_table(title, columns, [_kernel_row(entry, rivals) for entry in shown], right=numbers)
    if any(entry.cycles is not None or not entry.counted for entry in shown):
        typer.echo("~ is an estimate; code that layers share is shown with each of them")
    cycles = [entry.cycles for entry in kernels if entry.chosen]
    if cycles and None not in cycles:
        total = sum(number or 0 for number in cycles)
        typer.echo(f"about {total:,} cycles an inference{describe_time(total, clock_hz)}")


def describe_time(cycles: float, clock_hz: int) -> str:
    """What estimated cycles take, as the end of a sentence; nothing where no clock is known."""
    if not clock_hz:
        return ""
    return f", {1e3 * cycles / clock_hz:.3f} ms at {clock_hz / 1e6:g} MHz (estimates)"


def _kernel_row(entry: LayerKernel, rivals: bool) -> tuple[str, ...]:
    from tinyq.project import describe_kernel

    about = "" if entry.counted else "~"
    mark = ("yes" if entry.chosen else "",) if rivals else ()
    return (
        entry.layer,
        *mark,
        describe_kernel(entry.kernel),
        "-" if entry.instructions is None else f"{about}{entry.instructions:,}",
        "-" if entry.cycles is None else f"~{entry.cycles:,}",
        f"{entry.table_bytes:,}",
        f"{about}{entry.code_bytes:,}",
        f"{entry.scratch_bytes:,}",
    )


ANSWERERS = {
    "float": "float model",
    "keras": "quantized Keras model",
    "reference": "host reference",
    "device": "device",
}


def print_report(report: Report) -> None:
    """Print a report as tables."""
    result = report.measurement
    print_table(
        f"{report.title} ({result.target}, {result.samples:,} samples)",
        ("what", "value"),
        [(name, value) for name, value in _facts(report) if value],
        right=("value",),
    )
    print_table(
        "layers",
        (
            *("layer", "kernel", "formats and shapes", "MACs", "flash B"),
            *("instructions", "per MAC", "cycles"),
        ),
        [_layer_row(layer) for layer in result.layers],
        right=("MACs", "flash B", "instructions", "per MAC", "cycles"),
    )
    for note in result.notes:
        typer.echo(f"note: {note}")


def _facts(report: Report) -> tuple[tuple[str, str | None], ...]:
    result = report.measurement
    return (
        *(
            (f"accuracy, {title}", f"{report.accuracy[name]:.2%}")
            for name, title in ANSWERERS.items()
            if name in report.accuracy
        ),
        *_error_facts(result),
        ("codes that differ, device and reference", f"{result.mismatches:,}"),
        (
            "codes that differ, Keras and reference",
            f"{sum(row.differing for row in report.agreement):,}" if report.agreement else None,
        ),
        ("flash bytes", f"{result.flash_bytes:,}"),
        ("RAM bytes", f"{result.ram_bytes:,}"),
        ("  activations", f"{result.arena_bytes:,}"),
        ("  deepest stack seen", _count(result.stack_bytes)),
        ("instructions per inference", _count(result.instructions)),
        ("cycles per inference", _count(result.cycles)),
        ("milliseconds per inference", _measured_time(result)),
        ("resets of the device", _count(result.resets or None)),
    )


def _layer_row(layer: LayerMeasurement) -> tuple[str, ...]:
    counted = layer.instructions is not None and layer.macs > 0
    return (
        layer.name,
        layer.kernel or layer.operation,
        layer.formats,
        f"{layer.macs:,}",
        _count(layer.flash_bytes) or "-",
        _count(layer.instructions) or "-",
        f"{(layer.instructions or 0.0) / layer.macs:.2f}" if counted else "-",
        _count(layer.cycles) or "-",
    )


def _count(value: float | None) -> str | None:
    return None if value is None else f"{value:,.0f}"


def _error_facts(result: Measurement) -> tuple[tuple[str, str | None], ...]:
    errors = (result.errors or {}).get("device")
    if errors is None:
        return ()
    return (
        ("mean absolute error, device", f"{errors.mae:.6g}"),
        ("root mean square error, device", f"{errors.rmse:.6g}"),
        ("signal to noise, device", None if errors.snr_db is None else f"{errors.snr_db:.2f} dB"),
    )


def _measured_time(result: Measurement) -> str | None:
    return None if result.milliseconds is None else f"{result.milliseconds:.3f}"
