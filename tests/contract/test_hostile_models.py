"""Model files are data: whatever code they name or bring along, no line of it runs."""

from __future__ import annotations

import base64
import io
import json
import marshal
import pickle
import types
import zipfile
from pathlib import Path

import h5py
import keras
import numpy as np
import pytest

from tinyq.commands.cli import main
from tinyq.errors import ModelError, TinyqError
from tinyq.importers.float_models import load_float_model
from tinyq.models import load_model
from tinyq.support.datasets import load_dataset
from tinyq.support.keras_config import check_saved_model

EVIL = "tinyq_evil_module"


class Trap:
    """Writes a file when it is unpickled."""

    def __init__(self, canary: str) -> None:
        self.canary = canary

    def __reduce__(self):
        return (open, (self.canary, "w"))


@pytest.fixture
def canary(tmp_path, monkeypatch):
    """A file that exists once any code of a model file has run."""
    path = tmp_path / "canary"
    write = f"open({str(path)!r}, 'w').close()"
    text = f"""{write}
class Layer:
    def __init__(self, *a, **k):
        {write}
    from_config = classmethod(lambda cls, config: cls())
def function(*a, **k):
    {write}
    return a[0]
"""
    (tmp_path / f"{EVIL}.py").write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    return path


def bytecode(canary: Path) -> str:
    namespace: dict[str, types.FunctionType] = {}
    source = f"def f(x, path={str(canary)!r}):\n    open(path, 'w').close()\n    return x\n"
    exec(source, namespace)
    return base64.b64encode(marshal.dumps(namespace["f"].__code__)).decode()


def test_the_trap_works(canary):
    code = marshal.loads(base64.b64decode(bytecode(canary)))
    types.FunctionType(code, globals())(1, str(canary))
    assert canary.exists()
    canary.unlink()
    pickle.loads(pickle.dumps(Trap(str(canary)))).close()
    assert canary.exists()


def dense(**changes) -> dict:
    config = {"name": "scores", "units": 3, "activation": "linear", "use_bias": True}
    return {"class_name": "Dense", "module": "keras.layers", "config": {**config, **changes}}


def named(name: str, module: str | None = EVIL, registered: str | None = None, /, **config) -> dict:
    return {
        "class_name": name,
        "module": module,
        "registered_name": registered,
        "config": {"name": "odd", **config},
    }


def function(name: str, module: str = EVIL) -> dict:
    return {
        "class_name": "function",
        "module": module,
        "config": name,
        "registered_name": name,
    }


def lambdas(canary: Path) -> dict[str, dict]:
    code = bytecode(canary)
    new = {"class_name": "__lambda__", "config": {"code": code, "defaults": None, "closure": None}}
    old = {"function": [code, [str(canary)], None], "function_type": "lambda"}
    by_name = {"function": "function", "function_type": "function", "module": EVIL}
    return {
        "lambda of Keras 3": named("Lambda", "keras.layers", function=new),
        "lambda of Keras 2": named("Lambda", "keras.layers", **old),
        "lambda without a module": named("Lambda", None, **old),
        "function of a module": named("Lambda", "keras.layers", **by_name),
        "shape by a function": named("Lambda", None, **old, output_shape_type="raw"),
        "lambda in a wrapper": named("TimeDistributed", "keras.layers", layer=named("Lambda")),
        "lambda as an argument": dense() | {"inbound_nodes": [{"args": [new], "kwargs": {}}]},
        "lambda as an activation": dense(activation=new),
        "lambda as an initializer": dense(kernel_initializer=new),
    }


def foreign() -> dict[str, dict]:
    return {
        "class": named("Layer"),
        "class of no module": named("Layer", None),
        "registered class": named("Layer", EVIL, "evil>Layer"),
        "Keras' name in another module": named("Dense", EVIL),
        "Keras' name registered by others": named("Dense", "keras.layers", "Custom>Dense"),
        "tinyq's name in another module": named("QuantizedDense", EVIL, "tinyq>QuantizedDense"),
        "tinyq's package and another class": named("Dense", "tinyq.training", "tinyq>Other"),
        "module that looks like Keras": named("Dense", "keras_evil.layers"),
        "module with odd letters": named("Dense", "keras.layers;os"),
        "activation": dense(activation=function("function")),
        "activation by a name": dense(activation="my_activation"),
        "builtin function": dense(activation=function("exec", "builtins")),
        "function of Keras that is none of a model": dense(
            activation=function("get_file", "keras.utils")
        ),
        "initializer": dense(kernel_initializer=named("Layer")),
        "initializer by a name": dense(kernel_initializer="my_initializer"),
        "regularizer": dense(kernel_regularizer=named("Layer")),
        "constraint": dense(kernel_constraint=function("function")),
        "policy": dense(dtype=named("Layer")),
        "quantizer": dense(quantizer=named("Layer")),
        "loss of a nested model": named("Functional", "keras", layers=[], compile_config={})
        | {"config": {"layers": [dense() | {"compile_config": {"loss": named("Layer")}}]}},
        "SavedModel as a layer": named("TFSMLayer", "keras.layers", filepath="/tmp/none"),
        "pickle as a layer": named("TorchModuleWrapper", "keras.layers", module="gASV"),
        "JAX": named("JaxLayer", "keras.layers", call_fn=function("function")),
        "file of words": named("TextVectorization", "keras.layers", vocabulary="/etc/passwd"),
        "TensorFlow's function": named("TFOpLambda", None, function="io.write_file"),
        "TensorFlow's function in a slice": named("SlicingOpLambda", None, function="io.read_file"),
        "TensorFlow's method": named("ClassMethod", None, cls_symbol="io.gfile.GFile"),
        "type": dense(spec={"class_name": "TypeSpec", "type_spec": EVIL, "serialized": []}),
        "kind of type": {"class_name": "__typespec__", "spec_name": "Layer", "module": EVIL},
        "attribute": named(
            "QuantizeWrapperV2",
            None,
            quantize_config={
                "class_name": "Default8BitQuantizeConfig",
                "config": {"weight_attrs": ["__class__"], "activation_attrs": []},
            },
            layer=dense(),
        ),
        "tfmot's wrapper": named("PruneLowMagnitude", None, layer=named("Layer")),
        "class that is no text": {"class_name": ["Dense"], "config": {}},
        "many units": dense(units=2**29),
    }


def model(layer: dict, nested: bool) -> dict:
    whole = {"class_name": "Sequential", "module": "keras"}
    layers = [
        {"class_name": "InputLayer", "config": {"name": "x", "batch_input_shape": [None, 4]}},
        layer,
    ]
    config = {**whole, "config": {"name": "whole", "layers": layers}}
    if not nested:
        return config
    return {**whole, "config": {"name": "outer", "layers": [config]}}


def write_h5(path: Path, config: dict) -> Path:
    with h5py.File(path, "w") as file:
        # The word that once sent a file to tf_keras.
        file.attrs["model_config"] = json.dumps(config | {"note": '"QuantizeWrapperV2'})
        file.create_group("model_weights")
    return path


def write_keras(path: Path, config: dict) -> Path:
    weights = io.BytesIO()
    with h5py.File(weights, "w") as file:
        file.create_group("layers")
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("config.json", json.dumps(config))
        archive.writestr("metadata.json", json.dumps({"keras_version": "3.0.0"}))
        archive.writestr("model.weights.h5", weights.getvalue())
    return path


def write_saved_model(path: Path, config: dict) -> Path:
    text = json.dumps(config).encode()
    node = b"\x2a" + varint(len(text)) + text
    path.mkdir()
    (path / "saved_model.pb").write_bytes(b"")
    (path / "keras_metadata.pb").write_bytes(b"\x0a" + varint(len(node)) + node)
    return path


def varint(value: int) -> bytes:
    found = b""
    while value > 0x7F:
        found += bytes([value & 0x7F | 0x80])
        value >>= 7
    return found + bytes([value])


WRITERS = {".h5": write_h5, ".keras": write_keras, "": write_saved_model}
LAMBDAS = tuple(lambdas(Path("canary")))


@pytest.mark.parametrize("nested", [False, True], ids=["plain", "nested"])
@pytest.mark.parametrize("suffix", WRITERS, ids=["h5", "keras", "saved model"])
@pytest.mark.parametrize("name", [*LAMBDAS, *foreign()])
def test_no_line_of_a_model_file_runs(name, suffix, nested, canary, tmp_path):
    layer = (lambdas(canary) | foreign())[name]
    path = WRITERS[suffix](tmp_path / f"model{suffix}", model(layer, nested))
    for load in (load_model, load_float_model):
        for trust in (False, True):
            with pytest.raises(ModelError) as caught:
                load(path, trust=trust)
            assert path.name in str(caught.value) and caught.value.remedy != ""
    assert not canary.exists()
    if suffix == "":
        with pytest.raises(ModelError, match="is a program"):
            check_saved_model(path, trust=False)
        with pytest.raises(ModelError, match=r"names|more than any"):
            check_saved_model(path, trust=True)
    else:
        assert "names" in str(caught.value) or "more than any" in str(caught.value)


@pytest.mark.parametrize("suffix", WRITERS, ids=["h5", "keras", "saved model"])
@pytest.mark.parametrize("command", ["inspect", "build", "diff", "export", "quantize"])
def test_every_command_refuses(command, suffix, canary, tmp_path, capsys):
    layer = lambdas(canary)["lambda of Keras 2"]
    path = WRITERS[suffix](tmp_path / f"model{suffix}", model(layer, False))
    np.savez(tmp_path / "data.npz", x=np.zeros((2, 4), np.float32))
    data = ["--data", str(tmp_path / "data.npz")]
    words = {
        "inspect": [str(path)],
        "build": [str(path), "--board", "host", "-o", str(tmp_path / "out")],
        "diff": [str(path), str(path), *data],
        "export": [str(path), "--as", "c", "-o", str(tmp_path / "out")],
        "quantize": [str(path), *data, "-o", str(tmp_path / "q.keras")],
    }[command]
    for more in ([], ["--trust"]):
        assert main([command, *words, *more]) == 2
        message = capsys.readouterr().err
        told = "is a program" if suffix == "" and not more else "'Lambda'"
        assert told in message and "remedy" in message
    assert not canary.exists()
    assert not (tmp_path / "out").exists() and not (tmp_path / "q.keras").exists()


def small() -> keras.Model:
    image = keras.Input((4,), name="x")
    return keras.Model(image, keras.layers.Dense(3, name="scores")(image))


@pytest.mark.parametrize("suffix", [".h5", ".keras"])
def test_losses_and_optimizers_of_others_are_left_aside(suffix, canary, tmp_path):
    """Models are loaded without what trained them, so that it may be anything."""
    path = tmp_path / f"model{suffix}"
    small().save(path)
    evil = {"loss": named("Layer"), "optimizer": named("Layer"), "metrics": [function("function")]}
    if suffix == ".h5":
        with h5py.File(path, "a") as file:
            file.attrs["training_config"] = json.dumps(evil)
    else:
        rewrite(path, lambda config: config | {"compile_config": evil})
    assert load_float_model(path).count_params() == 15
    assert not canary.exists()


def rewrite(path: Path, change) -> None:
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    members["config.json"] = json.dumps(change(json.loads(members["config.json"]))).encode()
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)


def test_a_subclass_that_was_registered_here_is_not_built(tmp_path):
    @keras.saving.register_keras_serializable("evil")
    class Dense(keras.layers.Dense):
        pass

    image = keras.Input((4,), name="x")
    keras.Model(image, Dense(3, name="scores")(image)).save(tmp_path / "model.keras")
    with pytest.raises(ModelError, match="names the module"):
        load_float_model(tmp_path / "model.keras")


def test_weights_as_pickles_are_not_read(canary, tmp_path):
    content = io.BytesIO()
    np.savez(content, x=np.array([Trap(str(canary))], object))
    (tmp_path / "data.npz").write_bytes(content.getvalue())
    with pytest.raises(TinyqError):
        load_dataset(tmp_path / "data.npz")
    path = write_keras(tmp_path / "model.keras", model(dense(), False))
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("model.weights.npz", content.getvalue())
    with pytest.raises(ModelError, match=r"model\.weights\.npz"):
        load_float_model(path)
    array = io.BytesIO()
    np.save(array, np.array([Trap(str(canary))], object))
    with zipfile.ZipFile(tmp_path / "graph.tqg", "w") as archive:
        archive.writestr("graph.json", json.dumps({"tinyq_graph": 1, "tensors": [], "nodes": []}))
        archive.writestr("0.npy", array.getvalue())
    with pytest.raises(ModelError):
        load_model(tmp_path / "graph.tqg")
    assert not canary.exists()


def test_weights_that_lie_in_other_files_are_not_read(tmp_path):
    small().save(tmp_path / "good.h5")
    (tmp_path / "secret").write_bytes(np.arange(12, dtype="f4").tobytes())

    def link(group):
        group["kernel"] = h5py.ExternalLink(str(tmp_path / "good.h5"), "model_weights")

    def soft(group):
        group["kernel"] = h5py.SoftLink("/elsewhere")

    def external(group):
        files = [(str(tmp_path / "secret"), 0, 48)]
        group.create_dataset("kernel", (4, 3), "f4", external=files)

    def virtual(group):
        layout = h5py.VirtualLayout((4, 3), "f4")
        layout[:] = h5py.VirtualSource(str(tmp_path / "good.h5"), "kernel", (4, 3))
        group.create_virtual_dataset("kernel", layout)

    for change in (link, soft, external, virtual):
        path = tmp_path / "model.h5"
        path.unlink(missing_ok=True)
        write_h5(path, model(dense(), False))
        with h5py.File(path, "a") as file:
            change(file["model_weights"])
        with pytest.raises(ModelError, match=r"link|another file"):
            load_float_model(path)


@pytest.mark.parametrize("suffix", [".h5", ".keras"])
def test_more_weights_than_the_file_holds_take_no_memory(suffix, tmp_path):
    layers = [dense(name=name, units=2**22) for name in ("a", "b")]
    config = model(layers[0], False)
    config["config"]["layers"].append(layers[1])
    path = WRITERS[suffix](tmp_path / f"model{suffix}", config)
    with pytest.raises(ModelError, match="more weights than the file holds"):
        load_float_model(path)


def test_archives_that_unpack_to_very_much(tmp_path):
    path = tmp_path / "bomb.keras"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("config.json", b" " * 2**26)
        archive.writestr("model.weights.h5", b"")
    with pytest.raises(ModelError, match="at most"):
        load_float_model(path)
    content = path.read_bytes()
    place = content.rindex(b"PK\x01\x02") + 24  # where the directory gives the unpacked size
    path.write_bytes(content[:place] + (2**31).to_bytes(4, "little") + content[place + 4 :])
    with pytest.raises(ModelError, match="at most"):
        load_float_model(path)


def test_deeply_nested_descriptions(tmp_path):
    path = tmp_path / "deep.h5"
    with h5py.File(path, "w") as file:
        file.attrs["model_config"] = '{"a":' * 20_000 + "1" + "}" * 20_000
    with pytest.raises(ModelError, match="damaged"):
        load_model(path)


def test_a_saved_model_without_layers_is_refused_with_consent(tmp_path):
    (tmp_path / "saved_model.pb").write_bytes(b"")
    with pytest.raises(ModelError, match="no Keras layers"):
        load_model(tmp_path, trust=True)
    (tmp_path / "keras_metadata.pb").write_bytes(b"\x0a\xff\xff\xff")
    with pytest.raises(ModelError, match="damaged"):
        load_model(tmp_path, trust=True)
