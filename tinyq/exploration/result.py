"""What a search leaves behind: search.json for tools, recipes to train with, a page for people."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from tinyq.exploration.budgets import RESOURCES, Costs
from tinyq.exploration.search import Found, name_float
from tinyq.exploration.space import Assignment
from tinyq.exploration.trials import Trial
from tinyq.measurement.comparison import Entry, draw_plots
from tinyq.support.documents import render_document
from tinyq.support.files import write_files
from tinyq.support.templates import fill_page

SEARCH, PAGE, RECIPES, MODELS, JOURNAL = (
    "search.json",
    "search.html",
    "recipes",
    "models",
    "search.journal",
)
_PERCENT = 100.0


def describe(found: Found, name: str, board: str, folder: Path | None = None) -> dict[str, Any]:
    """A search as plain data."""
    wish = found.wish
    return {
        "model": name,
        "board": board,
        "limits": {resource: wish.limits[resource] for resource in RESOURCES},
        "pace": {"clock_hz": wish.pace.clock_hz, "nanojoules_per_cycle": wish.pace.nanojoules},
        "sensitivity": wish.sensitivity,
        "allocator": wish.allocator.name,
        "proxy": str(wish.proxy),
        "seed": wish.seed,
        "float_score": found.float_score,
        "space": found.table.space.to_json(),
        "refused": [
            {"layer": layer, "methods": label, "reason": reason}
            for (layer, label), reason in found.refused.items()
        ],
        "base": _describe_costs(found, found.table.base),
        "table": found.table.to_json(),
        "trials": [_describe_trial(found, it, folder) for it in found.trials],
        "failures": [
            {"methods": _label(found, assignment), "reason": reason}
            for assignment, reason in found.failures
        ],
        "front": [it.number for it in found.front],
        "best": None if found.best is None else found.best.number,
        "fits": found.fits,
    }


def write_results(found: Found, name: str, board: str, folder: Path) -> Path:
    """Write search.json, the page, and a recipe for each trial of the front and for the best.

    Returns:
        The page.

    Raises:
        FileError: The folder cannot be written to.
    """
    (folder / RECIPES).mkdir(parents=True, exist_ok=True)
    kept = {it.number: it for it in found.front}
    if found.best is not None:
        kept[found.best.number] = found.best
    files: dict[Path, str | bytes] = {
        folder / RECIPES / f"{number:03d}.yaml": write_recipe(found, trial)
        for number, trial in kept.items()
    }
    if found.best is not None:
        files[folder / "best.yaml"] = write_recipe(found, found.best)
    data = describe(found, name, board, folder)
    files[folder / SEARCH] = render_document("search", data)
    files[folder / PAGE] = draw_page(found, name, board)
    write_files(files)
    return folder / PAGE


def write_recipe(found: Found, trial: Trial) -> str:
    """The recipe of a trial as YAML, with its figures in a comment."""
    costs = found.counted.get(trial.number, trial.costs)
    recipe = found.table.space.to_recipe(trial.assignment, None)
    kind = "counted" if costs.counted else "foreseen"
    forms = found.table.space.forms(trial.assignment)
    shaped = "".join(f"# {name}:{form.label}\n" for name, form in forms.items())
    if shaped:
        shaped = f"# of the float model {MODELS}/{name_float(trial.assignment)}:\n{shaped}"
    time = f", about {costs.cycles:,} cycles" if costs.cycles else ""
    head = (
        f"# score {trial.score:.4f} ({found.wish.proxy}); {costs.flash_bytes:,} B of flash, "
        f"{costs.ram_bytes:,} B of RAM, {costs.instructions:,} instructions ({kind}){time}\n"
    )
    return head + shaped + str(yaml.safe_dump(recipe, sort_keys=False))


def draw_page(found: Found, name: str, board: str) -> str:
    """HTML of a search: front, layers, and what changes from neighbour to neighbour."""
    front = sorted(found.front, key=lambda it: it.costs.instructions)
    levels = {"float": found.float_score}
    plots = draw_plots(_list_entries(found, name, board), levels, "front", "other trials", "score")
    rows = [
        {
            "trial": it,
            "costs": found.counted.get(it.number, it.costs),
            "changes": _list_changes(found, front[place - 1] if place else None, it),
        }
        for place, it in enumerate(front)
    ]
    table = found.table
    return fill_page(
        "search.html.j2",
        found=found,
        name=name,
        board=board,
        plots=plots,
        rows=rows,
        layers=list(table.space.layers.items()),
        table=table,
        limits={resource: found.wish.limits[resource] for resource in RESOURCES},
        best_costs=None
        if found.best is None
        else found.counted.get(found.best.number, found.best.costs),
        best_pairs={} if found.best is None else table.space.pairs(found.best.assignment),
        loss_scale=max((max(row) for row in table.loss), default=0.0) or 1.0,
    )


def _list_entries(found: Found, name: str, board: str) -> list[Entry]:
    """All trials as rows of a comparison."""
    front = {it.number for it in found.front}
    return [
        Entry(
            str(it.number),
            name,
            board,
            it.costs.flash_bytes,
            it.costs.ram_bytes,
            it.score,
            instructions=it.costs.instructions,
            cycles=it.costs.cycles or None,
            best=it.number in front,
        )
        for it in found.trials
    ]


def _list_changes(found: Found, before: Trial | None, after: Trial) -> list[str]:
    """Layers whose methods differ from the neighbour's, or from the base's for the first."""
    space = found.table.space
    old = space.pairs(before.assignment if before else space.base)
    new = space.pairs(after.assignment)
    return [f"{layer} {new[layer].label}" for layer in new if new[layer] != old[layer]]


def _describe_costs(found: Found, costs: Costs) -> dict[str, Any]:
    pace = found.wish.pace
    return {
        **{name: costs[name] for name in RESOURCES},
        "cycles": costs.cycles or None,
        "milliseconds": pace.milliseconds(costs.cycles),
        "microjoules": pace.microjoules(costs.cycles),
        "counted": costs.counted,
    }


def _label(found: Found, assignment: Assignment) -> dict[str, str]:
    return {name: it.label for name, it in found.table.space.pairs(assignment).items()}


def _describe_trial(found: Found, trial: Trial, folder: Path | None) -> dict[str, Any]:
    counted = found.counted.get(trial.number)
    file = found.models.get(trial.number)
    exists = file is not None and file.exists()
    return {
        "number": trial.number,
        "methods": _label(found, trial.assignment),
        "score": trial.score,
        "loss": trial.loss,
        "foreseen": _describe_costs(found, trial.costs),
        "firmware": None if counted is None else _describe_costs(found, counted),
        "model": _relate(file, folder) if exists and file is not None else None,
    }


def _relate(file: Path, folder: Path | None) -> str:
    if folder is not None and file.is_relative_to(folder):
        return file.relative_to(folder).as_posix()
    return str(file)


def list_heads(found: Found) -> tuple[str, ...]:
    """Heads of a table of trials; cycles, time and energy where the board's are known."""
    pace, cycles = found.wish.pace, found.table.base.cycles
    known = {
        "cycles, estimated": cycles or None,
        "ms": pace.milliseconds(cycles),
        "µJ": pace.microjoules(cycles),
    }
    times = [name for name, value in known.items() if value is not None]
    return ("trial", "score %", "flash B", "RAM B", "instructions", *times, "costs")


def list_rows(found: Found, trials: Sequence[Trial]) -> list[list[str]]:
    """Cells of a table of trials under `list_heads`, and the bits of the layers."""
    rows = []
    for it in trials:
        costs = found.counted.get(it.number, it.costs)
        labels = [pair.label for pair in found.table.space.pairs(it.assignment).values()]
        rows.append(
            [
                str(it.number),
                f"{_PERCENT * it.score:.2f}",
                f"{costs.flash_bytes:,}",
                f"{costs.ram_bytes:,}",
                f"{costs.instructions:,}",
                *_list_times(found, costs),
                "counted" if costs.counted else "foreseen",
                " ".join(labels),
            ]
        )
    return rows


def _list_times(found: Found, costs: Costs) -> list[str]:
    if not costs.cycles:
        return []
    pace = found.wish.pace
    times = (pace.milliseconds(costs.cycles), pace.microjoules(costs.cycles))
    return [f"{costs.cycles:,}", *(f"{time:,.2f}" for time in times if time is not None)]
