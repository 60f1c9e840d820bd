"""Plain ``compile`` and ``fit`` run the whole procedure of a method."""

from __future__ import annotations

import warnings

import keras
import numpy as np
import pytest

import tinyq
from tests.plain_fit import (
    BATCH,
    EPOCHS,
    codes_of,
    compile_model,
    list_scheduled,
    load_samples,
    quantized_network,
    train_by_hand,
)
from tinyq.commands.cli import main
from tinyq.errors import ModelError, TinyqWarning, UnfinishedWarning
from tinyq.training import MethodSchedule, advance
from tinyq.training.lowering.network import import_keras
from tinyq.training.model import QuantizedModel
from tinyq.training.schedule import find_unfinished

OPTIONS = {"batch_size": BATCH, "epochs": EPOCHS, "shuffle": False, "verbose": 0, "settle": False}
SAMPLE = [("weights", "inq2"), ("weights", "proxquant1"), ("activations", "ir_net")]


def assert_same(one: keras.Model, other: keras.Model) -> None:
    for left, right in zip(one.variables, other.variables, strict=True):
        np.testing.assert_array_equal(left.numpy(), right.numpy(), left.path)


@pytest.mark.parametrize(("role", "name"), SAMPLE)
def test_fit_is_the_procedure_written_out(role, name):
    plain, by_hand = quantized_network(role, name), quantized_network(role, name)
    plain.fit(*load_samples(), **OPTIONS)
    train_by_hand(by_hand)
    assert_same(plain, by_hand)
    assert find_unfinished(plain) == ()


def test_every_kind_of_procedure_is_found():
    names = {name for _, name in list_scheduled()}
    assert {"inq2", "proxquant2", "elq1", "binaryrelax1", "slq3", "carreira2017_4"} <= names
    assert {"qst4", "yang2020_ann_c4", "ir_net", "wq4"} <= names
    assert not {"int8", "lsq4", "ttq", "twn"} & names


def test_a_resumed_fit_goes_on_where_it_stopped():
    whole, resumed = quantized_network("weights", "inq2"), quantized_network("weights", "inq2")
    whole.fit(*load_samples(), **OPTIONS)
    resumed.fit(
        *load_samples(),
        **OPTIONS,
        callbacks=[keras.callbacks.LambdaCallback(on_epoch_end=_stop(resumed, after=2))],
    )
    assert find_unfinished(resumed) == ("middle",)
    resumed.fit(*load_samples(), **OPTIONS, initial_epoch=2)
    for left, right in zip(codes_of(whole), codes_of(resumed), strict=True):
        np.testing.assert_array_equal(left, right)


def _stop(model, after):
    def stop(epoch, logs):
        model.stop_training = epoch + 1 == after

    return stop


def test_a_saved_model_trains_its_procedure_too(tmp_path):
    first = quantized_network("weights", "elq1")
    first.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras", compile=False)
    compile_model(loaded)
    assert isinstance(loaded, QuantizedModel)
    for model in (first, loaded):
        model.fit(*load_samples(), **OPTIONS)
    assert_same(first, loaded)
    assert find_unfinished(loaded) == ()


@pytest.mark.parametrize("listed", [list, tuple, lambda items: items[0]])
def test_a_schedule_that_is_given_stays_the_only_one(listed):
    model = quantized_network("weights", "inq2")
    given = MethodSchedule(epochs=2 * EPOCHS)
    model.fit(*load_samples(), **OPTIONS, callbacks=listed([given]))
    assert find_unfinished(model) == ("middle",)


def test_an_import_says_which_method_is_unfinished():
    model = quantized_network("weights", "inq2")
    x, y = load_samples()
    model.train_on_batch(x, y)
    with pytest.warns(TinyqWarning, match=r"of middle has not come to its end"):
        import_keras(model)
    advance(model, 1.0)
    with warnings.catch_warnings():
        warnings.simplefilter("error", TinyqWarning)
        import_keras(model)


@pytest.mark.requires("gcc")
def test_what_goes_to_a_device_is_finished_or_accepted(tmp_path, capsys):
    model = quantized_network("weights", "inq2")
    x, y = load_samples()
    model.train_on_batch(x, y)
    model.save(tmp_path / "model.keras")
    calls = {
        "build": lambda given, **options: tinyq.build(given, "host", tmp_path / "out", **options),
        "export": lambda given, **options: tinyq.export(given, "c", tmp_path / "c", **options),
    }
    for call in calls.values():
        for given in (model, tmp_path / "model.keras"):
            with pytest.raises(ModelError, match="not come to its end") as caught:
                call(given)
            assert caught.value.where == "middle"
            assert "--unfinished" in str(caught.value.remedy)
    for words in ("build {} --board host -o {}/out", "export {} --as c -o {}/c"):
        command = words.format(tmp_path / "model.keras", tmp_path).split()
        assert main(command) == 2
        assert "middle" in capsys.readouterr().err
        assert {path.name for path in tmp_path.iterdir()} == {"model.keras"}
    with pytest.warns(UnfinishedWarning, match="of middle has not come to its end"):
        calls["export"](model, unfinished=True)
    with warnings.catch_warnings():
        warnings.simplefilter("default", TinyqWarning)
        assert main([*command, "--unfinished"]) == 0
    assert "warning: the method of middle" in capsys.readouterr().err
    advance(model, 1.0)
    assert calls["build"](model).folder.is_dir()


def test_the_command_line_says_it_in_a_line(tmp_path, capsys):
    model = quantized_network("weights", "inq2")
    x, y = load_samples()
    model.train_on_batch(x, y)
    model.save(tmp_path / "model.keras")
    with warnings.catch_warnings():
        warnings.simplefilter("default", TinyqWarning)
        assert main(["inspect", str(tmp_path / "model.keras")]) == 0
    told = capsys.readouterr().err.splitlines()
    (line,) = [line for line in told if line.startswith("warning: ")]
    assert "middle has not come to its end" in line
    with warnings.catch_warnings():
        warnings.simplefilter("error", TinyqWarning)
        with pytest.raises(TinyqWarning):
            import_keras(tmp_path / "model.keras")
