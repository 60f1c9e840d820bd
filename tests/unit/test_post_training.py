"""Quantization after training: ranges, weights, equalization, and what is left of the accuracy."""

from __future__ import annotations

import json
from dataclasses import replace

import keras
import numpy as np
import pytest

from tests.small_models import L, functional, normed, scramble
from tinyq.commands.cli import main
from tinyq.errors import DataError, TinyqError
from tinyq.graph.storage import digest
from tinyq.training import PostTraining, post_training
from tinyq.training.equalization import equalize
from tinyq.training.histograms import Histogram, choose_range, choose_weight_limits
from tinyq.training.lowering.network import import_keras
from tinyq.training.patterns import find_fused_layers
from tinyq.training.weighted import WeightedLayer

CALIBRATION = 128


@pytest.fixture(scope="module")
def digits():
    from tinyq.support.digits import load_digits

    return load_digits()


@pytest.fixture(scope="module")
def trained(digits):
    from tinyq.training.fitting import Schedule, fit, seed

    def body(x):
        x = normed(x, L.Conv2D(12, 3, padding="same", use_bias=False, name="conv1"))
        x = L.MaxPooling2D(name="pool")(x)
        x = normed(x, L.Conv2D(24, 3, padding="same", name="conv2"))
        return L.Dense(10, name="logits")(L.Flatten(name="flat")(x))

    seed(0)
    model = functional((8, 8, 1), body)
    fit(model, digits[0], Schedule(8), lambda done, total: None)
    return model


def accuracy(model, digits):
    from tinyq.training.fitting import score

    return 100 * score(model, digits[1])


@pytest.mark.parametrize(
    ("options", "points"),
    [
        (PostTraining(), 1.0),
        (PostTraining(ranges="percentile", equalization=True), 1.0),
        (PostTraining(bits=4), 3.0),
    ],
    ids=["int8", "equalized", "int4"],
)
def test_digits_keep_their_accuracy(options, points, trained, digits):
    before = [weights.copy() for weights in trained.get_weights()]
    quantized = post_training(trained, digits[0].x[:CALIBRATION], options)
    lost = accuracy(trained, digits) - accuracy(quantized, digits)
    assert lost <= points
    for old, new in zip(before, trained.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
    formats = {
        tensor.type.format.name
        for name, tensor in import_keras(quantized).tensors.items()
        if name.endswith("weights")
    }
    ends = set() if options.end_bits is None else {"s8"}
    assert formats == {{8: "s8", 4: "s4", 2: "t2"}[options.bits]} | ends


def test_bias_correction_matters_with_two_bits(trained, digits):
    x = digits[0].x[:CALIBRATION]
    options = PostTraining(bits=2, end_bits=8)
    corrected, plain = (
        accuracy(post_training(trained, x, replace(options, bias_correction=flag)), digits)
        for flag in (True, False)
    )
    assert corrected > plain + 1
    assert accuracy(trained, digits) - corrected < 6


def branched(x):
    x = normed(x, L.Conv2D(6, 3, padding="same", name="conv1"))
    x = normed(x, L.DepthwiseConv2D(3, padding="same", depth_multiplier=2, name="depth"))
    x = L.ZeroPadding2D(1, name="pad")(x)
    x = L.Conv2D(5, 3, activation="relu", name="conv2")(x)
    x = L.MaxPooling2D(2, name="pool")(x)
    x = L.Flatten(name="flat")(x)
    x = L.Dense(9, activation="relu", name="hidden")(x)
    return L.Dense(4, activation="softmax", name="head")(x)


def make(rng, body=branched):
    model = functional((8, 8, 3), body)
    scramble(model, rng)
    return model, rng.normal(0, 1, (40, 8, 8, 3)).astype(np.float32)


def test_equalization_keeps_the_float_function(rng):
    model, x = make(rng)
    wanted = model.predict(x, verbose=0)
    kernels = [layer.kernel.numpy() for layer in model.layers if hasattr(layer, "kernel")]
    assert equalize(find_fused_layers(model)) == 4
    np.testing.assert_allclose(model.predict(x, verbose=0), wanted, atol=1e-4)
    changed = [layer.kernel.numpy() for layer in model.layers if hasattr(layer, "kernel")]
    assert not np.allclose(kernels[1], changed[1])


def test_ranges_of_a_softmax_layer_are_those_of_its_logits(rng):
    model, x = make(rng)
    quantized = post_training(model, x, PostTraining(ranges="min_max", bias_correction=False))
    quantizer = quantized.get_layer("head").output_quantizer
    logits = (
        keras.Model(model.inputs[0], model.get_layer("hidden").output)(x)
        @ (model.get_layer("head").kernel)
        + model.get_layer("head").bias
    )
    assert float(quantizer.high.value) == pytest.approx(float(np.max(logits)), rel=1e-4)
    assert float(quantizer.low.value) == pytest.approx(float(np.min(logits)), rel=1e-4)
    predicted = quantized.predict(x, verbose=0)
    assert (predicted.argmax(1) == model.predict(x, verbose=0).argmax(1)).mean() > 0.8


def histogram_of(values):
    values = np.asarray(values, np.float32)
    found = Histogram()
    for start in range(0, len(values), 100_000):
        found.count(values[start : start + 100_000])
    assert found.counts.sum() == values.size
    assert found.edges[0] == min(values.min(), 0) and found.edges[-1] == max(values.max(), 0)
    return found


@pytest.mark.parametrize("scale", [1e-30, 1.0, 3e5])
def test_bins_do_not_depend_on_the_order_of_the_values(rng, scale):
    """Bins that grew hold what bins of the last width would have held from the beginning."""
    values = np.float32(scale) * rng.normal(0, 1, 5000).astype(np.float32) ** 5
    values[::7] = 0
    upwards = values[np.argsort(np.abs(values))]
    found = [Histogram() for _ in range(2)]
    for start in range(0, len(values), 100):
        found[0].count(upwards[start : start + 100])
        found[1].count(upwards[::-1][start : start + 100])
    np.testing.assert_array_equal(found[0].edges, found[1].edges)
    # A value next to a border may fall on its other side: sums of float32 are rounded.
    borders, near = found[1].edges[1:-1], 2.0 ** (found[1].power - 10)
    below = np.searchsorted(np.sort(values), [borders - near, borders + near])
    for each in found:
        reached = np.cumsum(each.counts)[:-1]
        assert (below[0] <= reached).all() and (reached <= below[1]).all()


def test_a_histogram_of_zeros_alone_has_no_width():
    found = histogram_of(np.zeros(9))
    assert choose_range(found, "mse", 0.0) == (0.0, 0.0)


def test_large_tensors_are_counted_in_part_and_their_ends_are_seen(rng):
    values = rng.normal(0, 1, (2, 300, 300, 2)).astype(np.float32)
    values[1, 0, 1, 0] = 50
    found = Histogram()
    found.count(values)
    assert 100_000 <= found.counts.sum() <= 2 * 65_536
    assert found.high == 50


def test_an_outlier_stretches_min_max_alone(rng):
    values = np.append(rng.normal(0, 1, 200_000), [10.0])
    histogram = histogram_of(values)
    assert choose_range(histogram, "min_max", 0.0)[1] == pytest.approx(10.0)
    assert choose_range(histogram, "percentile", 99.9)[1] < 5.0
    assert choose_range(histogram, "mse", 0.0)[1] < 9.0
    assert all(choose_range(histogram, method, 99.9)[0] <= 0 for method in ("percentile", "mse"))


def test_ranges_hold_zero_and_survive_a_constant():
    assert choose_range(histogram_of(np.full(50, 3.0)), "mse", 0.0)[0] == 0.0
    empty = Histogram()
    assert choose_range(empty, "percentile", 99.0) == (0.0, 0.0)


def test_weight_limits_lower_the_error(rng):
    kernel = rng.standard_t(3, (3, 3, 8, 5))
    limits = choose_weight_limits(kernel, (0, 1, 2), 7)

    def error(limit):
        step = limit / 7
        return ((kernel - np.clip(np.floor(kernel / step + 0.5), -7, 7) * step) ** 2).sum()

    largest = np.abs(kernel).max(axis=(0, 1, 2), keepdims=True)
    assert error(limits) < error(largest)
    assert np.all(limits <= largest)


@pytest.mark.parametrize(
    ("options", "word"),
    [
        (PostTraining(bits=9), "bits"),
        (PostTraining(end_bits=16), "end_bits"),
        (PostTraining(ranges="all"), "ranges"),  # type: ignore[arg-type]
        (PostTraining(percentile=10.0), "percentile"),
    ],
)
def test_wrong_options(options, word, rng):
    model, x = make(rng)
    with pytest.raises(TinyqError) as caught:
        post_training(model, x, options)
    assert caught.value.where == word


@pytest.mark.filterwarnings("ignore:Layer .* does not have a `quantize`")
def test_layers_that_keras_quantized_keep_their_codes(rng):
    model, x = make(rng)
    model.quantize("int8")
    wanted = keras.ops.convert_to_numpy(model.get_layer("hidden")._kernel)
    quantized = post_training(model, x)
    np.testing.assert_array_equal(quantized.get_layer("hidden").weight_codes(), wanted)
    expected = model.predict(x, verbose=0)
    assert (quantized.predict(x, verbose=0).argmax(1) == expected.argmax(1)).mean() > 0.8


def test_wrong_data(rng):
    model, x = make(rng)
    for data, message in (
        (x[:, :4], "shape"),
        (x[:0], "no sample"),
        (np.full_like(x, np.nan), "NaN"),
    ):
        with pytest.raises(DataError, match=message):
            post_training(model, data)


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
def test_command(suffix, rng, tmp_path, capsys):
    model, x = make(rng)
    model.save(tmp_path / f"float{suffix}")
    np.savez(tmp_path / "data.npz", x=x)
    names = (tmp_path / f"float{suffix}", tmp_path / "data.npz", tmp_path / "small.keras")
    words = ["quantize", str(names[0]), "--data", str(names[1]), "-o", str(names[2])]
    assert main([*words, "--bits", "4", "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["document"] == "quantization"
    assert facts["samples"] == len(x) and facts["weight_bytes"] > 0
    assert main(["inspect", str(names[2]), "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["graph_digest"] == facts["graph_digest"]
    left = sorted(path.name for path in tmp_path.iterdir())
    assert left == sorted(["data.npz", f"float{suffix}", "small.keras"])
    assert main(["quantize", *words[1:-1], str(tmp_path / "small.txt")]) == 2
    assert ".keras" in capsys.readouterr().err


def test_a_float_h5_model_is_not_built(rng, tmp_path, capsys):
    make(rng)[0].save(tmp_path / "float.h5")
    assert main(["inspect", str(tmp_path / "float.h5")]) == 2
    assert "tinyq quantize" in capsys.readouterr().err


def correct_plainly(quantized, model, x):
    """Bias correction from whole batches: each layer's sums in both models."""
    for layer in quantized.layers:
        if not isinstance(layer, WeightedLayer):
            continue
        float_layer = model.get_layer(layer.name)
        inputs = (
            keras.Model(model.inputs[0], float_layer.input)(x),
            keras.Model(quantized.inputs[0], layer.input)(x),
        )
        kernels = (
            layer.order_kernel(float_layer.kernel),
            layer.weight_quantizer.quantized(layer.kernel),
        )
        wanted, found = (
            np.asarray(layer.accumulate(values, kernel), np.float64)
            for values, kernel in zip(inputs, kernels, strict=True)
        )
        axes = tuple(range(wanted.ndim - 1))
        layer.bias.assign(layer.bias.numpy() + wanted.mean(axes) - found.mean(axes))


def test_layer_by_layer_gives_the_codes_of_whole_batches(rng):
    """What is streamed, and summed before it is multiplied, equals the formula written out."""
    model, x = make(rng, branched_without_norms)
    streamed = post_training(model, x, PostTraining(bits=4))
    plain = post_training(model, x, PostTraining(bits=4, bias_correction=False))
    correct_plainly(plain, model, x)
    first, second = import_keras(streamed, "model"), import_keras(plain, "model")
    assert digest(first) == digest(second)


def branched_without_norms(x):
    x = L.Conv2D(6, 3, padding="same", activation="relu", name="conv1")(x)
    y = L.DepthwiseConv2D(3, padding="same", strides=2, name="depth")(x)
    x = L.Add(name="sum")([L.MaxPooling2D(name="pool")(x), y])
    x = L.Conv2DTranspose(4, 3, strides=2, activation="relu", name="wider")(x)
    return L.Dense(4, name="head")(L.Flatten(name="flat")(x))
