"""The example of several inputs and outputs: from Keras over an .npz file to the emulated board."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest

EXAMPLE = Path(__file__).parents[2] / "examples/detector.py"


@pytest.fixture(scope="module")
def detector():
    spec = importlib.util.spec_from_file_location("detector_example", EXAMPLE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_answers_are_what_was_drawn(detector):
    inputs, answers = detector.draw_samples(50, 3)
    assert {name: it.shape for name, it in inputs.items()} == {
        "image": (50, 16, 16, 1),
        "allowed": (50, 16, 16, 1),
    }
    places = np.argwhere(answers["heat"][..., 0])
    assert (places[:, 0] == np.arange(50)).all()
    rows, columns = (answers["box"][:, axis] * detector.SIZE for axis in (0, 1))
    sides = inputs["allowed"][np.arange(50), rows.astype(int), columns.astype(int) - 1, 0]
    assert (sides == 1).all()
    assert set(answers["shape"].tolist()) == {0, 1, 2}


@pytest.mark.requires("arm-none-eabi-gcc", "qemu-system-arm")
def test_from_keras_to_the_report_of_the_emulated_board(detector, tmp_path, capsys):
    detector.main(tmp_path, epochs=1, train_samples=96, samples=6)
    assert "shape: accuracy, device" in capsys.readouterr().out
    with np.load(tmp_path / "test.npz") as archive:
        assert sorted(archive.files) == ["x_allowed", "x_image", "y_box", "y_heat", "y_shape"]
    report = json.loads((tmp_path / "report.json").read_text("utf-8"))
    assert report["target"] == "qemu"
    assert report["mismatches"] == 0
    outputs = {it["name"]: it for it in report["outputs"]}
    assert sorted(outputs) == ["box", "heat", "shape"]
    assert outputs["shape"]["accuracy"]["device"] == outputs["shape"]["accuracy"]["reference"]
    assert outputs["box"]["errors"]["device"]["mae"] > 0
    assert "<h2>Outputs</h2>" in (tmp_path / "report.html").read_text("utf-8")
