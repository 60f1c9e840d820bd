from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from tinyq.api.arguments import PathLike, as_path
from tinyq.errors import TinyqError
from tinyq.kernels.base import list_members
from tinyq.kernels.registry import list_kernels
from tinyq.quantizers.catalogue import find_entry, load_catalogue, load_classes
from tinyq.quantizers.explanations import Explanation, find_explanation
from tinyq.quantizers.method import ROLES, Entry, Role, defaults, list_options
from tinyq.support.documents import stamp
from tinyq.support.files import write_file
from tinyq.support.plot.curves import draw_svg, draw_text
from tinyq.support.tables import Part, Shown, Table

Explanations = Mapping[tuple[str, Role], Explanation]


@dataclass(frozen=True, slots=True, repr=False)
class MethodEntry(Shown):
    """A method of quantization.

    Attributes:
        entry: Its row of the catalogue.
        explanations: Parts, phases and curve of each name in each role.
        plotted: Names and roles whose levels are drawn.
    """

    entry: Entry
    explanations: Explanations
    plotted: tuple[tuple[str, Role], ...] = ()

    @property
    def id(self) -> str:
        """What the catalogue calls it."""
        return self.entry.id

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return stamp("method", {**describe_method(self.entry), **_collect(self.explanations)})

    def parts(self) -> list[Part]:
        """Facts, options, a recipe, and plots of levels and slopes."""
        parts: list[Part] = ["\n".join(_list_lines(self.entry, self.explanations))]
        for name, role in self.plotted:
            curve = _explain(name, role).curve
            parts.append(f"\n{role} {name}: l levels, s slope in training")
            parts.append(draw_text(curve.x, {"slope in training": curve.slope, "levels": curve.y}))
        return parts


@dataclass(frozen=True, slots=True, repr=False)
class MethodList(Shown):
    """All methods of the catalogue.

    Attributes:
        entries: Their rows.
    """

    entries: tuple[Entry, ...]

    def __iter__(self) -> Iterator[Entry]:
        return iter(self.entries)

    def __len__(self) -> int:
        """Number of methods."""
        return len(self.entries)

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return stamp("methods", {"methods": [describe_method(entry) for entry in self.entries]})

    def parts(self) -> list[Part]:
        """A table, and how many there are."""
        columns = ("id", "method", "year", "wave", "weights", "activations", "kernels for", "else")
        ready = sum(entry.trains for entry in self.entries)
        return [
            Table("methods", columns, [_make_row(entry) for entry in self.entries], ("year",)),
            f"{ready} of {len(self.entries)} train and export; `tinyq methods ID` explains one",
        ]


def methods(name: str | None = None, svg: PathLike | None = None) -> MethodList | MethodEntry:
    """List the methods of quantization and what each can do, or explain one.

    Args:
        name: A method's id, or a name that a recipe may say.
        svg: Write the plot of levels and slope to this file.

    Raises:
        TinyqError: There is no such method, or it has nothing to plot.
    """
    if name is None:
        if svg is not None:
            raise TinyqError("a plot shows one method", remedy="name it: `tinyq methods twn`")
        return MethodList(tuple(load_catalogue().values()))
    entry = find_entry(name)
    found = MethodEntry(entry, _explain_all(entry), _choose(name, entry))
    if svg is not None:
        _write_plot(found, svg)
    return found


def _write_plot(found: MethodEntry, svg: PathLike) -> None:
    if not found.plotted:
        raise TinyqError(
            "there is nothing to plot",
            where=found.id,
            remedy=found.entry.missing or "a layer has no levels",
        )
    name, role = found.plotted[0]
    curve = _explain(name, role).curve
    lines = {"slope in training": curve.slope, "levels": curve.y}
    write_file(as_path(svg), draw_svg(f"{role} {name}", curve.x, lines))


def describe_method(entry: Entry) -> dict[str, Any]:
    """Plain data of a row."""
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
        "recipes": {name: dict(said) for name, said in entry.recipes.items()},
        "calibrations": {name: dict(said) for name, said in entry.calibrations.items()},
        "searches": {name: dict(said) for name, said in entry.searches.items()},
        "functions": dict(entry.functions),
        "summary": entry.summary,
        "formulas": list(entry.formulas),
        "leaves_out": entry.leaves_out,
        "missing": entry.missing,
    }


def _make_row(entry: Entry) -> tuple[str, ...]:
    return (
        entry.id,
        entry.title,
        str(entry.year),
        entry.wave,
        " ".join(entry.weights) or "-",
        " ".join((*entry.activations, *entry.layers, *_ways(entry))) or "-",
        " ".join(sorted({*entry.weights.values(), *entry.activations.values()})) or "none",
        entry.missing or (f"without: {entry.leaves_out}" if entry.leaves_out else ""),
    )


def _ways(entry: Entry) -> tuple[str, ...]:
    """Recipes, options of commands and functions that are its method."""
    functions = (f"{name.rpartition('.')[2]}()" for name in entry.functions)
    return (*entry.recipes, *entry.calibrations, *entry.searches, *functions)


def _options(entry: Entry) -> dict[str, dict[str, Any]]:
    """Options by name: default, meaning, source and range."""
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
    found: dict[str, list[str]] = {}
    for place, formats in ((0, entry.activations), (1, entry.weights)):
        for number_format in sorted(set(formats.values())):
            isas = {
                kernel.isa
                for kernel in list_kernels()
                if kernel.operation == "conv2d"
                and number_format in list_members(kernel.formats[place])
            }
            operand = ("activations", "weights")[place]
            found[f"{operand} {number_format}"] = sorted(isas)
    return found


def _choose(name: str, entry: Entry) -> tuple[tuple[str, Role], ...]:
    """What is plotted: what has this name, or for an id one method of each role."""
    chosen: list[tuple[str, Role]] = []
    for role in ROLES:
        names = getattr(entry, role)
        if names and (name in names or "(" in name):
            chosen.append((name, role))
        elif names and name == entry.id:
            chosen.append((next(iter(names)), role))
    return tuple(chosen)


def _explain(name: str, role: Role) -> Explanation:
    """What the table tells of a method; what it lacks is computed, with Keras."""
    found = find_explanation(name, role)
    if found is None:
        from tinyq.quantizers.curves import explain

        found = explain(name, role)
    return found


def _explain_all(entry: Entry) -> Explanations:
    """What is explanations of each name of a row in each role."""
    return {(name, role): _explain(name, role) for role in ROLES for name in getattr(entry, role)}


def _collect(explanations: Explanations) -> dict[str, Any]:
    """Parts and phases by role and name."""
    found: dict[str, Any] = {"parts": {}, "phases": {}}
    for (name, role), one in explanations.items():
        found["parts"].setdefault(role, {})[name] = dict(one.parts)
        found["phases"].setdefault(role, {})[name] = list(one.phases)
    return found


def _list_lines(entry: Entry, explanations: Explanations) -> list[str]:
    lines = [
        f"{entry.title} ({entry.id})" + (f", {entry.year}" if entry.year else ""),
        " ".join(filter(None, (entry.reference, entry.link))),
        entry.summary,
        *(f"    {formula}" for formula in entry.formulas),
    ]
    for (name, role), one in explanations.items():
        made_of = ", ".join(f"{key} {value}" for key, value in one.parts.items())
        lines.append(f"{role}: {name}: format {getattr(entry, role)[name]}, {made_of}")
    for phase in dict.fromkeys(phase for one in explanations.values() for phase in one.phases):
        having = [name for (name, _), one in explanations.items() if phase in one.phases]
        lines.append(
            f"phase: {phase}" + ("" if len(having) == len(explanations) else _among(having))
        )
    if any(len(one.phases) > 1 for one in explanations.values()):
        lines.append(
            "training: fit of a model from tinyq.quantize runs these phases by itself; a loop of "
            "train_on_batch calls tinyq.training.advance(model, progress)"
        )
    for name, known in _options(entry).items():
        facts = "; ".join(filter(None, (known["meaning"], known["range"], known["source"])))
        lines.append(f"option: {name} = {known['default']}: {facts}")
    lines += [f"recipe: {line}" for line in _recipe(entry)]
    lines += [f"whole recipe {name}: {json.dumps(said)}" for name, said in entry.recipes.items()]
    lines += [f"{name}: tinyq quantize {_say(said)}" for name, said in entry.calibrations.items()]
    lines += [f"{name}: tinyq search {_say(said)}" for name, said in entry.searches.items()]
    lines += [f"function: {name} {does}" for name, does in entry.functions.items()]
    lines += [f"layer: {layer}: format {form}" for layer, form in entry.layers.items()]
    lines += [
        f"kernels for {operand}: {', '.join(isas)}" for operand, isas in _kernels(entry).items()
    ]
    if entry.leaves_out:
        lines.append(f"leaves out: {entry.leaves_out}")
    if entry.missing:
        lines.append(f"not yet: {entry.missing}")
    return lines


def _say(options: Mapping[str, Any]) -> str:
    """Options of a command; a search's own space is named, and read with ``--json``."""
    said = {key: value for key, value in options.items() if key != "space"}
    words = " ".join(f"--{key.replace('_', '-')} {value}" for key, value in said.items())
    return f"{words}, in a space of its own" if said != options else words


def _among(names: list[str]) -> str:
    return f" ({', '.join(dict.fromkeys(names))})"
