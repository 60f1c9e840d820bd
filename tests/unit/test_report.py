"""Every figure of a report, field by field, against counts made by hand.

Two runs of two layers on a device whose clock, cycles, stack and answers are known: what
report.json, the printed tables and the page say of them is written down here. A field that is new
fails until it has its own expectation.
"""

from __future__ import annotations

import dataclasses
import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.random_graphs import draw_graph
from tinyq.api.measure import Measured
from tinyq.commands.output import print_parts
from tinyq.firmware.build import Image
from tinyq.graph import Graph, GraphBuilder, TensorType, reference
from tinyq.graph.epilogues import Raw, Requantize
from tinyq.graph.ops.dense import Dense
from tinyq.hardware.boards import find_board
from tinyq.measurement import run as measuring
from tinyq.measurement.arena import HEIGHT, WIDTH, draw_arena, place_labels
from tinyq.measurement.report import (
    Agreement,
    Origin,
    Report,
    describe_origin,
    list_confusions,
    render_html,
    write_report,
)
from tinyq.measurement.run import LayerMeasurement, Measurement, measure
from tinyq.memory.planner import plan
from tinyq.numerics.formats import find_format
from tinyq.project import LayerKernel, Project
from tinyq.support.datasets import Dataset, make_dataset
from tinyq.targets.counts import InstructionCounts, LayerCount
from tinyq.targets.wire import DeviceInfo

CODES = [[3, 3, 3, 3], [7, 3, 0, 3]]  # of the input, whose zero is code 3: six of eight are 0


def two_layers() -> Graph:
    """4 values -> 3 values -> 2 scores; the second's input has its zero at code 1."""
    builder = GraphBuilder.start("two", TensorType((4,), find_format("s8"), 0.5, 3))
    first = [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 1]]
    weights = builder.constant("first.weights", first, find_format("s8"))
    tables = [
        builder.constant(f"first.{key}", np.full(3, value), find_format("s32"))
        for key, value in (("bias", 0), ("multiplier", 2**30), ("shift", 30))
    ]
    stage = Requantize("s8", 0.5, 1, -128, 127)
    hidden = builder.apply("first", Dense(stage, 3), "input", weights, *tables)
    weights = builder.constant("last.weights", [[1, 0, 0], [0, 0, 1]], find_format("s4"))
    bias = builder.constant("last.bias", [0, 0], find_format("s32"))
    return builder.build(builder.apply("last", Dense(Raw(0.25), 1), hidden, weights, bias))


class Device:
    """Answers as the reference does, but for one code; counts are made up."""

    resets = 3

    def __init__(self, graph: Graph) -> None:
        self._graph = graph

    def hello(self) -> DeviceInfo:
        return DeviceInfo(
            *("two", b"", b"", 20_000_000, True, 0, 0, 4, 8, 3, 2, 0),
        )

    def infer(self, inputs: np.ndarray) -> np.ndarray:
        codes = self._graph.input.type.format.unpack(inputs, 4)
        outputs = reference.run(self._graph, codes)
        outputs[0, 1] += 1
        return self._graph.output.type.format.pack(outputs).reshape(len(inputs), -1)

    def profile(self, packed: np.ndarray) -> tuple[int, ...]:
        return (3000, 1000)

    def stack_used(self) -> int:
        return 456

    def instruction_counts(self) -> InstructionCounts:
        layers = (LayerCount(total=2400, min=1100, max=1300), LayerCount(240, 110, 130))
        return InstructionCounts(runs=2, layers=layers, functions={}, total=99_999)

    def close(self) -> None:
        pass


@pytest.fixture
def project(tmp_path: Path) -> Project:
    graph = two_layers()
    image = Image(
        *(tmp_path / "firmware.elf", replace(find_board("stm32"), name="made-up")),
        *(700, 44, 300, 1234, 5678, "a compiler", "f" * 64),
    )
    image = replace(image, board=replace(image.board, flash_bytes=10_000, ram_bytes=20_000))
    kernels = (
        LayerKernel("first", "dense_s8_s8_x-fast.c.j2", True, 5, None, False, 111, 22, 33),
        LayerKernel("first", "dense_s8_s8_x-slow.c.j2", False, 9, None, False, 999, 99, 99),
    )
    return Project(tmp_path, graph, plan(graph), image, "9" * 64, "balanced", ("x",), kernels, ())


@pytest.fixture
def result(project: Project, monkeypatch: pytest.MonkeyPatch) -> Measurement:
    return run(project, monkeypatch, [1, 0])


def run(project: Project, monkeypatch: pytest.MonkeyPatch, y: Any) -> Measurement:
    monkeypatch.setattr(measuring, "open_link", lambda *_, **__: Device(project.graph))
    data = make_dataset(np.array(CODES, np.int8), y, where="hand.npz")
    return measure(project, "qemu", data)


def layer(name: str, **fields: Any) -> dict[str, Any]:
    return {"name": name, "operation": "dense", **fields}


# Outputs: of the first sample (0, 0), of the second (4, -3); the device says (0, 1) for the first.
EXPECTED: dict[str, Any] = {
    "model": "two",
    "board": "made-up",
    "target": "qemu",
    "samples": 2,
    "accuracy": {"device": 1.0, "reference": 0.5},
    "confusion": ((1, 0), (0, 1)),
    "class_accuracy": (1.0, 1.0),
    "errors": None,
    "outputs": (),
    "mismatches": 1,
    "flash_bytes": 1234,
    "ram_bytes": 5678,
    "arena_bytes": 12,  # input, what is between, and output of at most four bytes
    "state_bytes": 0,
    "steps": None,
    "arena_proven": True,
    "stack_bytes": 456,
    "instructions": (2400 + 240) / 2,
    "cycles": 4000,
    "clock_hz": 20_000_000,
    "milliseconds": 0.2,
    "resets": 3,
    "layers": (
        layer(
            "first",
            formats="s8[4] x s8[3,4] -> s8[3]",
            macs=12,
            weight_bytes=12 + 3 * 3 * 4,
            kernel="dense_s8_s8_x-fast",
            flash_bytes=111,
            instructions=1200.0,
            instructions_min=1100,
            instructions_max=1300,
            cycles=3000,
            zero_weights=8 / 12,
            zero_inputs=6 / 8,
        ),
        layer(
            "last",
            formats="s8[3] x s4[2,3] -> s32[2]",
            macs=6,
            weight_bytes=2 * 2 + 2 * 4,
            kernel=None,
            flash_bytes=None,
            instructions=120.0,
            instructions_min=110,
            instructions_max=130,
            cycles=1000,
            zero_weights=4 / 6,
            zero_inputs=4 / 6,
        ),
    ),
    "graph_digest": "9" * 64,
    "firmware_digest": "f" * 64,
    "toolchain": "a compiler",
    "data": "hand.npz",
    "flash_limit_bytes": 10_000,
    "ram_limit_bytes": 20_000,
}
# Of this machine or this version, or a digest: compared by other means.
ELSEWHERE = {"tinyq_version", "machine", "data_digest", "notes", "document", "schema"}


def test_every_field_of_a_measurement(result: Measurement) -> None:
    plain = result.to_json()
    assert plain.keys() - ELSEWHERE == EXPECTED.keys()
    for name, value in EXPECTED.items():
        found = plain[name]
        assert (list(found) if name == "layers" else found) == (
            list(value) if name == "layers" else value
        ), name
    assert {field.name for field in dataclasses.fields(LayerMeasurement)} == set(
        EXPECTED["layers"][0]
    )
    assert "taken as codes" in result.notes[0]


def test_the_digest_of_the_data_is_that_of_its_codes(
    project: Project, result: Measurement, monkeypatch: pytest.MonkeyPatch
) -> None:
    again = run(project, monkeypatch, None)
    assert again.data_digest == result.data_digest
    monkeypatch.setattr("tests.unit.test_report.CODES", [[3, 3, 3, 3], [7, 3, 0, 4]])
    assert run(project, monkeypatch, None).data_digest != result.data_digest


@pytest.mark.parametrize(("cycles", "clock_hz"), [(None, 20_000_000), (4000, 0)])
def test_no_time_without_cycles_or_clock(
    cycles: int | None, clock_hz: int, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Device, "profile", lambda *_: cycles and (3000, 1000))
    hello = Device.hello
    monkeypatch.setattr(Device, "hello", lambda self: replace(hello(self), clock_hz=clock_hz))
    result = run(project, monkeypatch, None)
    assert result.milliseconds is None
    assert result.cycles == cycles


def test_errors_of_targets(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """The outputs are 0.25 times their codes; one of four targets is off by 0.25 in the answer."""
    result = run(project, monkeypatch, [[0.0, 0.0], [1.0, -0.75]])
    assert result.errors is not None
    device, expected = result.errors["device"], result.errors["reference"]
    assert (device.mae, device.rmse) == (0.0625, 0.125)
    assert device.snr_db == pytest.approx(10 * np.log10((1 + 0.75**2) / 0.25**2))
    assert (expected.mae, expected.rmse, expected.snr_db) == (0.0, 0.0, None)
    assert result.accuracy is None


def make_report(result: Measurement) -> Report:
    origin = Origin("2026-01-02T03:04:05+00:00", "tinyq measure two", {"python": "3.x"})
    accuracy = {"float": 0.875, "keras": 0.75, **(result.accuracy or {})}
    return Report("Two layers", accuracy, result, (Agreement("first", 6, 2, 1),), origin)


def test_every_field_of_report_json(project: Project, result: Measurement, tmp_path: Path) -> None:
    report = make_report(result)
    write_report(report, project.graph, project.plan, tmp_path / "report")
    written = json.loads((tmp_path / "report" / "report.json").read_text("utf-8"))
    expected = json.loads(json.dumps(EXPECTED)) | {
        "title": "Two layers",
        "accuracy": {"float": 0.875, "keras": 0.75, "device": 1.0, "reference": 0.5},
        "agreement": [{"name": "first", "elements": 6, "differing": 2, "largest": 1}],
        "origin": {
            "date": "2026-01-02T03:04:05+00:00",
            "command": "tinyq measure two",
            "versions": {"python": "3.x"},
        },
    }
    assert written.keys() - ELSEWHERE == expected.keys()
    for name, value in expected.items():
        assert written[name] == value, name


def rows_of(text: str) -> list[list[str]]:
    return [re.split(r"\s{2,}", line.strip()) for line in text.splitlines() if line.strip()]


def test_every_cell_of_the_printed_tables(
    result: Measurement, capsys: pytest.CaptureFixture[str]
) -> None:
    print_parts(Measured(make_report(result)).parts())
    rows = rows_of(capsys.readouterr().out)
    assert rows[0] == ["Two layers (qemu, 2 samples)"]
    note = rows.pop()
    assert note[0].startswith("note: x holds int8")
    assert rows[1:] == [
        ["what", "value"],
        ["accuracy, float model", "87.50%"],
        ["accuracy, quantized Keras model", "75.00%"],
        ["accuracy, host reference", "50.00%"],
        ["accuracy, device", "100.00%"],
        ["codes that differ, device and reference", "1"],
        ["codes that differ, Keras and reference", "2"],
        ["flash bytes", "1,234"],
        ["RAM bytes", "5,678"],
        ["activations", "12"],
        ["deepest stack seen", "456"],
        ["instructions per inference", "1,320"],
        ["cycles per inference", "4,000"],
        ["milliseconds per inference", "0.200"],
        ["resets of the device", "3"],
        ["layers"],
        [
            *("layer", "kernel", "formats and shapes", "MACs", "flash B"),
            *("instructions", "per MAC", "cycles"),
        ],
        [
            *("first", "dense_s8_s8_x-fast", "s8[4] x s8[3,4] -> s8[3]", "12", "111"),
            *("1,200", "100.00", "3,000"),
        ],
        ["last", "dense", "s8[3] x s4[2,3] -> s32[2]", "6", "-", "120", "20.00", "1,000"],
    ]


class Cells(HTMLParser):
    """Texts of the rows of all tables, and of the tiles."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.rows: list[list[str]] = []
        self.tiles: list[str] = []
        self.widths: list[str] = []
        self._inside = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")
            self._inside = "cell"
        if tag == "div" and (given.get("class") or "").startswith("tile "):
            self.tiles.append("")
            self._inside = "tile"
        if tag == "div" and given.get("class") == "tile":
            self.tiles.append("")
            self._inside = "tile"
        if tag == "i":
            self.widths.append(given.get("style") or "")
        if tag in ("h2", "p"):
            self._inside = ""

    def handle_data(self, data: str) -> None:
        if self._inside == "cell" and self.rows[-1]:
            self.rows[-1][-1] += data.strip() + (" " if data.strip() else "")
        if self._inside == "tile":
            self.tiles[-1] += data.strip() + (" " if data.strip() else "")


def test_every_cell_of_the_page(project: Project, result: Measurement) -> None:
    page = Cells(render_html(make_report(result), project.graph, project.plan))
    assert [tile.strip() for tile in page.tiles] == [
        "100.00 % accuracy on the device",
        "1 output codes that differ from the reference",
        "1,234 bytes of flash (ELF)",
        "5,678 bytes of RAM, stack reserve included (ELF)",
        "1,320 instructions per inference (counted)",
        "0.200 ms per inference, 4,000 cycles at 20 MHz (measured)",
    ]
    rows = [[cell.strip() for cell in row] for row in page.rows]
    for row in (
        ["float model in Keras", "87.50 %", ""],
        ["the device", "100.00 %", ""],
        ["integer reference on the host", "50.00 %", ""],
        ["label", "0", "1", "right"],
        ["0", "1", "", "100.0 %"],
        ["1", "", "1", "100.0 %"],
        ["flash", "1,234", "10,000", "12.3 %", ""],
        ["RAM", "5,678", "20,000", "28.4 %", ""],
        ["first", "6", "2", "1"],
        ["made", "2026-01-02T03:04:05+00:00"],
        ["by", "tinyq measure two"],
        ["clock of the device", "20 MHz"],
        ["deepest stack on the device", "456 bytes"],
        ["resets of the device", "3"],
        ["compiler", "a compiler"],
    ):
        assert row in rows, row
    layers = [row for row in rows if len(row) == 10]
    assert layers == [
        [
            *("layer", "kernel", "MACs", "weights B", "flash B", "zero weights", "zero inputs"),
            *("instructions", "per MAC", "cycles"),
        ],
        [
            *("first dense s8[4] x s8[3,4] -> s8[3]", "dense_ s8_ s8_ x-fast", "12", "48"),
            *("111", "67 %", "75 %", "1,200", "100.00", "3,000"),
        ],
        [
            *("last dense s8[3] x s4[2,3] -> s32[2]", "–", "6", "12", "–", "67 %", "67 %"),
            *("120", "20.00", "1,000"),
        ],
    ]
    assert page.widths == [
        *("width:87.5%", "width:75.0%", "width:50.0%", "width:100.0%"),
        *("width:12.3%", "width:28.4%"),
    ]


def test_columns_that_hold_nothing_are_left_out(project: Project, result: Measurement) -> None:
    bare = tuple(
        replace(
            layer, kernel=None, flash_bytes=None, instructions=None, cycles=None, zero_weights=None
        )
        for layer in result.layers
    )
    page = Cells(
        render_html(
            make_report(replace(result, layers=bare, cycles=None)), project.graph, project.plan
        )
    )
    heads = [[cell.strip() for cell in row] for row in page.rows if row and row[0] == "layer "]
    assert ["layer", "MACs", "weights B", "zero inputs"] in heads


def test_many_classes_show_the_most_frequent_confusions(
    project: Project, result: Measurement
) -> None:
    confusion = np.zeros((30, 30), int)
    confusion[4, 9], confusion[9, 4], confusion[5, 5], confusion[7, 1] = 3, 8, 99, 3
    many = replace(
        result,
        confusion=tuple(map(tuple, confusion.tolist())),
        class_accuracy=(None,) * 5 + (1.0,) + (0.0,) * 24,
    )
    assert list_confusions(many) == [(9, 4, 8), (4, 9, 3), (7, 1, 3)]
    rows = [
        [cell.strip() for cell in row]
        for row in Cells(render_html(make_report(many), project.graph, project.plan)).rows
    ]
    assert ["9", "4", "8"] in rows
    assert ["5", "100.0 %", ""] in rows


def test_the_origin_names_versions() -> None:
    origin = describe_origin("tinyq measure x")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00", origin.date)
    assert origin.versions["numpy"] == np.__version__
    assert origin.command == "tinyq measure x"


@pytest.mark.parametrize("start", range(0, 60, 20))
def test_labels_of_the_arena_never_touch(start: int) -> None:
    """Nor do they leave their block; the largest blocks have one."""
    for seed in range(start, start + 20):
        graph = draw_graph(np.random.default_rng(seed))
        scratch = {node.name: 64 for node in graph.nodes[::2]}
        blocks = draw_arena(graph, plan(graph, scratch=scratch))
        labels = place_labels(blocks)
        for index, label in enumerate(labels):
            assert not any(label.meets(other) for other in labels[:index])
            assert any(_holds(block, label) for block in blocks)
            assert len(label.text) <= label.width / 7.0 + 1e-9


def _holds(block: Any, label: Any) -> bool:
    left, right = WIDTH * block.left, WIDTH * (block.left + block.width)
    top = HEIGHT * (1 - block.bottom - block.height)
    bottom = HEIGHT * (1 - block.bottom)
    return (
        left <= label.x
        and label.x + label.width <= right + 1e-6
        and top <= label.y
        and label.y + label.height <= bottom + 1e-6
    )


def test_the_page_is_whole_without_labels_of_data(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    for y in (None, [[0.0, 0.0], [1.0, -0.75]]):
        result = run(project, monkeypatch, y)
        page = render_html(Report("<b>", {}, result), project.graph, project.plan)
        assert "&lt;b&gt;" in page
        assert "Classes" not in page
        assert ("signal to noise" in page) == (y is not None)


def test_names_of_any_kind_are_text(project: Project, result: Measurement) -> None:
    nasty = "<script>alert(1)</script>_" + "x" * 500 + "'\"&"
    layers = tuple(replace(layer, name=nasty, kernel=nasty) for layer in result.layers)
    data = replace(result, layers=layers, data=nasty, model=nasty, toolchain=nasty)
    page = render_html(replace(make_report(data), title=nasty), project.graph, project.plan)
    assert "<script" not in page


def test_a_data_set_keeps_its_parts() -> None:
    data = Dataset(np.zeros((3, 2)), np.arange(3), np.arange(3.0), "name").take(2)
    assert (len(data), data.name) == (2, "name")
    assert data.y is not None
    assert data.targets is not None
    assert len(data.y) == len(data.targets) == 2
