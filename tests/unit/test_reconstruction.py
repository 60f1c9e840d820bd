"""Weights rounded by the outputs that they give."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import ops

import tinyq
from tests.small_models import L, functional, normed
from tinyq.errors import TinyqError
from tinyq.training import PostTraining, Reconstruction, post_training
from tinyq.training.fitted_rounding import Rounding
from tinyq.training.lowering.network import import_keras
from tinyq.training.regions import Region, find_regions

SHAPE = (6, 6, 2)


def residual(x):
    x = normed(x, L.Conv2D(4, 3, padding="same", name="stem"))
    y = normed(x, L.Conv2D(4, 3, padding="same", name="one"))
    y = L.Conv2D(4, 3, padding="same", name="two")(y)
    x = L.Add(name="sum")([x, y])
    x = normed(x, L.DepthwiseConv2D(3, padding="same", name="deep"))
    x = normed(x, L.Conv2D(5, 1, name="wide"))
    return L.Dense(3, name="logits")(L.GlobalAveragePooling2D(name="mean")(x))


@pytest.fixture
def model():
    keras.utils.set_random_seed(0)
    return functional(SHAPE, residual)


@pytest.fixture
def x(rng):
    return rng.normal(size=(64, *SHAPE)).astype(np.float32)


def test_regions_are_layers_or_blocks(model):
    quantized = tinyq.quantize(model, {})
    layers = find_regions(quantized, "layer")
    assert [region.end for region in layers] == ["stem", "one", "two", "deep", "wide", "logits"]
    assert all(region.weighted == (region.end,) for region in layers)
    assert find_regions(quantized, "block") == (
        Region("image_codes", "stem", ("stem",)),
        Region("stem", "sum", ("one", "two")),
        Region("sum", "wide", ("deep", "wide")),
        Region("mean", "logits", ("logits",)),
    )


def test_all_weights_are_in_one_region(model):
    quantized = tinyq.quantize(model, {})
    for extent in ("layer", "block"):
        found = [name for region in find_regions(quantized, extent) for name in region.weighted]
        assert found == ["stem", "one", "two", "deep", "wide", "logits"]


@pytest.mark.parametrize("extent", ["layer", "block"])
def test_outputs_come_nearer(model, x, extent):
    errors = {}
    for name, how in (("nearest", None), ("fitted", Reconstruction(extent, steps=60, rate=0.05))):
        options = PostTraining(bits=3, bias_correction=False, reconstruction=how)
        quantized = post_training(model, x, options)
        outputs = quantized.predict(x, verbose=0)
        errors[name] = float(np.square(outputs - model.predict(x, verbose=0)).mean())
    assert errors["fitted"] < errors["nearest"]


def test_every_weight_has_one_of_its_two_codes(model, x):
    told = []
    plain = post_training(model, x, PostTraining(bits=4, bias_correction=False))
    options = PostTraining(
        bits=4, bias_correction=False, reconstruction=Reconstruction(steps=30, rate=0.1, drop=0.5)
    )
    fitted = post_training(model, x, options, lambda *news: told.append(news))
    moved = 0
    for name in ("stem", "one", "two", "deep", "wide", "logits"):
        first, second = (one.get_layer(name) for one in (plain, fitted))
        change = np.abs(first.weight_codes() - second.weight_codes())
        assert change.max() <= 1
        moved += int(change.sum())
        scales = [
            ops.convert_to_numpy(one.weight_quantizer.split(one.kernel)[1])
            for one in (first, second)
        ]
        np.testing.assert_allclose(*scales, rtol=1e-6)
        assert second.rounding is None and not second.drop and second.output_quantizer.observes
    assert moved
    assert [news[:2] for news in told] == [(1, 4), (2, 4), (3, 4), (4, 4)]
    import_keras(fitted)


def test_ranges_and_averages_stand_still(model, x):
    plain = post_training(model, x, PostTraining(bits=4, bias_correction=False))
    options = PostTraining(bits=4, bias_correction=False, reconstruction=Reconstruction(steps=5))
    fitted = post_training(model, x, options)
    for first, second in zip(plain.layers, fitted.layers, strict=True):
        for one, other in zip(first.weights, second.weights, strict=True):
            if one.path.endswith("kernel"):
                continue
            np.testing.assert_array_equal(ops.convert_to_numpy(one), ops.convert_to_numpy(other))


def test_two_bits_are_codes_of_one_step(model, x):
    options = PostTraining(bits=2, end_bits=8, reconstruction=Reconstruction("layer", steps=5))
    quantized = post_training(model, x, options)
    assert quantized.get_layer("one").weight_method == "int2"
    assert set(np.unique(quantized.get_layer("one").weight_codes())) <= {-1, 0, 1}


def test_a_rounding_starts_from_the_kernel(rng):
    position = rng.uniform(-7, 7, (3, 3, 2, 4)).astype(np.float32)
    position[0, 0, 0] = [7.0, -7.0, 6.9999, 0.5]
    scale = np.full((1, 1, 1, 4), 0.25, np.float32)
    rounding = Rounding(position, scale, (-7, 7))
    rounding.build()
    kernel = ops.convert_to_numpy(rounding.kernel())
    np.testing.assert_allclose(kernel, position * scale, atol=1e-3)
    np.testing.assert_array_equal(rounding.nearest(), np.clip(np.floor(position + 0.5), -7, 7))
    # The scale follows from the largest weights: these stay, whatever training does.
    rounding.place.assign(-10.0 * np.ones(position.shape))
    assert list(rounding.codes()[0, 0, 0]) == [7, -7, 7, 0]
    rounding.place.assign(10.0 * np.ones(position.shape))
    assert list(rounding.codes()[0, 0, 0]) == [7, -7, 7, 1]
    assert float(rounding.undecided(2.0)) == pytest.approx(0.0, abs=1e-5)


@pytest.mark.parametrize(
    "options", [{"extent": "net"}, {"steps": 0}, {"rate": 0.0}, {"drop": 1.0}, {"strength": -1.0}]
)
def test_wrong_options_are_refused(options):
    with pytest.raises(TinyqError) as caught:
        Reconstruction(**options)
    assert caught.value.where == next(iter(options))
