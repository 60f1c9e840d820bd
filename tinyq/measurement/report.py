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
from tinyq.measurement.run import LayerMeasurement, Measurement
from tinyq.memory.planner import MemoryPlan
from tinyq.support.documents import render_document
from tinyq.support.files import write_files
from tinyq.support.templates import fill_page

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
    return fill_page(
        "report.html.j2",
        report=report,
        measurement=report.measurement,
        plan=plan,
        costliest=_costliest(report.measurement.layers),
        arena=draw_arena(graph, plan),
    )


def _costliest(layers: Sequence[LayerMeasurement]) -> float:
    return max((layer.instructions or 0.0 for layer in layers), default=0.0) or 1.0


@dataclass(frozen=True, slots=True)
class Block:
    """A tensor, or a kernel's scratch memory, in the drawing of the arena.

    Attributes:
        name: Tensor, or the node whose kernel needs the scratch memory.
        kind: ``tensor`` or ``scratch``.
        size_bytes: Bytes.
        left: First node at which it lives, as a share of all, 0 .. 1.
        width: Nodes over which it lives, as a share.
        bottom: First byte, as a share of the arena.
        height: Bytes, as a share of the arena.
    """

    name: str
    kind: str
    size_bytes: int
    left: float
    width: float
    bottom: float
    height: float


def draw_arena(graph: Graph, plan: MemoryPlan) -> tuple[Block, ...]:
    """Where each tensor and each kernel's scratch memory lies in the arena, and when.

    A view is its tensor's bytes, so it makes the tensor live longer and is not drawn itself.
    """
    steps, arena = max(len(graph.nodes), 1), max(plan.arena_bytes, 1)

    def block(name: str, kind: str, place: tuple[int, int], life: tuple[int, int]) -> Block:
        offset, size = place
        first, last = life
        width = (last - first + 1) / steps
        return Block(name, kind, size, first / steps, width, offset / arena, size / arena)

    tensors = [
        block(name, "tensor", (offset, plan.sizes[name]), (first, _last_use(name, plan)))
        for name, offset in plan.offsets.items()
        if name not in plan.views
        for first in plan.lifetimes[name][:1]
    ]
    index = {node.name: place for place, node in enumerate(graph.nodes)}
    scratch = [
        block(name, "scratch", place, (index[name], index[name]))
        for name, place in plan.scratch.items()
    ]
    return (*tensors, *scratch)


def _last_use(name: str, plan: MemoryPlan) -> int:
    """Last node that needs a tensor or a view of it."""
    views = (view for view in plan.views if plan.sharing.get(view) == name)
    return max([plan.lifetimes[name][1], *(_last_use(view, plan) for view in views)])
