"""What cannot be quantized or imported is refused with the place and a remedy."""

from __future__ import annotations

import subprocess
import sys
import zipfile

import keras
import numpy as np
import pytest

import tinyq
from tests.small_models import L, functional, normed, scramble
from tinyq.errors import ModelError, TinyqError
from tinyq.training import QuantizedDense, calibrate
from tinyq.training.lowering.emission import identifier
from tinyq.training.lowering.network import import_keras, load_keras

SHAPE = (6, 6, 2)


def body(x):
    x = normed(x, L.Conv2D(4, 3, name="stem"))
    return L.Dense(3, name="head")(L.Flatten(name="flat")(x))


@pytest.fixture
def trained(rng):
    model = functional(SHAPE, body)
    scramble(model, rng)
    quantized = tinyq.quantize(model, {})
    calibrate(quantized, rng.normal(0, 1, (32, *SHAPE)))
    return quantized


class Dense(L.Dense):
    """Called like a layer of Keras, and computes something else."""

    def call(self, inputs):
        return super().call(inputs) ** 2


def swish(x):
    """Called like a function of Keras."""
    return x


def refuse(action, *words):
    with pytest.raises(TinyqError) as caught:
        action()
    text = str(caught.value)
    for word in words:
        assert word in text, text
    assert caught.value.remedy


def quantize(model_body, recipe=None, shape=SHAPE):
    return lambda: tinyq.quantize(functional(shape, model_body), recipe or {})


@pytest.mark.parametrize(
    ("layer", "words"),
    [
        (lambda: L.Masking(name="odd"), ["odd", "Masking", "one length"]),
        (lambda: L.Activation(lambda x: x * x, name="odd"), ["odd", "<lambda>", "relu"]),
        (lambda: L.Dense(2, activation=swish, name="odd"), ["odd_swish", "swish", "relu"]),
        (lambda: L.Lambda(lambda x: x, name="odd"), ["odd", "Lambda", "program"]),
        (lambda: L.AdditiveAttention(name="odd"), ["odd", "AdditiveAttention"]),
        (lambda: L.LayerNormalization(axis=1, name="odd"), ["odd", "axis=-1"]),
        (lambda: Dense(2, name="odd"), ["matmul", "not supported"]),
    ],
)
def test_unsupported_layers_are_named(layer, words):
    def apply(x):
        odd = layer()
        return odd([x, x]) if isinstance(odd, L.AdditiveAttention) else odd(x)

    refuse(quantize(apply, shape=(5, 4)), *words)


@pytest.mark.filterwarnings("ignore:.*model's input has method:tinyq.errors.TinyqWarning")
def test_unsupported_options_are_named():
    few = {"layers": {"odd": {"activations": "uint4"}}}
    refuse(quantize(lambda x: L.Conv2D(4, 3, groups=2, name="odd")(x), few, (6, 6, 4)), "groups")
    refuse(
        quantize(lambda x: L.Conv2DTranspose(2, 2, output_padding=1, strides=2, name="odd")(x)),
        "odd",
        "output_padding",
    )
    refuse(quantize(lambda x: L.Softmax(axis=(1, 2), name="odd")(x)), "odd", "one axis")
    refuse(quantize(lambda x: x / L.Conv2D(2, 1)(x)), "divides by a computed")
    refuse(quantize(lambda x: keras.ops.flip(x, axis=0)), "turns the batch round")


def test_a_sign_that_says_nothing_is_refused():
    def means(x):
        x = normed(x, L.Conv2D(4, 3, name="stem"))
        x = L.AveragePooling2D(2, name="mean")(x)
        x = L.Conv2D(4, 1, name="signs")(x)
        return L.Conv2D(2, 1, name="head")(x)

    refuse(quantize(means, {"layers": {"signs": "binary"}}), "mean", "never negative")
    refuse(quantize(means, {"layers": {"mean": {"activations": "binary"}}}), "mean of signs")


def test_another_backend_is_refused():
    code = "import sys, types; sys.modules['keras'] = keras = types.ModuleType('keras')\n"
    code += "keras.backend = types.SimpleNamespace(backend=lambda: 'jax')\nimport tinyq.training"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "tinyq.errors.BackendError" in done.stderr and "KERAS_BACKEND=tensorflow" in done.stderr


def test_regularizers_and_frozen_layers_are_kept():
    def regular(x):
        x = L.Conv2D(2, 1, kernel_regularizer=keras.regularizers.L2(0.1), name="conv")(x)
        return L.Conv2D(2, 1, trainable=False, name="frozen")(x)

    model = quantize(regular)()
    kernel = model.get_layer("conv").kernel.numpy()
    assert float(model.losses[0]) == pytest.approx(0.1 * (kernel**2).sum(), rel=1e-5)
    assert not model.get_layer("frozen").trainable_variables


def test_a_range_for_a_binary_input_is_refused():
    recipe = {"input": {"range": [0, 1]}, "first": "binary"}
    refuse(quantize(body, recipe), "input.range", "binary")


def test_layers_that_are_used_twice_train_apart():
    dense = L.Dense(6, name="twice")
    with pytest.warns(UserWarning, match="each use of twice"):
        model = quantize(lambda x: dense(dense(x)), shape=(6,))()
    first, second = model.get_layer("twice").kernel, model.get_layer("twice_2").kernel
    np.testing.assert_array_equal(first.numpy(), second.numpy())


def test_open_sizes_and_models_without_an_input_are_refused():
    refuse(quantize(lambda x: L.Conv2D(2, 1)(x), shape=(None, 6, 2)), "leaves a size open")
    refuse(lambda: tinyq.quantize(keras.Sequential([L.Dense(2)]), {}), "input shape")


def test_quantizing_twice_is_refused(trained):
    refuse(lambda: tinyq.quantize(trained, {}), "quantized already")


def test_a_quantized_layer_needs_a_quantized_input():
    inputs = keras.Input((4,))
    refuse(lambda: QuantizedDense(2, name="odd")(inputs), "odd", "not quantized")
    refuse(lambda: QuantizedDense(2, name="odd")(np.ones((1, 4), "float32")), "odd", "functional")


def test_half_precision_is_refused():
    refuse(lambda: QuantizedDense(2, name="odd", dtype="mixed_float16"), "odd", "float16")


def test_float_models_are_refused_with_advice():
    refuse(lambda: import_keras(functional(SHAPE, body)), "stem", "tinyq.quantize")
    refuse(lambda: import_keras(functional((4, 4), lambda x: L.LSTM(2, name="odd")(x))), "LSTM")


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_weights_that_are_not_finite_are_named(trained, value):
    kernel = trained.get_layer("stem").kernel
    values = kernel.numpy().copy()
    values[0, 0, 0, 0] = value
    kernel.assign(values)
    refuse(lambda: import_keras(trained), "stem", "kernel", "NaN or infinite")


def test_batch_norm_statistics_that_are_not_finite_are_named(rng):
    model = functional(SHAPE, body)
    model.get_layer("stem_norm").moving_mean.assign([np.nan, 0, 0, 0])
    refuse(lambda: tinyq.quantize(model, {}), "stem_norm", "moving_mean")


def test_an_untrained_model_is_refused():
    model = tinyq.quantize(functional(SHAPE, body), {})
    refuse(lambda: import_keras(model), "seen no data", "calibrate")


def test_files(trained, tmp_path):
    path = tmp_path / "good-model.v2.keras"
    trained.save(path)
    assert import_keras(path).name == "good_model_v2"
    refuse_file(tmp_path / "none.keras", "no such file")
    content = path.read_bytes()
    for length in (0, 10, len(content) // 2, len(content) - 1):
        (tmp_path / "cut.keras").write_bytes(content[:length])
        refuse_file(tmp_path / "cut.keras", "damaged or cut off")
    spoiled = bytearray(content)
    for position in range(len(content) // 3, len(content) // 3 + 40):
        spoiled[position] ^= 0xFF
    (tmp_path / "spoiled.keras").write_bytes(bytes(spoiled))
    refuse_file(tmp_path / "spoiled.keras", "damaged")


def test_archives_without_a_model(trained, tmp_path):
    trained.save(tmp_path / "good.keras")
    with zipfile.ZipFile(tmp_path / "good.keras") as good:
        members = {name: good.read(name) for name in good.namelist()}
    for missing in members:
        with zipfile.ZipFile(tmp_path / "odd.keras", "w") as archive:
            for name, content in members.items():
                if name != missing:
                    archive.writestr(name, content)
        if missing != "metadata.json":
            refuse_file(tmp_path / "odd.keras", "holds no")


def test_unknown_custom_layers(tmp_path):
    class Odd(keras.layers.Layer):
        def call(self, x):
            return x

    functional((4,), lambda x: Odd()(x)).save(tmp_path / "odd.keras")
    refuse_file(tmp_path / "odd.keras", "cannot load")


def refuse_file(path, words):
    with pytest.raises(ModelError) as caught:
        load_keras(path)
    assert words in str(caught.value) and path.name in str(caught.value)


@pytest.mark.parametrize(
    ("name", "expected"),
    [("conv2d_1", "conv2d_1"), ("a/b-c.d", "a_b_c_d"), ("_x__y_", "x_y"), ("3x3", "layer_3x3")],
)
def test_identifier(name, expected):
    assert identifier(name) == expected


def test_identifier_of_nothing():
    with pytest.raises(ModelError):
        identifier("---")
