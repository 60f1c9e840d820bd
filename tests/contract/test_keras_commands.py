"""What a user sees when a Keras model cannot be built: one message, nothing written."""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np
import pytest

import tinyq
from tinyq.commands.cli import main
from tinyq.training import calibrate

LAYERS = keras.layers


def build(capsys: pytest.CaptureFixture[str], path: Path) -> str:
    """Build a model that must be refused; returns the message."""
    folder = path.parent / "out"
    code = main(["build", str(path), "--board", "stm32", "-o", str(folder)])
    captured = capsys.readouterr()
    assert code == 2
    assert captured.out == ""
    assert captured.err.startswith("error: ")
    assert "Traceback" not in captured.err
    assert not folder.exists()
    return captured.err


@pytest.fixture(scope="module")
def model() -> keras.Model:
    inputs = keras.Input((6,), name="features")
    hidden = LAYERS.Dense(4, activation="relu", name="hidden")(inputs)
    network = keras.Model(inputs, LAYERS.Dense(2, name="scores")(hidden), name="small")
    quantized = tinyq.quantize(network, {})
    calibrate(quantized, np.random.default_rng(0).normal(size=(32, 6)))
    return quantized


def test_the_model_itself_is_built(
    capsys: pytest.CaptureFixture[str], model: keras.Model, tmp_path: Path
) -> None:
    model.save(tmp_path / "small.keras")
    folder = tmp_path / "out"
    words = ["build", str(tmp_path / "small.keras"), "--board", "host", "-o", str(folder)]
    assert main(words) == 0
    assert (folder / "model" / "small.c").is_file()
    assert capsys.readouterr().err == ""


def test_unsupported_layer(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    inputs = keras.Input((5, 3))
    output = LAYERS.GRU(4, name="memory")(inputs)
    keras.Model(inputs, output).save(tmp_path / "recurrent.keras")
    message = build(capsys, tmp_path / "recurrent.keras")
    assert "GRU" in message
    assert "memory" in message
    assert "remedy" in message


def test_float_model(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    inputs = keras.Input((5,))
    keras.Model(inputs, LAYERS.Dense(4, name="scores")(inputs)).save(tmp_path / "float.keras")
    message = build(capsys, tmp_path / "float.keras")
    assert "tinyq.quantize" in message


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_weights_that_are_no_numbers(
    capsys: pytest.CaptureFixture[str], model: keras.Model, tmp_path: Path, value: float
) -> None:
    damaged = keras.models.clone_model(model)
    damaged.set_weights(model.get_weights())
    kernel = damaged.get_layer("hidden").kernel
    kernel.assign(np.where(np.arange(24).reshape(6, 4) == 7, value, 0.5))
    damaged.save(tmp_path / "nan.keras")
    message = build(capsys, tmp_path / "nan.keras")
    assert "hidden" in message
    assert "NaN or infinite" in message


@pytest.mark.parametrize("share", [0.0, 0.3, 0.7, 0.99])
def test_truncated_file(
    capsys: pytest.CaptureFixture[str], model: keras.Model, tmp_path: Path, share: float
) -> None:
    path = tmp_path / "cut.keras"
    model.save(path)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    assert "damaged" in build(capsys, path)
