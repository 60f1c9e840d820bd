"""A profile as files: report.json for tools, report.html for people."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from tinyq.errors import DataError
from tinyq.measurement.profile.result import LayerProfile, Profile
from tinyq.support.documents import read_document, render_document
from tinyq.support.files import write_files
from tinyq.support.plot.bars import draw_bars
from tinyq.support.templates import fill_page

if TYPE_CHECKING:
    from tinyq.project import Project

_KERNELS = 24


def write_page(found: Profile, measured: Mapping[str, int] | None, folder: Path) -> Path:
    """Write report.json and report.html into a folder; returns the path of the HTML file.

    Args:
        found: The profile.
        measured: Cycles of each layer by a board's counter, None where nothing was measured.
        folder: Made if it is missing.

    Raises:
        FileError: The folder cannot be written.
    """
    page = folder / "report.html"
    text = render_document("profile", found.to_json(measured))
    write_files({folder / "report.json": text, page: render_page(found, measured)})
    return page


def render_page(found: Profile, measured: Mapping[str, int] | None = None) -> str:
    """The profile as one page without external parts."""
    return fill_page(
        "profile.html.j2",
        found=found,
        measured=measured,
        kernels=found.kernels[:_KERNELS],
        plots=_draw_plots(found),
    )


def _draw_plots(found: Profile) -> list[str]:
    layers = found.layers
    plots = [
        draw_bars("instructions by class, counted", [(it.name, it.costs.classes) for it in layers]),
        draw_bars(
            "data loads, counted",
            [
                (it.name, {"flash": it.costs.flash_loads, "RAM": it.costs.ram_loads})
                for it in layers
            ],
        ),
    ]
    if found.core.cycles is not None:
        plots.append(draw_bars("cycles, estimated", [(it.name, _cycles(it)) for it in layers]))
    return plots


def _cycles(layer: LayerProfile) -> dict[str, int]:
    core = layer.costs.cycles or 0
    if layer.predicted_cycles is None:
        return {"core": core}
    return {"core": core, "waiting for flash": round(layer.predicted_cycles) - core}


def read_measured(path: Path, project: Project) -> dict[str, int]:
    """Return the cycles of each layer from a report of `tinyq measure`.

    Raises:
        DataError: It is no such report, is of another model, or holds no cycles.
    """
    remedy = "name the report.json that `tinyq measure DIR --report FOLDER` wrote for a board"
    content = read_document(path, "measurement", remedy)
    try:
        cycles = {str(layer["name"]): layer["cycles"] for layer in content["layers"]}
        digest = content["graph_digest"]
    except (KeyError, TypeError):
        raise DataError("is no report of a measurement", where=str(path), remedy=remedy) from None
    if digest != project.graph_digest:
        raise DataError("was measured with another model", where=str(path), remedy=remedy)
    if not all(isinstance(value, int) for value in cycles.values()):
        raise DataError("holds no measured cycles", where=str(path), remedy=remedy)
    return cycles
