"""What builds, reports and searches on disk say of themselves, one entry for each firmware."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

from tinyq.errors import DataError, TinyqError
from tinyq.hardware.boards import Board, find_board
from tinyq.measurement.comparison.entries import Entry, Judge, mark_best
from tinyq.measurement.profile.energy import find_pace
from tinyq.project import MANIFEST, Project, open_project
from tinyq.support.documents import check_schema
from tinyq.support.limits import JSON_BYTES, read_file, reading

_T = TypeVar("_T")
REPORT, SEARCH = "report.json", "search.json"
_REMEDY = (
    "name folders that `tinyq build`, `tinyq measure --report`, `tinyq profile --report` or "
    "`tinyq search` has written"
)


@dataclass(frozen=True, slots=True)
class _Report:
    """Fields of report.json of `tinyq measure`."""

    model: str
    board: str
    target: str
    samples: int
    flash_bytes: int
    ram_bytes: int
    graph_digest: str
    firmware_digest: str
    data_digest: str
    accuracy: dict[str, float] | None = None
    data: str | None = None
    instructions: float | None = None
    cycles: int | None = None


@dataclass(frozen=True, slots=True)
class _Counted:
    instructions: int


@dataclass(frozen=True, slots=True)
class _Estimated:
    cycles: float | None = None
    board_cycles: float | None = None


@dataclass(frozen=True, slots=True)
class _Profile:
    """Fields of report.json of `tinyq profile`."""

    model: str
    board: str
    graph_digest: str
    firmware_digest: str
    counted: _Counted
    estimated: _Estimated


@dataclass(frozen=True, slots=True)
class _Costs:
    flash_bytes: int
    ram_bytes: int
    instructions: int
    cycles: int | None = None
    milliseconds: float | None = None
    microjoules: float | None = None


@dataclass(frozen=True, slots=True)
class _Trial:
    number: int
    score: float
    firmware: _Costs | None = None


@dataclass(frozen=True, slots=True)
class _Search:
    """Fields of search.json."""

    model: str
    board: str
    proxy: str
    front: list[int]
    trials: list[_Trial]
    best: int | None = None


@dataclass(slots=True)
class _Firmware:
    """What several folders say of one firmware."""

    name: str
    build: Project | None = None
    report: _Report | None = None
    profile: _Profile | None = None

    @property
    def digests(self) -> set[str]:
        """Of its image, as those who know it say."""
        image = [] if self.build is None else [self.build.image.firmware_digest]
        return {*image, *([] if self.report is None else [self.report.firmware_digest])}


Count = Callable[[Project], tuple[int, float | None] | None]
"""Instructions and cycles of a build's inference; None where nothing emulates its core."""

Judged = Callable[[Project], tuple[float, Judge] | None]
"""Accuracy of a build, and who found it; None where that is not asked."""


@dataclass(slots=True)
class _Found:
    firmware: dict[str, _Firmware] = field(default_factory=dict)
    searches: list[tuple[str, _Search]] = field(default_factory=list)
    profiles: list[tuple[str, _Profile]] = field(default_factory=list)


def read_places(
    places: Sequence[Path], count: Count, judge: Judged, progress: Callable[[int, int], None]
) -> list[Entry]:
    """Entries of folders: of builds, of reports, of searches, or of folders with some of these.

    What a build, a report of its measurement and a report of its profile say of the same firmware
    is one entry, named by the first of the folders. A search gives its front and its best trial, as
    far as they were built and counted.

    Args:
        places: Folders.
        count: Counts builds that no report has counts of.
        judge: Measures builds.
        progress: Called with the firmware looked at and all of them.

    Raises:
        TinyqError: A folder holds none of these, or something that is damaged.
    """
    found = _Found()
    for place, name in zip(places, name_places(places), strict=True):
        _gather(place, name, found)
    for name, profile in found.profiles:
        _attach(profile, name, found.firmware.values())
    entries: list[Entry] = []
    for done, firmware in enumerate(found.firmware.values()):
        progress(done, len(found.firmware))
        entries.append(_describe(firmware, count, judge))
    progress(len(found.firmware), len(found.firmware))
    for name, search in found.searches:
        entries += _list_trials(name, search)
    best = mark_best(entries)
    return [replace(it, best=stays) for it, stays in zip(entries, best, strict=True)]


def name_places(places: Sequence[Path]) -> list[str]:
    """Folders by as many of their last parts as tell them apart."""
    parts = [place.resolve().parts for place in places]
    longest = max((len(it) for it in parts), default=1)
    for length in range(1, longest + 1):
        names = ["/".join(it[-length:]) for it in parts]
        if len(set(names)) == len(set(parts)):
            return names
    return [str(place) for place in places]


def _gather(place: Path, name: str, found: _Found) -> None:
    """What a folder is; of one that is no build also what the folders in it are."""
    if not place.is_dir():
        raise TinyqError("there is no such folder", where=str(place), remedy=_REMEDY)
    held = _list_documents(place)
    for file in held:
        _READERS[file.name](file, name, found)
    if place / MANIFEST in held:
        return
    inner = [it for it in sorted(place.iterdir()) if it.is_dir() and _list_documents(it)]
    for below in inner:
        if not held or (below / MANIFEST).is_file():
            _gather(below, f"{name}/{below.name}", found)
    if not held and not inner:
        raise TinyqError("holds nothing to compare", where=str(place), remedy=_REMEDY)


def _list_documents(place: Path) -> list[Path]:
    return [place / name for name in _READERS if (place / name).is_file()]


def _read_build(file: Path, name: str, found: _Found) -> None:
    project = open_project(file.parent)
    key = project.image.firmware_digest
    found.firmware.setdefault(key, _Firmware(name)).build = project


def _read_report(file: Path, name: str, found: _Found) -> None:
    content = _read(file)
    if content.get("document") == "profile":
        found.profiles.append((name, _validate(_Profile, "profile", content, file)))
        return
    report = _validate(_Report, "measurement", content, file)
    known = found.firmware.setdefault(report.firmware_digest, _Firmware(name))
    if known.report is None:
        known.report = report
    elif known.report != report:  # the same firmware on other data, or elsewhere
        found.firmware[str(file)] = _Firmware(name, report=report)


def _attach(profile: _Profile, name: str, firmware: Iterable[_Firmware]) -> None:
    """Give a profile to what it is of; several of that graph, which differ in kernels, are counted.

    A board without an emulator is profiled by the firmware of another, whose digest is not its own.
    """
    of_graph = [it for it in firmware if _is_of(it, profile)]
    same = [it for it in of_graph if profile.firmware_digest in it.digests]
    if not of_graph:
        raise TinyqError(
            "a profile says nothing of flash and RAM",
            where=name,
            remedy="name the folder of its build as well",
        )
    for it in same or (of_graph if len(of_graph) == 1 else []):
        it.profile = profile


def _is_of(firmware: _Firmware, profile: _Profile) -> bool:
    build, report = firmware.build, firmware.report
    graph = build.graph_digest if build else report.graph_digest if report else None
    return graph == profile.graph_digest and _find_board(firmware).name == profile.board


def _read_search(file: Path, name: str, found: _Found) -> None:
    found.searches.append((name, _validate(_Search, "search", _read(file), file)))


_READERS: Mapping[str, Callable[[Path, str, _Found], None]] = {
    MANIFEST: _read_build,
    REPORT: _read_report,
    SEARCH: _read_search,
}


def _read(file: Path) -> dict[str, Any]:
    with reading(file, "report", DataError, _REMEDY):
        content = json.loads(read_file(file, JSON_BYTES))
        if not isinstance(content, dict):
            raise DataError("is no report", where=str(file), remedy=_REMEDY)
        return content


def _validate(kind: type[_T], document: str, content: dict[str, Any], file: Path) -> _T:
    from pydantic import TypeAdapter

    known = check_schema(content, document, file, _REMEDY)
    with reading(file, f"{document} file", DataError, _REMEDY):
        return TypeAdapter(kind).validate_json(json.dumps(known), strict=True)


def _describe(firmware: _Firmware, count: Count, judge: Judged) -> Entry:
    """The entry of a firmware; a build is counted and judged where no report does it."""
    build, report, profile = firmware.build, firmware.report, firmware.profile
    accuracy, who = (None, None) if report is None else _read_accuracy(report)
    if build is not None and (judged := judge(build)) is not None:
        accuracy, who = judged
    instructions = None if report is None else report.instructions
    cycles: float | None = None
    if profile is not None:
        cycles = profile.estimated.board_cycles or profile.estimated.cycles
        instructions = instructions or profile.counted.instructions
    elif build is not None and (counts := count(build)) is not None:
        instructions, cycles = counts[0], counts[1]
    board = _find_board(firmware)
    pace = find_pace(board)
    if build is not None:
        model, flash, ram = build.graph.name, build.image.flash_bytes, build.image.ram_bytes
    else:
        assert report is not None
        model, flash, ram = report.model, report.flash_bytes, report.ram_bytes
    return Entry(
        firmware.name,
        model,
        board.name,
        flash,
        ram,
        accuracy,
        who,
        instructions,
        cycles,
        pace.milliseconds(cycles or 0),
        pace.microjoules(cycles or 0),
        None if report is None else report.cycles,
    )


def _find_board(firmware: _Firmware) -> Board:
    if firmware.build is not None:
        return firmware.build.image.board
    assert firmware.report is not None
    return find_board(firmware.report.board)


def _read_accuracy(report: _Report) -> tuple[float | None, Judge | None]:
    accuracy = (report.accuracy or {}).get("device")
    if accuracy is None:
        return None, None
    data = report.data or f"data {report.data_digest[:8]}"
    return accuracy, Judge(report.target, f"{data}, {report.samples:,} samples")


def _list_trials(name: str, search: _Search) -> Iterator[Entry]:
    """Trials of the front and the best one, as far as their firmware was built."""
    wanted = {*search.front, search.best}
    for it in search.trials:
        costs = it.firmware
        if it.number not in wanted or costs is None:
            continue
        yield Entry(
            f"{name} #{it.number}",
            search.model,
            search.board,
            costs.flash_bytes,
            costs.ram_bytes,
            it.score,
            Judge(f"search by {search.proxy}", f"validation data of {name}"),
            costs.instructions,
            costs.cycles,
            costs.milliseconds,
            costs.microjoules,
        )
