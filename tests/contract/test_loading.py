"""`import tinyq` is enough for Keras to load what tinyq saved, in every order of the imports."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

import tinyq
from tests.small_models import L
from tinyq.training import calibrate
from tinyq.training.lowering.network import import_keras

ORDERS = {
    "keras first": "import keras, tinyq; load = keras.models.load_model",
    "tinyq first": "import tinyq; assert 'keras' not in sys.modules; import keras\n"
    "load = keras.saving.load_model",
    "a function of keras before": "from keras.saving import load_model as load; import tinyq",
    "tensorflow first": "import tensorflow as tf, tinyq; load = tf.keras.models.load_model",
    "tinyq before tensorflow": "import tinyq, tensorflow as tf; load = tf.keras.models.load_model",
    "only asked for": "import importlib.util, tinyq; importlib.util.find_spec('keras')\n"
    "import keras; load = keras.models.load_model",
    "cleared": "import keras, tinyq.training; keras.saving.get_custom_objects().clear()\n"
    "load = keras.models.load_model",
}
ALL = "TINYQ_SITUATIONS"
SAMPLE = ("a function of keras before", "tinyq before tensorflow", "cleared")
CHOSEN = tuple(ORDERS) if os.environ.get(ALL) else SAMPLE
CODE = """
import sys
{order}
model = load({path!r}, custom_objects={{}})
import keras
again = keras.models.clone_model(model)
again.load_weights({weights!r})
import numpy as np
x = np.load({inputs!r})
np.testing.assert_array_equal(model.predict(x, verbose=0), again.predict(x, verbose=0))
print("loaded", type(model.layers[1]).__name__)
"""


@pytest.fixture(scope="module")
def saved(tmp_path_factory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("saved")
    inputs = keras.Input((6,))
    hidden = L.Dense(4, activation="sigmoid")(inputs)
    model = tinyq.quantize(keras.Model(inputs, L.Dense(2)(hidden)), {})
    x = np.random.default_rng(0).normal(size=(32, 6)).astype(np.float32)
    calibrate(model, x)
    model.compile("adam", "mse")
    model.fit(x, np.zeros((32, 2)), verbose=0)
    model.save(folder / "model.keras")
    model.save_weights(folder / "model.weights.h5")
    np.save(folder / "x.npy", x)
    return {
        "path": str(folder / "model.keras"),
        "weights": str(folder / "model.weights.h5"),
        "inputs": str(folder / "x.npy"),
    }


def test_every_order_of_imports(saved):
    """A sample of the orders; all of them with TINYQ_SITUATIONS=1 in the environment."""
    root = str(Path(tinyq.__file__).parents[1])
    started = {
        name: subprocess.Popen(
            [sys.executable, "-c", CODE.format(order=order, **saved)],
            cwd=root,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for name, order in ORDERS.items()
        if name in CHOSEN
    }
    for name, process in started.items():
        out, err = process.communicate()
        assert "loaded QuantizedInput" in out, f"{name}: {err[-2000:]}"


def test_a_checkpoint_is_loaded(saved, tmp_path):
    model = keras.models.load_model(saved["path"], custom_objects={})
    x = np.load(saved["inputs"])
    path = tmp_path / "best.keras"
    keep = keras.callbacks.ModelCheckpoint(path)
    model.fit(x, np.ones((32, 2)), epochs=1, callbacks=[keep], verbose=0)
    again = keras.models.load_model(path)
    np.testing.assert_array_equal(model.predict(x, verbose=0), again.predict(x, verbose=0))
    assert import_keras(path).output.type == import_keras(model).output.type
