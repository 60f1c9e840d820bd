"""Data and measurements of models with several inputs and outputs."""

from __future__ import annotations

import json

import numpy as np
import pytest

import tinyq
from tests.networks import pair_network
from tinyq.api.arguments import as_dataset
from tinyq.errors import DataError
from tinyq.graph.reference import run_named
from tinyq.graph.storage import save_graph
from tinyq.hardware.boards import find_board
from tinyq.measurement.inputs import encode_all
from tinyq.project import create_project
from tinyq.support.datasets import load_dataset, make_dataset

SAMPLES = 40


@pytest.fixture
def arrays(rng):
    graph = pair_network()
    x = {
        "x_image": rng.normal(0, 8, (SAMPLES, 12)).astype(np.float32),
        "x_mask:0": rng.uniform(0, 3, (SAMPLES, 7)),
    }
    inputs = {key[2:]: values for key, values in x.items()}
    codes = encode_all(make_dataset(inputs), graph).codes
    answers = run_named(graph, codes)
    return {
        **x,
        "y_scores": answers["scores"].argmax(axis=1),
        "y_boxes": answers["boxes"] * 0.01 + 0.5,
    }


def test_a_file_names_inputs_and_answers(arrays, tmp_path):
    np.savez(tmp_path / "data.npz", other=np.zeros(3), **arrays)
    data = load_dataset(tmp_path / "data.npz").take(7)
    assert (len(data), [*data.inputs], [*data.answers]) == (
        7,
        ["image", "mask:0"],
        ["scores", "boxes"],
    )
    assert data.answers["scores"].y.shape == (7,)
    assert data.answers["boxes"].targets.shape == (7, 2)
    with pytest.raises(DataError, match="hold x_image, x_mask:0, and one 'x' is needed"):
        _ = data.x
    with pytest.raises(DataError, match="hold y_scores, y_boxes, and one 'y' is needed"):
        _ = data.y


def test_python_names_them_too(arrays):
    x = {key[2:]: values for key, values in arrays.items() if key[0] == "x"}
    y = {key[2:]: values for key, values in arrays.items() if key[0] == "y"}
    for given in (arrays, (x, y), x):
        assert [*as_dataset(given).inputs] == ["image", "mask:0"]
    assert [*as_dataset(arrays).answers] == ["scores", "boxes"]
    assert [*as_dataset(x).answers] == []


def test_an_input_has_the_name_of_its_tensor_or_of_its_parameter(arrays):
    arrays["x_mask_0"] = arrays.pop("x_mask:0")
    codes = encode_all(as_dataset(arrays), pair_network()).codes
    assert [*codes] == ["image", "mask:0"]


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"x_mask:0": None}, r"input 'mask:0' is missing .*x_image, x_mask_0"),
        ({"x_third": np.zeros((SAMPLES, 3))}, r"`x_third` is of none of the model's: image, mask"),
        ({"x_mask_0": np.zeros((SAMPLES, 7))}, r"is there under two names"),
        ({"x_mask:0": np.zeros((SAMPLES, 8))}, r"input 'mask:0': inputs have shape \(8,\)"),
        ({"x_mask:0": np.zeros((SAMPLES - 1, 7))}, r"`x_mask:0` holds 39 samples, `x_image` 40"),
        ({"x": np.zeros((SAMPLES, 7))}, r"`x` stands beside named inputs"),
        ({"y": np.zeros(SAMPLES)}, r"`y` stands beside named answers"),
        ({"y_third": np.zeros(SAMPLES)}, r"`y_third` is of none of the model's: boxes, scores"),
        ({"y_scores": np.full(SAMPLES, 5)}, r"output 'scores': label 5"),
        ({"y_boxes": np.zeros((SAMPLES, 3)) + 0.5}, r"output 'boxes': `y` has 3 real numbers"),
    ],
)
def test_what_does_not_fit_is_said_by_name(arrays, change, text, tmp_path):
    project = create_project(pair_network(), find_board("host"), tmp_path / "out")
    kept = {key: values for key, values in {**arrays, **change}.items() if values is not None}
    with pytest.raises(DataError, match=text):
        tinyq.measure(project, kept, "host")


def test_one_array_does_not_say_which_input_it_is(tmp_path):
    project = create_project(pair_network(), find_board("host"), tmp_path / "out")
    with pytest.raises(DataError, match=r"`x` does not say which of image, mask:0 it is"):
        tinyq.measure(project, np.zeros((3, 12)), "host")


@pytest.mark.requires("gcc")
def test_each_output_is_measured_compared_and_reported(arrays, tmp_path):
    project = create_project(pair_network(), find_board("host"), tmp_path / "out")
    np.savez(tmp_path / "data.npz", **arrays)
    measured = tinyq.measure(project, tmp_path / "data.npz", "host", report=tmp_path / "report")
    result = measured.measurement
    assert (measured.ok, measured.mismatches, result.samples) == (True, 0, SAMPLES)
    boxes, scores, best = result.outputs
    assert [it.name for it in result.outputs] == ["boxes", "scores", "best"]
    assert scores.accuracy == {"device": 1.0, "reference": 1.0}
    assert sum(map(sum, scores.confusion)) == SAMPLES
    assert boxes.errors["device"].mae == pytest.approx(0.5, abs=1e-6)
    assert (best.accuracy, best.errors, best.mismatches) == (None, None, 0)
    assert (result.accuracy, result.errors) == (None, None)
    text = repr(measured)
    assert "scores: accuracy, device" in text
    assert "boxes: mean absolute error, device" in text
    written = json.loads((tmp_path / "report" / "report.json").read_text("utf-8"))
    assert [it["name"] for it in written["outputs"]] == ["boxes", "scores", "best"]
    page = (tmp_path / "report" / "report.html").read_text("utf-8")
    assert "<h2>Outputs</h2>" in page
    assert "100.00 %" in page


@pytest.mark.requires("gcc")
def test_a_wrong_code_is_counted_at_its_output(arrays, tmp_path, monkeypatch):
    from tinyq.targets.session import Session

    project = create_project(pair_network(), find_board("host"), tmp_path / "out")
    infer = Session.infer

    def wrong(self, inputs):
        answers = infer(self, inputs).copy()
        answers[0, 8] ^= 1  # behind the two words of the boxes
        return answers

    monkeypatch.setattr(Session, "infer", wrong)
    measured = tinyq.measure(project, arrays, "host")
    assert not measured.ok
    assert [it.mismatches for it in measured.measurement.outputs][0] == 0
    assert measured.measurement.outputs[1].mismatches >= 1


@pytest.mark.requires("gcc")
def test_diff_and_inspect_take_several(arrays, tmp_path):
    path = tmp_path / "pair.tqg"
    save_graph(pair_network(), path)
    found = tinyq.diff(f"{path}@reference", f"{path}@c", arrays)
    assert found.ok
    assert {*found.comparison.compared} >= {"boxes", "scores", "best"}
    shown = tinyq.inspect(path)
    assert "image s8[12], mask:0 u4[7] -> boxes s32[2], scores s8[5], best s32[1]" in repr(shown)
    assert [it["label"] for it in shown.to_json()["inputs"]] == ["image", "mask_0"]


@pytest.mark.requires("gcc")
def test_a_difference_of_one_output_is_found(arrays, tmp_path):
    from dataclasses import replace

    graph = pair_network()
    bias = graph.tensors["boxes_bias"]
    other = replace(bias, codes=bias.codes + 1)
    changed = replace(graph, tensors={**graph.tensors, "boxes_bias": other})
    for name, it in (("a", graph), ("b", changed)):
        save_graph(it, tmp_path / f"{name}.tqg")
    found = tinyq.diff(tmp_path / "a.tqg", f"{tmp_path / 'b.tqg'}@c", arrays)
    assert (found.ok, found.layer) == (False, "boxes")
