"""Files that Keras 2 wrote: read by tf_keras, built anew, equal to the model that was saved."""

from __future__ import annotations

import io
import json
import zipfile

import h5py
import keras
import numpy as np
import pytest

from tests.requirements import report_missing
from tinyq.commands.cli import main
from tinyq.errors import ModelError
from tinyq.importers.float_models import load_float_model
from tinyq.importers.tfmot import load_tfmot


@pytest.fixture(scope="module")
def old():
    """The package tf_keras, and tfmot."""
    try:
        return load_tfmot()
    except ModuleNotFoundError as error:
        return report_missing(f"tfmot ({error})")


def depthwise(k, x):
    x = k.layers.DepthwiseConv2D(3, padding="same", depth_multiplier=2, name="block/depthwise")(x)
    x = k.layers.BatchNormalization(name="block/norm")(x)
    return k.layers.ReLU(6.0)(x)


def transposed(k, x):
    return k.layers.Conv2DTranspose(3, 2, strides=2, activation="relu")(x)


def operators(k, x):
    import tensorflow as tf

    y = k.layers.Conv2D(4, 1)(x)
    y = tf.nn.relu(y * 0.5 + x)
    return tf.concat([y[:, 1:], tf.reshape(x, (-1, 8, 8, 4))[:, :7]], axis=-1)


def functions(k, x):
    """Functions of TensorFlow that published detectors and segmenters call between their layers."""
    import tensorflow as tf

    first, second = tf.split(k.layers.Conv2D(8, 1)(x), 2, axis=-1)
    mean = tf.reduce_mean(first, [1, 2], keepdims=True)
    blocks = tf.nn.depth_to_space(tf.nn.space_to_depth(second, 2), 2)
    y = tf.concat([tf.tile(mean, [1, 8, 8, 1]), blocks], -1)
    y = tf.stack(tf.unstack(y, axis=1), axis=1)
    y = tf.nn.gelu(tf.cast(y, tf.float32)) + tf.reduce_sum(first, -1, keepdims=True) * 0.1
    return tf.image.resize(tf.image.resize(y, (16, 16)), (5, 6), method="nearest")


def nested(k, x):
    inner = k.Sequential([k.layers.Conv2D(3, 3), k.layers.LeakyReLU(0.1)], name="inner")
    return inner(x)


BODIES = {body.__name__: body for body in (depthwise, transposed, operators, functions, nested)}


def build(tf_keras, body):
    tf_keras.utils.set_random_seed(1)
    inputs = tf_keras.Input((8, 8, 4), name="image")
    x = BODIES[body](tf_keras, inputs)
    x = tf_keras.layers.GlobalAveragePooling2D()(x)
    model = tf_keras.Model(inputs, tf_keras.layers.Dense(3)(x), name="old")
    rng = np.random.default_rng(0)
    model.set_weights([rng.normal(0.5, 0.2, w.shape) ** 2 for w in model.get_weights()])
    return model, rng.normal(size=(16, 8, 8, 4)).astype(np.float32)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("suffix", [".h5", ".keras"])
@pytest.mark.parametrize("body", BODIES)
def test_the_same_is_computed(old, body, suffix, tmp_path):
    model, x = build(old[0], body)
    path = tmp_path / f"model{suffix}"
    model.save(path)
    found = load_float_model(path)
    assert isinstance(found, keras.Model)
    np.testing.assert_allclose(found.predict(x, verbose=0), np.asarray(model(x)), atol=1e-4)


@pytest.mark.filterwarnings("ignore")
def test_a_file_of_windows_is_read(old, tmp_path):
    """Keras 2 named groups of weights by the system's paths."""
    model, x = build(old[0], "depthwise")
    model.save(tmp_path / "model.keras")
    buffer = io.BytesIO()
    with zipfile.ZipFile(tmp_path / "model.keras") as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    with (
        h5py.File(io.BytesIO(members["model.weights.h5"])) as weights,
        h5py.File(buffer, "w") as renamed,
    ):
        names = []
        weights.visit(names.append)
        for name in names:
            folder, found, rest = name.partition("/vars")
            if not found and name != "vars":
                continue  # a folder of folders: on Windows it had no group of its own
            place = folder.replace("/", "\\") + found + rest
            if isinstance(weights[name], h5py.Dataset):
                renamed[place] = weights[name][()]
            else:
                renamed.require_group(place)
    with zipfile.ZipFile(tmp_path / "windows.keras", "w") as archive:
        for name, content in {**members, "model.weights.h5": buffer.getvalue()}.items():
            archive.writestr(name, content)
    found = load_float_model(tmp_path / "windows.keras")
    np.testing.assert_allclose(found.predict(x, verbose=0), np.asarray(model(x)), atol=1e-4)


@pytest.mark.filterwarnings("ignore")
def test_a_pruning_wrapper_comes_off(old, tmp_path, capsys):
    model, x = build(old[0], "depthwise")
    pruned = old[1].sparsity.keras.prune_low_magnitude(
        old[0].Sequential([old[0].Input((8,)), old[0].layers.Dense(4), old[0].layers.Dense(2)])
    )
    pruned.save(tmp_path / "pruned.h5")
    found = load_float_model(tmp_path / "pruned.h5")
    assert [type(layer).__name__ for layer in found.layers] == ["InputLayer", "Dense", "Dense"]
    words = ["build", str(tmp_path / "pruned.h5"), "--board", "host", "-o", str(tmp_path / "out")]
    assert main(words) == 2
    assert "tinyq quantize" in capsys.readouterr().err


@pytest.mark.filterwarnings("ignore")
def test_programs_in_a_file_are_not_run(old, tmp_path):
    k = old[0]
    inputs = k.Input((4,))
    model = k.Model(inputs, k.layers.Lambda(lambda x: x * 2)(inputs))
    model.save(tmp_path / "lambda.h5")
    with pytest.raises(ModelError, match="Lambda"):
        load_float_model(tmp_path / "lambda.h5")
    config = {
        "module": "os",
        "class_name": "system",
        "config": {"command": f"touch {tmp_path}/ran"},
        "batch_input_shape": [None, 1],
    }
    with zipfile.ZipFile(tmp_path / "module.keras", "w") as archive:
        archive.writestr("config.json", json.dumps(config))
        archive.writestr("metadata.json", "{}")
        archive.writestr("model.weights.h5", b"")
    with pytest.raises(ModelError):
        load_float_model(tmp_path / "module.keras")
    assert not (tmp_path / "ran").exists()


@pytest.mark.filterwarnings("ignore")
def test_dense_with_batch_norm_of_tfmot_says_why(old, tmp_path, capsys):
    k, tfmot = old
    layers = [k.Input((8,)), k.layers.Dense(4), k.layers.BatchNormalization(), k.layers.ReLU()]
    model = tfmot.quantization.keras.quantize_model(k.Sequential(layers))
    model.save(tmp_path / "trained.h5")
    words = ["build", str(tmp_path / "trained.h5"), "--board", "host", "-o", str(tmp_path / "out")]
    assert main(words) == 2
    assert "BatchNormalization follows" in capsys.readouterr().err
