"""Measurement on the host target: comparison, accuracy, resuming, notes, report."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from tests.classifier import classifier
from tests.random_graphs import draw_graph
from tinyq.errors import DataError, LinkError
from tinyq.graph import GraphBuilder, TensorType, reference
from tinyq.graph.epilogues import Requantize
from tinyq.graph.ops.argmax import Argmax
from tinyq.graph.ops.dense import Dense
from tinyq.graph.ops.rescale import Rescale
from tinyq.graph.ops.reshape import Reshape
from tinyq.hardware.boards import find_board
from tinyq.measurement import run as measuring
from tinyq.measurement.report import Agreement, Report, draw_arena, render_html, write_report
from tinyq.measurement.run import measure, predict_classes
from tinyq.memory.planner import plan
from tinyq.numerics.formats import find_format
from tinyq.project import Project, create_project
from tinyq.support.datasets import Dataset, make_dataset

pytestmark = pytest.mark.requires("gcc")


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    folder = tmp_path_factory.mktemp("measure") / "build"
    return create_project(classifier(), find_board("host"), folder)


@pytest.fixture(scope="module")
def data() -> Dataset:
    rng = np.random.default_rng(3)
    return make_dataset(rng.normal(0, 4, (100, 12)), rng.integers(0, 5, 100))


def test_device_and_reference_agree(project: Project, data: Dataset) -> None:
    seen: list[tuple[int, int]] = []
    result = measure(project, "host", data, lambda done, total: seen.append((done, total)))
    assert result.samples == 100
    assert result.mismatches == 0
    assert result.accuracy is not None
    assert result.accuracy["device"] == result.accuracy["reference"]
    assert result.instructions is None
    assert [layer.name for layer in result.layers] == ["scores"]
    assert result.layers[0].macs == 60
    assert seen[-1] == (100, 100)
    assert not list(project.folder.glob("*.partial"))


def test_accuracy_is_that_of_the_answers(project: Project, data: Dataset) -> None:
    codes = reference.quantize_input(data.x, project.graph.input.type)
    answers = predict_classes(project.graph, reference.run(project.graph, codes))
    right = make_dataset(data.x, answers)
    wrong = make_dataset(data.x, (answers + 1) % 5)
    for labels, expected in ((right, 1.0), (wrong, 0.0)):
        result = measure(project, "host", labels)
        assert result.accuracy == {"device": expected, "reference": expected}
    assert measure(project, "host", make_dataset(data.x)).accuracy is None


def test_a_wrong_device_is_noticed(
    project: Project, data: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One flipped bit in one answer is exactly one mismatch."""
    original = measuring._stream

    def disturb(*arguments: object) -> np.ndarray:
        answers = original(*arguments).copy()  # type: ignore[arg-type]
        answers[17, 2] ^= 1
        return answers

    monkeypatch.setattr(measuring, "_stream", disturb)
    assert measure(project, "host", data).mismatches == 1


def test_an_interrupted_run_resumes(
    project: Project, data: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(done: int, total: int) -> None:
        if done >= total // 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        measure(project, "host", data, stop)
    (partial,) = project.folder.glob("*.partial")
    kept = partial.stat().st_size // project.graph.output.type.packed_bytes
    assert 50 <= kept < 100
    partial.write_bytes(partial.read_bytes() + b"\x01")  # a record that was cut off
    seen: list[int] = []
    result = measure(project, "host", data, lambda done, total: seen.append(done))
    assert seen[0] > kept
    assert seen[-1] == 100
    assert result.mismatches == 0


def test_data_must_fit(project: Project) -> None:
    with pytest.raises(DataError, match="the model takes"):
        measure(project, "host", make_dataset(np.zeros((4, 11))))
    with pytest.raises(DataError, match="NaN"):
        measure(project, "host", make_dataset(np.full((4, 12), np.nan)))
    with pytest.raises(DataError, match="dtype"):
        measure(project, "host", make_dataset(np.full((4, 12), "a")))


def test_unknown_target(project: Project, data: Dataset) -> None:
    with pytest.raises(LinkError, match="no target is called"):
        measure(project, "jtag", data)


def test_saturating_inputs_are_noted(project: Project) -> None:
    result = measure(project, "host", make_dataset(np.full((8, 12), 255.0)))
    assert "range" in result.notes[0]


def test_classes_of_argmax_and_of_one_value() -> None:
    builder = GraphBuilder.start("m", TensorType((4,), find_format("s8"), 0.5, 1))
    graph = builder.build(builder.apply("index", Argmax(), "input"))
    codes = np.array([[1, 5, 2, 0], [9, 5, 2, 0]], np.int32)
    assert predict_classes(graph, reference.run(graph, codes)).tolist() == [1, 0]
    single = GraphBuilder.start("m", TensorType((1,), find_format("s8"), 0.5, 1))
    weights = single.constant("w", [[1]], find_format("s8"))
    constants = [
        single.constant(name, [value], find_format("s32"))
        for name, value in (("bias", 0), ("multiplier", 2**30), ("shift", 30))
    ]
    stage = Requantize("s8", 0.5, 2, -128, 127)
    graph = single.build(single.apply("y", Dense(stage, 1), "input", weights, *constants))
    answers = predict_classes(graph, reference.run(graph, np.array([[0], [2]], np.int32)))
    assert answers.tolist() == [0, 1]


def test_report_files(project: Project, data: Dataset, tmp_path: Path) -> None:
    result = measure(project, "host", data)
    agreement = (Agreement("scores", 500, 0, 0),)
    accuracy = {"float": 0.5, **(result.accuracy or {})}
    report = Report("A <title>", accuracy, result, agreement)
    page = write_report(report, project.graph, project.plan, tmp_path / "out")
    text = page.read_text()
    assert "A &lt;title&gt;" in text
    assert "scores" in text
    assert "http" not in text.replace("http://www.w3.org", "")
    written = json.loads((tmp_path / "out" / "report.json").read_text())
    assert written["accuracy"]["float"] == 0.5
    assert written["mismatches"] == 0
    assert written["layers"][0]["name"] == "scores"


def test_report_of_a_random_graph(tmp_path: Path) -> None:
    """A graph with several live tensors draws one block for each tensor in the arena."""
    graph = draw_graph(np.random.default_rng(4))
    project = create_project(graph, find_board("host"), tmp_path / "build")
    inputs = np.zeros((2, *graph.input.type.shape))
    result = measure(project, "host", make_dataset(inputs))
    page = render_html(Report("random", {}, result), project.graph, project.plan)
    drawn = set(project.plan.offsets) - project.plan.views
    assert page.count('class="block tensor"') == len(drawn)


def test_arena_shows_views_as_life_of_their_tensor_and_scratch_memory() -> None:
    builder = GraphBuilder.start("m", TensorType((2, 8), find_format("s8"), 0.5))

    def constants(step: str, channels: int) -> list[str]:
        return [
            builder.constant(f"{step}.{key}", np.full(channels, value), find_format("s32"))
            for key, value in (("bias", 0), ("multiplier", 2**30), ("shift", 31))
        ]

    stage = Requantize("s8", 0.5, 0, -128, 127)
    first = builder.apply("first", Rescale(stage), "input", *constants("first", 8))
    view = builder.apply("view", Reshape((16,)), first)
    weights = builder.constant("weights", np.ones((3, 16)), find_format("s8"))
    last = builder.apply("last", Dense(stage), view, weights, *constants("last", 3))
    graph = builder.build(last)
    blocks = draw_arena(graph, plan(graph, scratch={"last": 64}))
    (tensor,) = (block for block in blocks if block.kind == "tensor")
    (scratch,) = (block for block in blocks if block.kind == "scratch")
    assert tensor.name == "first"
    assert (tensor.left, tensor.width, tensor.size_bytes) == (0.0, 1.0, 16)
    assert (scratch.left, scratch.size_bytes) == (2 / 3, 64)
