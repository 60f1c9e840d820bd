from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tinyq.api.arguments import PathLike, Progress, as_dataset, as_path, is_path
from tinyq.errors import BoardError, LinkError, TinyqError, ToolMissing
from tinyq.measurement.comparison import Entry, Judge, draw_page, read_places
from tinyq.measurement.places import choose_target
from tinyq.measurement.profile import profile
from tinyq.measurement.run import measure
from tinyq.project import Project
from tinyq.support.datasets import Dataset
from tinyq.support.documents import render_document, stamp
from tinyq.support.files import write_files
from tinyq.support.folders import check_writable
from tinyq.support.tables import Part, Shown, Table

_COLUMNS = {
    "accuracy": "accuracy %",
    "flash_bytes": "flash B",
    "ram_bytes": "RAM B",
    "instructions": "instructions",
    "cycles": "cycles, estimated",
    "milliseconds": "ms, estimated",
    "microjoules": "µJ, estimated",
    "measured_cycles": "cycles, measured",
}
_FRACTIONS = ("milliseconds", "microjoules")


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Compared(Shown):
    """Several builds, reports and searches side by side.

    Attributes:
        entries: One for each firmware, in the order of the folders.
        notes: What a reader should know.
        page: The HTML file; None where none was written.
    """

    entries: tuple[Entry, ...]
    notes: tuple[str, ...] = ()
    page: Path | None = None

    @property
    def best(self) -> tuple[Entry, ...]:
        """Entries that nothing comparable beats."""
        return tuple(it for it in self.entries if it.best)

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return stamp("compared", self._describe())

    def _describe(self) -> dict[str, Any]:
        return {"entries": [asdict(it) for it in self.entries], "notes": list(self.notes)}

    def parts(self) -> list[Part]:
        """One table, what was compared on which data, and notes."""
        columns = {
            name: head
            for name, head in _COLUMNS.items()
            if any(getattr(it, name) is not None for it in self.entries)
        }
        boards = list(dict.fromkeys(it.board for it in self.entries))
        heads = ["name", *(["board"] if len(boards) > 1 else []), *columns.values(), "best"]
        rows = [
            [
                it.name,
                *([it.board] if len(boards) > 1 else []),
                *(_show(name, getattr(it, name)) for name in columns),
                "●" if it.best else "",
            ]
            for it in self.entries
        ]
        title = f"{len(rows)} builds" + (f" for {boards[0]}" if len(boards) == 1 else "")
        parts: list[Part] = [Table(title, heads, rows, right=tuple(columns.values()))]
        parts += self._describe_judges()
        parts += self.notes
        if self.page is not None:
            parts.append(f"report: {self.page} and {self.page.with_suffix('.json').name}")
        return parts

    def _describe_judges(self) -> list[str]:
        judged: dict[Judge, list[str]] = {}
        for it in self.entries:
            if it.judge is not None:
                judged.setdefault(it.judge, []).append(it.name)
        everything = len(judged) == 1
        return [
            f"accuracy{'' if everything else ' of ' + ', '.join(names)}: {judge}"
            for judge, names in judged.items()
        ] + (["● nothing for the same board with accuracy on the same data is better in all"])


def compare(
    folders: Any,
    data: Any = None,
    samples: int | None = None,
    report: PathLike | None = None,
    progress: Progress | None = None,
) -> Compared:
    """Set several builds, reports and searches side by side, and mark what nothing beats.

    A build, the report of its measurement and the report of its profile are one row. A build that
    no report has counts of is run once in the emulator; with data it is measured too, on the
    board's emulator or, where there is none, on this machine.

    Args:
        folders: Folders that `tinyq.build`, `tinyq.measure` and `tinyq.profile` with a report, or
            `tinyq.search` have written, folders of such folders, or what these functions gave.
        data: Inputs and labels to measure builds with, as of `tinyq.measure`.
        samples: Use the first so many samples only.
        report: Folder for report.html and report.json.
        progress: Called with the builds looked at and all of them.

    Raises:
        TinyqError: A folder holds nothing to compare, or the data do not fit.
    """
    if report is not None:
        check_writable(as_path(report))
    places = [_as_folder(it) for it in _list(folders)]
    if not places:
        raise TinyqError("nothing is given to compare", remedy="name folders of builds")
    answers = None if data is None else as_dataset(data, samples)
    notes: dict[str, None] = {}
    entries = read_places(
        places,
        lambda project: _count(project, notes),
        lambda project: _judge(project, answers, data),
        progress or _ignore,
    )
    found = Compared(tuple(entries), tuple(notes))
    if report is None:
        return found
    page = as_path(report) / "report.html"
    text = render_document("compared", found._describe())
    write_files({page.with_suffix(".json"): text, page: draw_page(entries, found.notes)})
    return Compared(found.entries, found.notes, page)


def _count(project: Project, notes: dict[str, None]) -> tuple[int, float | None] | None:
    """Instructions and cycles in the emulator; a note where there is none."""
    try:
        counted = profile(project)
    except (BoardError, LinkError, ToolMissing) as error:
        notes[f"not counted for {project.image.board.name}: {error.message}"] = None
        return None
    if counted.prediction is not None:
        return counted.costs.instructions, counted.prediction.cycles
    return counted.costs.instructions, counted.costs.cycles


def _judge(project: Project, answers: Dataset | None, data: Any) -> tuple[float, Judge] | None:
    if answers is None:
        return None
    try:
        target = choose_target(project.image.board)
    except LinkError:
        target = "host"
    found = measure(project, target, answers)
    if not found.accuracy:
        return None
    said = str(data) if is_path(data) else f"data {found.data_digest[:8]}"
    return found.accuracy["device"], Judge(target, f"{said}, {found.samples:,} samples")


def _list(folders: Any) -> list[Any]:
    if is_path(folders) or not isinstance(folders, Iterable):
        return [folders]
    return list(folders)


def _as_folder(value: Any) -> Path:
    """The folder of a result, or a path."""
    place = getattr(value, "folder", None) or getattr(value, "page", None) or value
    if not is_path(place):
        raise TinyqError(
            f"a folder is a path, not {type(value).__name__}",
            remedy="give folders, or what tinyq.build, tinyq.measure or tinyq.search returned",
        )
    path = as_path(place)
    return path.parent if path.name == "report.html" else path


def _show(name: str, value: float | None) -> str:
    if value is None:
        return "-"
    if name == "accuracy":
        return f"{100 * value:.2f}"
    return f"{value:,.2f}" if name in _FRACTIONS else f"{value:,.0f}"


def _ignore(done: int, total: int) -> None:
    """Progress that nobody watches."""
