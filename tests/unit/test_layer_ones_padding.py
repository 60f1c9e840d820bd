from __future__ import annotations

import numpy as np
import pytest

import tinyq
from tests.small_models import L, functional, scramble
from tinyq.training import calibrate
from tinyq.training.layers.ones_padding import PaddedConv2D, PaddedDepthwiseConv2D
from tinyq.training.lowering.agreement import compare_layers
from tinyq.training.lowering.network import load_keras, lower_keras
from tinyq.training.rewriting import rewrite

LAYERS = {
    "conv": lambda: PaddedConv2D(4, 3, strides=2, padding="same", name="layer"),
    "depthwise": lambda: PaddedDepthwiseConv2D((3, 2), padding="same", name="layer"),
}


@pytest.mark.parametrize("kind", LAYERS)
def test_a_border_of_ones_is_a_layer_of_its_own(kind, rng, tmp_path):
    """The float function stays, and Keras and the graph have the same codes."""
    model = functional((7, 5, 3), lambda x: L.Dense(2, name="head")(L.Flatten()(LAYERS[kind]()(x))))
    scramble(model, rng)
    x = rng.normal(0, 1, (60, 7, 5, 3)).astype(np.float32)
    plain = rewrite(model).model
    wanted = model.predict(x, verbose=0)
    np.testing.assert_allclose(plain.predict(x, verbose=0), wanted, atol=1e-4)
    assert "OnesPadding2D" in {type(layer).__name__ for layer in plain.layers}
    quantized = tinyq.quantize(model, {"weights": "int8", "activations": "int8"})
    calibrate(quantized, x)
    quantized.save(tmp_path / "model.keras")
    loaded = load_keras(tmp_path / "model.keras")
    found = loaded.predict(x, verbose=0)
    assert np.abs(found - wanted).max() < 0.1 * np.abs(wanted).max()
    assert not [row for row in compare_layers(loaded, lower_keras(loaded), x) if row.differing]
