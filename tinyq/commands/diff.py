from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tinyq.commands.output import JsonOption, RoundingOption, TrustOption, print_json, print_table

if TYPE_CHECKING:
    from tinyq.measurement.diff import Comparison, Difference

_WIDTH = 40  # of the longest bar


def diff(
    first: Annotated[
        str,
        typer.Argument(
            help="PATH or PATH@PLACE: a model at reference, c or litert, a build folder at qemu, "
            "simavr, host or serial:PORT."
        ),
    ],
    second: Annotated[str, typer.Argument(help="The execution to compare with.")],
    data: Annotated[Path, typer.Option(help="An .npz file with inputs in the array x.")],
    samples: Annotated[int, typer.Option(min=1, help="Use the first so many samples only.")] = 32,
    rounding: RoundingOption = "tflite",
    trust: TrustOption = False,
    json: JsonOption = False,
) -> None:
    """Find the first layer at which two executions of a model differ."""
    from tinyq.measurement.diff import compare, open_execution
    from tinyq.support.datasets import load_dataset

    inputs = load_dataset(data).take(samples).x
    one, other = (open_execution(text, rounding, trust) for text in (first, second))
    found = compare(one, other, inputs)
    if json:
        print_json(asdict(found))
    else:
        print_comparison(found)
    if found.difference is not None:
        raise typer.Exit(1)


def print_comparison(found: Comparison) -> None:
    """Print what a comparison showed, with a histogram of the differences."""
    typer.echo(f"A: {found.first}\nB: {found.second}")
    if found.difference is None:
        what = f"{len(found.compared)} layers" if len(found.compared) > 1 else "the outputs"
        typer.echo(f"{what} are equal, {found.samples:,} samples")
        return
    equal = len(found.compared) - 1
    typer.echo(f"{equal} layers are equal, then {found.difference.layer} differs")
    if found.output_equal:
        typer.echo("the outputs are equal all the same")
    _print_difference(found.difference)


def _print_difference(it: Difference) -> None:
    typer.echo(it.description)
    typer.echo(f"{it.differing:,} of {it.codes:,} codes differ")
    place = ", ".join(str(index) for index in it.position)
    typer.echo(f"first in sample {it.sample} at ({place}): {it.first} in A, {it.second} in B")
    largest = max(bar.count for bar in it.histogram)
    print_table(
        "differences B - A",
        ("by", "codes", ""),
        [
            (
                f"{bar.low:+}" if bar.low == bar.high else f"{bar.low:+} .. {bar.high:+}",
                f"{bar.count:,}",
                "#" * max(1, round(_WIDTH * bar.count / largest)) if bar.count else "",
            )
            for bar in it.histogram
        ],
        right=("by", "codes"),
    )
