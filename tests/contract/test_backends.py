"""Keras that does not load, or runs elsewhere: every command that needs it says which setting."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import keras
import numpy as np
import pytest

import tinyq
from tests.small_models import L, functional
from tinyq.errors import BackendError
from tinyq.support.keras_backend import describe_failure, find_backend

PROGRAM = """
import contextlib, io, json, sys
import tinyq
from tinyq.commands.cli import main
folder, found = sys.argv[1], {}
COMMANDS = {
    "inspect": "inspect q.keras",
    "build": "build q.keras --board host -o out",
    "quantize": "quantize f.keras --data d.npz -o new.keras",
    "quantize h5": "quantize f.h5 --data d.npz -o new.keras",
    "export": "export q.keras --as c -o package",
    "diff": "diff q.keras@reference q.keras@c --data d.npz",
    "demo": "demo -o demo",
    "own": "--methods own.py methods own",
}
for name, words in COMMANDS.items():
    said, shown = io.StringIO(), io.StringIO()
    words = words.replace("q.keras", f"{folder}/q.keras").replace("f.", f"{folder}/f.")
    words = words.replace("d.npz", f"{folder}/d.npz").replace("-o ", f"-o {folder}/")
    words = words.replace("own.py", f"{folder}/own.py").split()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(shown):
        code = main([*words, "--json"])
    found[name] = [code, said.getvalue(), shown.getvalue()]
calls = {
    "load": lambda: tinyq.load(f"{folder}/q.keras"),
    "quantize": lambda: tinyq.quantize(f"{folder}/f.keras", data=f"{folder}/d.npz"),
    "settle": lambda: tinyq.settle(None, None),
    "register": lambda: tinyq.register_weights("own", None),
}
for name, call in calls.items():
    try:
        call()
        found["tinyq." + name] = None
    except tinyq.TinyqError as error:
        found["tinyq." + name] = error.to_json()
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("backends")
    model = functional((4,), lambda x: L.Dense(3, name="head")(x))
    model.save(place / "f.keras")
    model.save(place / "f.h5")
    np.savez(place / "d.npz", x=np.ones((8, 4), "float32"))
    tinyq.quantize(model, data=np.eye(4, dtype="float32"), output=place / "q.keras")
    (place / "own.py").write_text("from keras import ops\n")
    return place


@pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5:UserWarning")
@pytest.mark.parametrize(
    ("backend", "words"), [("nonsense", "'nonsense'"), ("openvino", "'openvino' is not installed")]
)
def test_every_command_names_the_setting(folder, backend, words):
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(folder)],
        capture_output=True,
        text=True,
        env={**os.environ, "KERAS_BACKEND": backend},
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert len(found) == 12
    for name, what in found.items():
        if name.startswith("tinyq."):
            error = what
        else:
            code, said, shown = what
            assert code == 2, (name, what)
            assert "Traceback" not in shown and "fault of tinyq" not in shown, (name, shown)
            error = json.loads(said)["error"]
        assert error["code"] == "backend", (name, error)
        assert words in error["message"], (name, error)
        assert error["where"] == "KERAS_BACKEND", (name, error)
        assert "KERAS_BACKEND=tensorflow" in error["remedy"]
    assert not list(folder.glob("new*")) and not (folder / "out").exists()


def test_what_keras_asks_of_who_imports_it_stays():
    """A program that does without Keras where it cannot be imported goes on to do so."""
    code = "import tinyq\ntry:\n    import keras\nexcept ImportError as error:\n    print(error)"
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        env={**os.environ, "KERAS_BACKEND": "nonsense"},
    )
    assert "nonsense" in done.stdout, done.stderr


def test_the_file_of_settings_is_named(tmp_path, monkeypatch):
    monkeypatch.delenv("KERAS_BACKEND", raising=False)
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    assert find_backend() == ("tensorflow", "KERAS_BACKEND")
    file = tmp_path / "keras.json"
    for text in ("{", "[]", "null", '{"backend"}'):
        file.write_text(text)
        assert find_backend() == ("tensorflow", "KERAS_BACKEND")
    file.write_text('{"backend": "jax"}')
    assert find_backend() == ("jax", str(file))
    said = describe_failure(ModuleNotFoundError("no jax", name="jax.numpy"))
    assert said.where == str(file) and "'jax' is not installed" in said.message
    monkeypatch.setenv("KERAS_BACKEND", "torch")
    assert find_backend() == ("torch", "KERAS_BACKEND")


def test_settings_beside_the_backend_are_named(tmp_path, monkeypatch):
    monkeypatch.delenv("KERAS_BACKEND", raising=False)
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    monkeypatch.setenv("KERAS_MAX_EPOCHS", "many")
    said = describe_failure(ValueError("invalid literal\nmore"))
    assert said.message == "Keras does not load: invalid literal"
    assert "KERAS_MAX_EPOCHS" in str(said.where) and "keras.json" in str(said.where)
    missing = describe_failure(ModuleNotFoundError("no", name="tensorflow.python"))
    assert missing.remedy == "pip install tensorflow"
    assert isinstance(missing, BackendError) and isinstance(missing, ImportError)


def test_the_tests_run_on_the_right_backend():
    assert keras.backend.backend() == "tensorflow"
