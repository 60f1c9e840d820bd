"""Sensitivities by class means, trained steps, and gradients of outputs."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from tests.unit.test_search import dense_network
from tinyq.errors import TinyqError
from tinyq.exploration.sensitivities.fisher import measure_fisher, trace_outputs
from tinyq.exploration.sensitivities.imprint import imprint, measure_imprint, score_means
from tinyq.exploration.sensitivities.steps import measure_steps
from tinyq.exploration.space import Pair, Space
from tinyq.exploration.table import Deviation, Survey


def survey_of(network, *methods):
    """The survey of a space without prices: nothing is built."""
    pairs = tuple(Pair(name, "int8") for name in methods)
    space = Space(dict.fromkeys(network.layers(), pairs))
    base = Deviation(-1, 0, network.calibrate(space, space.base), None)
    others = tuple(
        Deviation(layer, pair, network.calibrate(space, assignment), None)
        for layer, pair, assignment in space.deviations()
    )
    return Survey(space, base, others, {})


def test_means_of_classes_tell_samples_apart(rng):
    labels = np.arange(90) % 3
    apart = np.eye(3)[labels] + rng.normal(0, 0.05, (90, 3))
    assert score_means(apart, labels) == 1.0
    assert score_means(rng.normal(0, 1, (90, 3)), labels) < 0.7


def test_a_layer_counts_by_what_it_adds():
    network = dense_network()
    found = survey_of(network, "int8", "int4", "int2")
    accuracies = imprint(network)
    assert len(accuracies) == 3 and all(0.0 <= value <= 1.0 for value in accuracies)
    losses = measure_imprint(network, found, 0)
    gains = np.maximum(np.diff(accuracies), 1e-3)
    assert (losses[:, 0] == 0).all() and (losses[:, 1] < losses[:, 2]).all()
    kernels = network.kernels()
    for layer, (name, kernel) in enumerate(kernels.items()):
        model = next(it.model for it in found.deviations if (it.layer, it.pair) == (layer, 2))
        own = keras.ops.convert_to_numpy(
            model.get_layer(name).weight_quantizer.quantized(model.get_layer(name).kernel)
        )
        share = np.square(own - kernel).sum() / np.square(kernel).sum()
        assert losses[layer, 2] == pytest.approx(gains[layer] * share, rel=1e-3)


def test_outputs_are_weighed_by_the_gradient_of_the_loss():
    network = dense_network()
    x, values, slopes = trace_outputs(network)
    logits = values["answer"].astype(np.float64)
    shares = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    wanted = shares - np.eye(3)[network.calibration.y]  # of the cross entropy by logits
    np.testing.assert_allclose(slopes["answer"], wanted, atol=1e-5)
    found = survey_of(network, "int8", "int2")
    losses = measure_fisher(network, found, 0)
    assert (losses[:, 0] == 0).all() and (losses[:, 1] > 0).all()
    it = next(it for it in found.deviations if it.layer == 1)
    outputs = [model.predict(x, verbose=0) for model in (it.model, found.base.model)]
    errors = [0.5 * np.sum(np.square(out - logits) * wanted**2) / len(x) for out in outputs]
    assert losses[1, 1] == pytest.approx(errors[0] - errors[1], rel=1e-3)


def test_steps_grow_as_bits_fall():
    network = dense_network()
    losses = measure_steps(network, survey_of(network, "int8", "lsq4", "lsq2"), 0)
    assert (losses[:, 0] == 0).all()
    assert (losses[:, 1] > 0).all() and (losses[:, 2] > losses[:, 1]).all()
    with pytest.raises(TinyqError, match="trains a step"):
        measure_steps(network, survey_of(network, "int8", "int4"), 0)
