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
from tinyq.measurement.arena import draw_arena
from tinyq.measurement.inputs import encode_inputs
from tinyq.measurement.report import Agreement, Report, render_html, write_report
from tinyq.measurement.run import measure
from tinyq.measurement.scoring import Output, measure_errors, predict_classes
from tinyq.memory.planner import plan
from tinyq.numerics.formats import find_format
from tinyq.project import Project, create_project
from tinyq.support.datasets import Dataset, make_dataset

pytestmark = pytest.mark.requires("gcc")


def predict(graph, codes):
    return predict_classes(Output(graph, graph.output.name), codes)


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
    answers = predict(project.graph, reference.run(project.graph, codes))
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
    kept = (partial.stat().st_size - 52) // (4 + project.graph.output.type.packed_bytes + 4)
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


def test_saturating_inputs(project: Project) -> None:
    """The range of the input is -13.1 .. 12.4; zeros are background and count for nothing."""
    inside, zeros = np.linspace(-13, 12, 12), np.zeros(12)
    with pytest.raises(DataError, match=r"100% of the inputs .* -13.1 .. 12.4"):
        measure(project, "host", make_dataset(np.full((8, 12), 255.0)))
    with pytest.raises(DataError, match="100% of the inputs"):
        measure(project, "host", make_dataset(np.where(np.arange(96).reshape(8, 12) % 12, 0, 255)))
    mixed = np.stack([inside, *np.full((3, 12), 99.0), zeros])
    (note,) = measure(project, "host", make_dataset(mixed)).notes
    assert "range" in note
    for right in (np.stack([inside, zeros]), np.stack([inside * 1.04, inside])):
        assert measure(project, "host", make_dataset(right)).notes == ()
    assert measure(project, "host", make_dataset(np.zeros((3, 12)))).notes == (
        "all samples are equal",
    )


def test_integers_of_the_inputs_own_type_are_codes(project: Project) -> None:
    codes = np.random.default_rng(1).integers(-128, 128, (20, 12)).astype(np.int8)
    real = 0.1 * (codes.astype(np.float64) - 3)
    as_codes = encode_inputs(codes, project.graph.input.type)
    assert np.array_equal(as_codes.codes, codes)
    assert np.array_equal(encode_inputs(real, project.graph.input.type).codes, codes)
    (note,) = measure(project, "host", make_dataset(codes)).notes
    assert "x holds int8, so it was taken as codes" in note
    assert "0.1 * (code - 3)" in note
    for other in (np.int16, np.int32, np.int64, np.uint8, np.float32):  # real values
        values = np.arange(12).reshape(1, 12).astype(other)
        assert encode_inputs(values, project.graph.input.type).codes[0, :2].tolist() == [3, 13]


@pytest.mark.parametrize(("form", "dtype"), [("s8", np.int8), ("u8", np.uint8), ("s16", np.int16)])
def test_codes_by_format(form: str, dtype: type) -> None:
    target = TensorType((2,), find_format(form), 0.5, 1)
    assert encode_inputs(np.array([[7, 9]], dtype), target).codes.tolist() == [[7, 9]]
    assert encode_inputs(np.array([[7, 9]], np.int64), target).codes.tolist() == [[15, 19]]
    with pytest.raises(DataError, match="the model takes"):
        encode_inputs(np.array([[7, 9, 1]], dtype), target)


def test_small_formats_take_real_values() -> None:
    target = TensorType((2,), find_format("s4"), 0.5, 1)
    assert encode_inputs(np.array([[2, 1]], np.int8), target).codes.tolist() == [[5, 3]]


def test_labels_are_classes_of_the_model(project: Project) -> None:
    x = np.random.default_rng(1).normal(0, 4, (6, 12))
    with pytest.raises(DataError, match=r"label 5, and 1 of 6 in all.*the model has 5"):
        measure(project, "host", make_dataset(x, [0, 1, 2, 3, 4, 5]))
    with pytest.raises(DataError, match="label 6"):
        measure(project, "host", make_dataset(x, np.eye(7)[[6, 0, 0, 0, 0, 0]]))
    with pytest.raises(DataError, match="2 real numbers for each input, the model answers with 5"):
        measure(project, "host", make_dataset(x, np.full((6, 2), 0.25)))


def test_confusion_and_accuracy_of_each_class(project: Project, data: Dataset) -> None:
    codes = reference.quantize_input(data.x, project.graph.input.type)
    answers = predict(project.graph, reference.run(project.graph, codes))
    labels = np.where(np.arange(100) % 4 == 0, (answers + 1) % 4, answers)
    result = measure(project, "host", make_dataset(data.x, labels))
    expected = np.zeros((5, 5), int)
    for label, answer in zip(labels, answers, strict=True):
        expected[label, answer] += 1
    assert result.confusion is not None
    assert np.array_equal(result.confusion, expected)
    assert result.class_accuracy == tuple(
        expected[index, index] / expected[index].sum() if expected[index].sum() else None
        for index in range(5)
    )
    assert result.errors is None


def test_errors_of_real_outputs(project: Project, data: Dataset) -> None:
    codes = reference.quantize_input(data.x, project.graph.input.type)
    answers = 0.2 * (reference.run(project.graph, codes).astype(float) + 4)
    targets = answers + np.where(np.arange(5) == 0, 0.25, 0.0)
    result = measure(project, "host", make_dataset(data.x, targets))
    assert result.accuracy is result.confusion is result.class_accuracy is None
    assert result.errors is not None
    for found in (result.errors["device"], result.errors["reference"]):
        assert found.mae == pytest.approx(0.05, rel=1e-5)
        assert found.rmse == pytest.approx(0.25 / 5**0.5, rel=1e-5)
        snr = 10 * np.log10((targets**2).sum() / (100 * 0.25**2))
        assert found.snr_db == pytest.approx(snr, rel=1e-5)
    assert measure_errors([1.0, 2.0], np.array([1.0, 2.0])).snr_db is None


def test_classes_of_argmax_and_of_one_value() -> None:
    builder = GraphBuilder.start("m", TensorType((4,), find_format("s8"), 0.5, 1))
    graph = builder.build(builder.apply("index", Argmax(), "input"))
    codes = np.array([[1, 5, 2, 0], [9, 5, 2, 0]], np.int32)
    assert predict(graph, reference.run(graph, codes)).tolist() == [1, 0]
    single = GraphBuilder.start("m", TensorType((1,), find_format("s8"), 0.5, 1))
    weights = single.constant("w", [[1]], find_format("s8"))
    constants = [
        single.constant(name, [value], find_format("s32"))
        for name, value in (("bias", 0), ("multiplier", 2**30), ("shift", 30))
    ]
    stage = Requantize("s8", 0.5, 2, -128, 127)
    graph = single.build(single.apply("y", Dense(stage, 1), "input", weights, *constants))
    answers = predict(graph, reference.run(graph, np.array([[0], [2]], np.int32)))
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
    tensors = {block.name: block for block in blocks if block.kind == "tensor"}
    assert tensors.keys() == {"input", "first", "last"}
    tensor = tensors["first"]
    (scratch,) = (block for block in blocks if block.kind == "scratch")
    assert tensor.name == "first"
    assert (tensor.left, tensor.width, tensor.size_bytes) == (0.0, 1.0, 16)
    assert (scratch.left, scratch.size_bytes) == (2 / 3, 64)
