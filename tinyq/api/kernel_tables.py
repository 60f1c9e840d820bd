"""The kernels of a model's layers as a table."""

from __future__ import annotations

from collections.abc import Sequence

from tinyq.project import LayerKernel, describe_kernel
from tinyq.support.tables import Part, Table


def list_kernel_parts(
    title: str, kernels: Sequence[LayerKernel], *, rivals: bool = False, clock_hz: int = 0
) -> list[Part]:
    """The kernel of each layer, or all that fit it with the chosen ones marked.

    Args:
        title: Of the table.
        kernels: All candidates.
        rivals: Whether those that were not chosen are shown, too.
        clock_hz: Of the board; 0 where it is unknown.
    """
    numbers = ("instructions", "cycles", "flash B", "code B", "scratch B")
    shown = [entry for entry in kernels if rivals or entry.chosen]
    columns = ("layer", *(("chosen",) if rivals else ()), "kernel", *numbers)
    rows = [_make_row(entry, rivals) for entry in shown]
    parts: list[Part] = [Table(title, columns, rows, right=numbers)]
    if any(entry.cycles is not None or not entry.counted for entry in shown):
        parts.append("~ is an estimate; code that layers share is shown with each of them")
    cycles = [entry.cycles for entry in kernels if entry.chosen]
    if cycles and None not in cycles:
        total = sum(number or 0 for number in cycles)
        parts.append(f"about {total:,} cycles an inference{describe_time(total, clock_hz)}")
    return parts


def describe_time(cycles: float, clock_hz: int) -> str:
    """What estimated cycles take, as the end of a sentence; nothing where no clock is known."""
    if not clock_hz:
        return ""
    return f", {1e3 * cycles / clock_hz:.3f} ms at {clock_hz / 1e6:g} MHz (estimates)"


def _make_row(entry: LayerKernel, rivals: bool) -> tuple[str, ...]:
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
