"""A comparison as a page for people, and the plots that pages of entries share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tinyq.measurement.comparison.entries import Entry
from tinyq.support.plot.bars import draw_bars
from tinyq.support.plot.scatter import Point, draw_scatter
from tinyq.support.templates import fill_page

_PERCENT = 100.0
_TITLES = {
    "flash_bytes": "flash bytes",
    "ram_bytes": "RAM bytes",
    "instructions": "instructions",
    "cycles": "cycles, estimated",
}


def draw_page(entries: Sequence[Entry], notes: Sequence[str] = ()) -> str:
    """HTML of a comparison, one page without external parts."""
    return fill_page(
        "compare.html.j2",
        entries=entries,
        notes=notes,
        plots=draw_plots(entries),
        columns={
            name: any(getattr(it, name) is not None for it in entries)
            for name in (
                *("accuracy", "instructions", "cycles", "milliseconds", "microjoules"),
                "measured_cycles",
            )
        },
    )


def draw_plots(
    entries: Sequence[Entry],
    levels: Mapping[str, float] | None = None,
    best: str = "Pareto front",
    others: str = "others",
    measure: str = "accuracy",
) -> list[str]:
    """Accuracy over each figure; bars of the figures where no accuracy is known.

    Args:
        entries: What to draw.
        levels: Accuracies of horizontal lines by name, 0 .. 1.
        best: What entries with a mark are called.
        others: What those without are called.
        measure: What the accuracy is called.
    """
    plots = []
    for figure, title in _TITLES.items():
        known = [it for it in entries if getattr(it, figure)]
        judged = [it for it in known if it.accuracy is not None]
        if len(judged) > 1 or judged and levels:
            points = [
                Point(
                    it.name,
                    float(getattr(it, figure)),
                    _PERCENT * (it.accuracy or 0.0),
                    best if it.best else others,
                )
                for it in judged
            ]
            lines = {name: _PERCENT * level for name, level in (levels or {}).items()}
            plots.append(draw_scatter(f"{measure} in percent over {title}", points, lines))
        elif len(known) > 1:
            rows = [(it.name, {title: round(getattr(it, figure))}) for it in known]
            plots.append(draw_bars(title, rows))
    return plots
