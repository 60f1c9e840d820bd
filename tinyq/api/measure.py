from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tinyq.api.arguments import PathLike, Progress, as_dataset, as_path, as_project
from tinyq.api.origin import describe_command
from tinyq.api.report_tables import compare_kernels as tabulate
from tinyq.api.report_tables import list_report_parts
from tinyq.errors import TinyqError
from tinyq.measurement.places import choose_target
from tinyq.measurement.report import Report, describe_origin, write_report
from tinyq.measurement.result import Measurement
from tinyq.measurement.run import measure as run
from tinyq.project import Project, create_project
from tinyq.support.datasets import Dataset
from tinyq.support.folders import check_writable
from tinyq.support.tables import Part, Shown


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Measured(Shown):
    """What firmware showed on a data set.

    Attributes:
        report: Everything that was measured, counted and compared.
        compared: The same with tinyq's own kernels; None where that was not asked for.
        page: The HTML file of the report; None where none was written.
    """

    report: Report
    compared: Measurement | None = None
    page: Path | None = None

    @property
    def measurement(self) -> Measurement:
        """The run on the target."""
        return self.report.measurement

    @property
    def accuracy(self) -> Mapping[str, float]:
        """Share of right answers by who answered (device, reference, …), 0 .. 1."""
        return self.report.accuracy

    @property
    def mismatches(self) -> int:
        """Output codes in which device and reference differ."""
        return self.measurement.mismatches

    @property
    def instructions(self) -> float | None:
        """Mean executed instructions per inference; None where not counted."""
        return self.measurement.instructions

    @property
    def flash_bytes(self) -> int:
        """Code and constants of the firmware."""
        return self.measurement.flash_bytes

    @property
    def ram_bytes(self) -> int:
        """Variables and stack reserve of the firmware."""
        return self.measurement.ram_bytes

    @property
    def ok(self) -> bool:
        """Whether device and reference gave the same codes."""
        return not (self.mismatches or (self.compared and self.compared.mismatches))

    def to_json(self) -> dict[str, Any]:
        """Plain data, as in report.json."""
        compared = {"compared": self.compared.to_json()} if self.compared else {}
        return {**self.report.to_json(), **compared}

    def parts(self) -> list[Part]:
        """The report, the comparison, and where it was written."""
        parts = list_report_parts(self.report)
        if self.compared:
            parts.append(tabulate(self.measurement, self.compared))
        if self.page is not None:
            parts.append(f"report: {self.page} and {self.page.with_suffix('.json').name}")
        return parts


def measure(
    folder: Any,
    data: Any,
    target: str | None = None,
    samples: int | None = None,
    report: PathLike | None = None,
    compare_kernels: bool = False,
    progress: Progress | None = None,
) -> Measured:
    """Stream a data set through the firmware: accuracy, agreement, instructions, memory.

    Args:
        folder: What `tinyq.build` has given, or its folder.
        data: Inputs and labels: an .npz file with x and y, a pair (x, y), or inputs alone.
        target: ``qemu``, ``simavr``, ``host`` or ``serial:PORT``; the board's emulator when None.
        samples: Use the first so many samples only.
        report: Folder for report.html and report.json.
        compare_kernels: Whether the same model is measured with tinyq's own kernels as well.
        progress: Called with the samples done and all samples.

    Raises:
        TinyqError: It is no build folder, the target cannot be opened, or the data do not fit.
    """
    if report is not None:
        check_writable(as_path(report))
    project = as_project(folder)
    target = choose_target(project.image.board, target)
    if compare_kernels:
        _check_comparable(target)
    place = None if report is None else as_path(report)
    if place is not None:
        check_writable(place)
    answers = as_dataset(data, samples)
    result = run(project, target, answers, progress)
    own = _measure_own(project, target, answers) if compare_kernels else None
    found = Report(
        f"{result.model} on {result.board}",
        result.accuracy or {},
        result,
        origin=describe_origin(describe_command()),
    )
    page = write_report(found, project.graph, project.plan, place) if place else None
    return Measured(found, own, page)


def _check_comparable(target: str) -> None:
    if target.startswith("serial"):
        raise TinyqError(
            "two back ends are compared where tinyq starts the firmware itself",
            where="--compare-kernels",
            remedy="use an emulator, or build, flash and measure each of the two",
        )


def _measure_own(project: Project, target: str, data: Dataset) -> Measurement:
    """Build the same model with tinyq's own kernels and measure it on the same data."""
    own = create_project(project.graph, project.image.board, project.folder / "own-kernels")
    return run(own, target, data)
