"""A measurement as files: report.json for tools, report.html for people."""

from __future__ import annotations

import importlib.metadata
import platform
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tinyq.graph import Graph
from tinyq.measurement.arena import draw_arena, place_labels
from tinyq.measurement.result import LayerMeasurement, Measurement
from tinyq.memory.planner import MemoryPlan
from tinyq.support.documents import render_document
from tinyq.support.files import write_files
from tinyq.support.templates import fill_page

_MATRIX, _PAIRS = 20, 12  # classes of a matrix that is shown whole; pairs that are shown
_PACKAGES = ("numpy", "keras", "tensorflow")


@dataclass(frozen=True, slots=True)
class Agreement:
    """How far Keras inference and the reference agree in one layer.

    Attributes:
        name: Layer.
        elements: Output codes compared, over all samples.
        differing: Codes that differ.
        largest: Largest difference in codes.
    """

    name: str
    elements: int
    differing: int
    largest: int


@dataclass(frozen=True, slots=True)
class Origin:
    """How a report came about.

    Attributes:
        date: When, ISO 8601, UTC.
        command: The words of the command line; None where there was none.
        versions: Versions of Python and of the packages that have a part in the figures.
    """

    date: str
    command: str | None
    versions: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Report:
    """What a report is made of.

    Attributes:
        title: Headline.
        accuracy: Share of right answers by who answered (float, keras, reference, device), 0 .. 1.
        measurement: The run on the target.
        agreement: Keras against reference per layer; empty where there is no Keras model.
        origin: How the report came about; None where that was not said.
    """

    title: str
    accuracy: Mapping[str, float]
    measurement: Measurement
    agreement: Sequence[Agreement] = ()
    origin: Origin | None = None

    def to_json(self) -> dict[str, Any]:
        """Plain data; the figures that tools ask for first stand at the top level."""
        return {
            **self.measurement.to_json(),
            "title": self.title,
            "accuracy": dict(self.accuracy),
            "agreement": [asdict(row) for row in self.agreement],
            "origin": None if self.origin is None else asdict(self.origin),
        }


def write_report(report: Report, graph: Graph, plan: MemoryPlan, folder: Path) -> Path:
    """Write report.json and report.html into a folder; returns the path of the HTML file."""
    text = render_document("measurement", report.to_json())
    page = folder / "report.html"
    write_files({folder / "report.json": text, page: render_html(report, graph, plan)})
    return page


def describe_origin(command: str | None = None) -> Origin:
    """The origin of a report that is made now, by a command if it was one."""
    loaded = {name: importlib.metadata.version(name) for name in _PACKAGES if name in sys.modules}
    return Origin(
        datetime.now(UTC).isoformat(timespec="seconds"),
        command,
        {"python": platform.python_version(), **loaded},
    )


def render_html(report: Report, graph: Graph, plan: MemoryPlan) -> str:
    """The report as one page without external parts."""
    result = report.measurement
    arena = draw_arena(graph, plan)
    return fill_page(
        "report.html.j2",
        report=report,
        measurement=result,
        plan=plan,
        costliest=_costliest(result.layers),
        arena=arena,
        labels=place_labels(arena),
        memories=(
            ("flash", result.flash_bytes, result.flash_limit_bytes),
            ("RAM", result.ram_bytes, result.ram_limit_bytes),
        ),
        columns={
            name: any(getattr(layer, name) is not None for layer in result.layers)
            for name in ("kernel", "flash_bytes", "zero_weights", "instructions", "cycles")
        },
        confused=list_confusions(result),
        whole_matrix=len(result.confusion or ()) <= _MATRIX,
    )


def list_confusions(result: Measurement) -> list[tuple[int, int, int]]:
    """Label, answer and number of samples of the most frequent wrong answers of the device."""
    pairs = [
        (label, answer, count)
        for label, row in enumerate(result.confusion or ())
        for answer, count in enumerate(row)
        if label != answer and count
    ]
    return sorted(pairs, key=lambda pair: (-pair[2], pair[0], pair[1]))[:_PAIRS]


def _costliest(layers: Sequence[LayerMeasurement]) -> float:
    return max((layer.instructions or 0.0 for layer in layers), default=0.0) or 1.0
