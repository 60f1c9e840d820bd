from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tinyq.commands.output import JsonOption, print_json, print_table

if TYPE_CHECKING:
    from tinyq.quantizers.explanations import Explanation
    from tinyq.quantizers.method import Entry, Role


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
    from tinyq.quantizers.catalogue import find_entry, load_catalogue

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
        "link": entry.link,
        "options": _options(entry),
        "recipe": _recipe(entry),
        "summary": entry.summary,
        "formulas": list(entry.formulas),
        "leaves_out": entry.leaves_out,
        "missing": entry.missing,
    }


def _options(entry: Entry) -> dict[str, dict[str, Any]]:
    """Options by name: default, meaning, source and range."""
    from tinyq.quantizers.catalogue import load_classes
    from tinyq.quantizers.method import defaults, list_options

    cls = load_classes().get(entry.id)
    if cls is None:
        return {}
    values = defaults(cls)
    return {
        name: {
            "default": values[name],
            "meaning": known.meaning,
            "source": known.source,
            "range": known.range,
        }
        for name, known in list_options(cls).items()
    }


def _recipe(entry: Entry) -> list[str]:
    """Lines of a recipe to copy: a name for each role, with all options where there are some."""
    options = {name: known["default"] for name, known in _options(entry).items()}
    said = "".join(f", {name}: {str(value).lower()}" for name, value in options.items())
    lines = [f"weights: {next(iter(entry.weights))}"] if entry.weights else []
    if entry.activations:
        lines.append(f"activations: {next(iter(entry.activations))}")
    if options:
        role = "weights" if entry.weights else "activations"
        lines.append(f"{role}: {{method: {entry.id}{said}}}")
    return lines


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
    told = _tell(entry)
    if json:
        print_json({**_facts(entry), **_collect_told(told)})
    else:
        _print_entry(entry, told)
    if not chosen and svg is not None:
        from tinyq.errors import TinyqError

        remedy = entry.missing or "a layer has no levels"
        raise TinyqError("there is nothing to plot", where=entry.id, remedy=remedy)
    if chosen and (svg is not None or not json):
        _plot(chosen, svg, json)


def _choose(name: str, entry: Entry) -> list[tuple[str, Role]]:
    """What is plotted: what has this name, or for an id one method of each role."""
    from tinyq.quantizers.method import ROLES

    chosen: list[tuple[str, Role]] = []
    for role in ROLES:
        names = getattr(entry, role)
        if names and (name in names or "(" in name):
            chosen.append((name, role))
        elif names and name == entry.id:
            chosen.append((next(iter(names)), role))
    return chosen


def _tell_one(name: str, role: Role) -> Explanation:
    """What the table tells of a method; what it lacks is computed, with Keras."""
    from tinyq.quantizers.explanations import find_explanation

    found = find_explanation(name, role)
    if found is None:
        from tinyq.quantizers.curves import explain

        found = explain(name, role)
    return found


def _tell(entry: Entry) -> dict[tuple[str, Role], Explanation]:
    """What is told of each name of a row in each role."""
    from tinyq.quantizers.method import ROLES

    return {(name, role): _tell_one(name, role) for role in ROLES for name in getattr(entry, role)}


def _collect_told(told: dict[tuple[str, Role], Explanation]) -> dict[str, Any]:
    """Parts and phases by role and name."""
    found: dict[str, Any] = {"parts": {}, "phases": {}}
    for (name, role), one in told.items():
        found["parts"].setdefault(role, {})[name] = dict(one.parts)
        found["phases"].setdefault(role, {})[name] = list(one.phases)
    return found


def _print_entry(entry: Entry, told: dict[tuple[str, Role], Explanation]) -> None:
    lines = [
        f"{entry.title} ({entry.id})" + (f", {entry.year}" if entry.year else ""),
        " ".join(filter(None, (entry.reference, entry.link))),
        entry.summary,
        *(f"    {formula}" for formula in entry.formulas),
    ]
    for (name, role), one in told.items():
        made_of = ", ".join(f"{key} {value}" for key, value in one.parts.items())
        lines.append(f"{role}: {name}: format {getattr(entry, role)[name]}, {made_of}")
    for phase in dict.fromkeys(phase for one in told.values() for phase in one.phases):
        having = [name for (name, _), one in told.items() if phase in one.phases]
        lines.append(f"phase: {phase}" + ("" if len(having) == len(told) else _among(having)))
    if any(len(one.phases) > 1 for one in told.values()):
        lines.append(
            "training: fit of a model from tinyq.quantize runs these phases by itself; a loop of "
            "train_on_batch calls tinyq.training.advance(model, progress)"
        )
    for name, known in _options(entry).items():
        facts = "; ".join(filter(None, (known["meaning"], known["range"], known["source"])))
        lines.append(f"option: {name} = {known['default']}: {facts}")
    for line in _recipe(entry):
        lines.append(f"recipe: {line}")
    for layer, number_format in entry.layers.items():
        lines.append(f"layer: {layer}: format {number_format}")
    for operand, isas in _kernels(entry).items():
        lines.append(f"kernels for {operand}: {', '.join(isas)}")
    if entry.leaves_out:
        lines.append(f"leaves out: {entry.leaves_out}")
    if entry.missing:
        lines.append(f"not yet: {entry.missing}")
    typer.echo("\n".join(lines))


def _among(names: list[str]) -> str:
    return f" ({', '.join(dict.fromkeys(names))})"


def _plot(chosen: list[tuple[str, Role]], svg: Path | None, json: bool) -> None:
    from tinyq.support.files import write_file
    from tinyq.support.plot.curves import draw_svg, draw_text

    for name, role in chosen:
        curve = _tell_one(name, role).curve
        lines = {"slope in training": curve.slope, "levels": curve.y}
        if not json:
            typer.echo(f"\n{role} {name}: l levels, s slope in training")
            typer.echo(draw_text(curve.x, lines))
        if svg is not None:
            write_file(svg, draw_svg(f"{role} {name}", curve.x, lines))
            return
