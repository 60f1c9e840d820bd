from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tinyq.api.arguments import PathLike, Progress, as_dataset, as_path, as_project
from tinyq.api.profile_tables import list_profile_parts
from tinyq.graph import Graph
from tinyq.measurement.inputs import encode_all
from tinyq.measurement.profile import Profile
from tinyq.measurement.profile import profile as run
from tinyq.measurement.profile.page import read_measured, write_page
from tinyq.numerics.formats import Codes
from tinyq.support.folders import check_writable
from tinyq.support.tables import Part, Shown


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Profiled(Shown):
    """Where an inference spends its instructions.

    Attributes:
        profile: Counts, exact, and cycles, estimated.
        measured: Cycles of each layer by a board's counter; None where nothing was measured.
        page: The HTML file; None where none was written.
    """

    profile: Profile
    measured: Mapping[str, int] | None = None
    page: Path | None = None

    @property
    def instructions(self) -> int:
        """Executed instructions of one inference, counted."""
        return self.profile.costs.instructions

    @property
    def cycles(self) -> int | None:
        """Cycles of one inference, estimated; None where no timings are known."""
        return self.profile.costs.cycles

    @property
    def milliseconds(self) -> float | None:
        """Time of an inference on the board, an estimate; None without cycles or a clock."""
        return self.profile.milliseconds

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return self.profile.to_json(self.measured)

    def parts(self) -> list[Part]:
        """Layers, classes, functions, loops, and what the estimates are worth."""
        parts = list_profile_parts(self.profile, self.measured)
        if self.page is not None:
            parts.append(f"report: {self.page} and {self.page.with_suffix('.json').name}")
        return parts


def profile(
    folder: Any,
    data: Any = None,
    core: str | None = None,
    loops: int = 1,
    measured: PathLike | None = None,
    report: PathLike | None = None,
    progress: Progress | None = None,
) -> Profiled:
    """Count where an inference spends its instructions on the emulated core, estimate cycles.

    Args:
        folder: What `tinyq.build` has given, or its folder.
        data: Inputs, of which the first sample is taken: an .npz file, an array, or a pair (x, y).
        core: Core whose timings are taken, such as cortex-m0plus; the board's when None.
        loops: Hot loops of each layer.
        measured: report.json of a measurement on the board, to stand beside.
        report: Folder for report.html and report.json.
        progress: Called with the steps done and their number.

    Raises:
        TinyqError: It is no build folder, or no emulated core stands for the board.
    """
    if report is not None:
        check_writable(as_path(report))
    project = as_project(folder)
    place = None if report is None else as_path(report)
    if place is not None:
        check_writable(place)
    cycles = None if measured is None else read_measured(as_path(measured), project)
    codes = None if data is None else _encode(data, project.graph)
    found = run(project, codes, core, loops, progress)
    page = None if place is None else write_page(found, cycles, place)
    return Profiled(found, cycles, page)


def _encode(data: Any, graph: Graph) -> Mapping[str, Codes]:
    return encode_all(as_dataset(data, 1), graph).codes
