from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tinyq.commands.output import JsonOption, print_json, print_table

if TYPE_CHECKING:
    from tinyq.quantizers.methods import Role
    from tinyq.support.catalogue import Entry


def methods(
    name: Annotated[
        str | None, typer.Argument(help="A method's id, or a name that a recipe may say.")
    ] = None,
    svg: Annotated[
        Path | None, typer.Option(help="Write the plot of levels and slope to this file.")
    ] = None,
    json: JsonOption = False,
) -> None:
    """List the methods of quantization and what each can do, or explain one."""
    from tinyq.errors import TinyqError
    from tinyq.support.catalogue import find_entry, load_catalogue

    if name is None:
        if svg is not None:
            raise TinyqError("a plot shows one method", remedy="name it: `tinyq methods twn`")
        _list([*load_catalogue().values()], json)
        return
    _explain(name, find_entry(name), svg, json)


def _facts(entry: Entry) -> dict[str, Any]:
    return {
        "id": entry.id,
        "title": entry.title,
        "year": entry.year,
        "wave": entry.wave,
        "trains": entry.trains,
        "exports": entry.trains,
        "weights": dict(entry.weights),
        "activations": dict(entry.activations),
        "layers": dict(entry.layers),
        "kernels": _kernels(entry),
        "reference": entry.reference,
        "summary": entry.summary,
        "formulas": list(entry.formulas),
        "leaves_out": entry.leaves_out,
        "missing": entry.missing,
    }


def _kernels(entry: Entry) -> dict[str, list[str]]:
    """Instruction sets that have kernels for convolutions in a format, by operand and format."""
    from tinyq.codegen.kernels import list_members, load_kernels

    found: dict[str, list[str]] = {}
    for place, formats in ((0, entry.activations), (1, entry.weights)):
        for number_format in sorted(set(formats.values())):
            isas = {
                kernel.isa
                for kernel in load_kernels()
                if kernel.operation == "conv2d"
                and number_format in list_members(kernel.formats[place])
            }
            operand = ("activations", "weights")[place]
            found[f"{operand} {number_format}"] = sorted(isas)
    return found


def _list(entries: list[Entry], json: bool) -> None:
    if json:
        print_json([_facts(entry) for entry in entries])
        return
    print_table(
        "methods",
        ("id", "method", "year", "wave", "weights", "activations", "kernels for", "else"),
        [
            (
                entry.id,
                entry.title,
                str(entry.year),
                entry.wave,
                " ".join(entry.weights) or "-",
                " ".join((*entry.activations, *entry.layers)) or "-",
                " ".join(sorted({*entry.weights.values(), *entry.activations.values()})) or "none",
                entry.missing or (f"without: {entry.leaves_out}" if entry.leaves_out else ""),
            )
            for entry in entries
        ],
        right=("year",),
    )
    ready = sum(entry.trains for entry in entries)
    typer.echo(f"{ready} of {len(entries)} train and export; `tinyq methods ID` explains one")


def _explain(name: str, entry: Entry, svg: Path | None, json: bool) -> None:
    chosen = _choose(name, entry)
    if json:
        print_json({**_facts(entry), "parts": _parts(entry)})
    else:
        _print_entry(entry)
    if not chosen and svg is not None:
        from tinyq.errors import TinyqError

        remedy = entry.missing or "a layer has no levels"
        raise TinyqError("there is nothing to plot", where=entry.id, remedy=remedy)
    if chosen and (svg is not None or not json):
        _plot(chosen, svg, json)


def _choose(name: str, entry: Entry) -> list[tuple[str, Role]]:
    """What is plotted: what has this name, or for an id one method of each role."""
    roles: tuple[tuple[Role, Any], ...] = (
        ("weights", entry.weights),
        ("activations", entry.activations),
    )
    chosen: list[tuple[str, Role]] = []
    for role, names in roles:
        if name in names:
            chosen.append((name, role))
        elif names and name == entry.id:
            chosen.append((next(iter(names)), role))
    return chosen


def _parts(entry: Entry) -> dict[str, dict[str, dict[str, str]]]:
    if not entry.trains:
        return {}
    from tinyq.quantizers.curves import name_parts

    return {
        "weights": {name: name_parts(name, "weights") for name in entry.weights},
        "activations": {name: name_parts(name, "activations") for name in entry.activations},
    }


def _print_entry(entry: Entry) -> None:
    lines = [
        f"{entry.title} ({entry.id}), {entry.year}",
        entry.reference,
        entry.summary,
        *(f"    {formula}" for formula in entry.formulas),
    ]
    for role, names in _parts(entry).items():
        formats = getattr(entry, role)
        for name, parts in names.items():
            made_of = ", ".join(f"{key} {value}" for key, value in parts.items())
            lines.append(f"{role}: {name}: format {formats[name]}, {made_of}")
    for layer, number_format in entry.layers.items():
        lines.append(f"layer: {layer}: format {number_format}")
    for operand, isas in _kernels(entry).items():
        lines.append(f"kernels for {operand}: {', '.join(isas)}")
    if entry.leaves_out:
        lines.append(f"leaves out: {entry.leaves_out}")
    if entry.missing:
        lines.append(f"not yet: {entry.missing}")
    typer.echo("\n".join(lines))


def _plot(chosen: list[tuple[str, Role]], svg: Path | None, json: bool) -> None:
    from tinyq.quantizers.curves import trace
    from tinyq.support.files import write_file
    from tinyq.support.plot.curves import draw_svg, draw_text

    for name, role in chosen:
        curve = trace(name, role)
        lines = {"slope in training": curve.slope, "levels": curve.y}
        if not json:
            typer.echo(f"\n{role} {name}: l levels, s slope in training")
            typer.echo(draw_text(curve.x, lines))
        if svg is not None:
            write_file(svg, draw_svg(f"{role} {name}", curve.x, lines))
            return
