"""The example of gestures: from raw samples of an accelerometer to the emulated board."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest

import tinyq
from tinyq.graph.reference import run, run_sequences
from tinyq.graph.streaming import stream
from tinyq.training.lowering.network import import_keras

EXAMPLE = Path(__file__).parents[2] / "examples/motion.py"


@pytest.fixture(scope="module")
def motion():
    spec = importlib.util.spec_from_file_location("motion_example", EXAMPLE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_motions_differ_in_what_they_are_drawn_as(motion):
    samples, kinds = motion.draw_motions(40, 3)
    assert samples.shape == (40, motion.WINDOW, motion.AXES)
    assert samples.dtype == np.int16
    spread = samples.astype(float).std(axis=1).max(axis=1)
    assert spread[kinds == 0].max() < spread[kinds != 0].min()


def test_steps_of_raw_samples_are_windows(motion):
    """Every step of a long signal from the first whole window on."""
    samples, kinds = motion.draw_motions(32, 1)
    model = motion.make_network()
    motion.train(model, samples, kinds, 1)
    quantized = tinyq.quantize(model, motion.FLOAT)
    motion.train(quantized, samples, kinds, 1)
    streamed = stream(import_keras(quantized), step=motion.HOP)
    signal = np.concatenate(samples).astype(np.int32)
    steps = signal.reshape(1, -1, motion.HOP, motion.AXES)
    (found,) = run_sequences(streamed.graph, {streamed.graph.inputs[0]: steps}).values()
    starts = range(0, len(signal) - motion.WINDOW + 1, motion.HOP)
    windows = np.stack([signal[at : at + motion.WINDOW] for at in starts])
    wanted = run(streamed.window, windows)
    np.testing.assert_array_equal(found[0, motion.STEPS - 1 :], wanted)
    assert len(np.unique(wanted)) > 20


@pytest.mark.requires("arm-none-eabi-gcc", "qemu-system-arm")
def test_from_samples_to_the_report_of_the_emulated_board(motion, tmp_path, capsys):
    motion.main(tmp_path, epochs=1, train_samples=64, samples=8)
    assert "accuracy of the windows in Keras" in capsys.readouterr().out
    report = json.loads((tmp_path / "report.json").read_text("utf-8"))
    assert (report["target"], report["mismatches"]) == ("qemu", 0)
    assert report["samples"] == 8 * motion.STEPS
