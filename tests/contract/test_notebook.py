"""A notebook, cell by cell: from a Keras model to the report, with public names alone."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import tinyq

CELLS = {
    "data": """
import numpy as np
from sklearn.datasets import load_digits

digits = load_digits()
x = (digits.images[..., None] / 16.0).astype(np.float32)
y = digits.target
x_train, y_train, x_test, y_test = x[:1400], y[:1400], x[1400:1440], y[1400:1440]
""",
    "a float network": """
import keras

keras.utils.set_random_seed(0)
model = keras.Sequential(
    [
        keras.Input((8, 8, 1)),
        keras.layers.Conv2D(8, 3, activation="relu", name="conv"),
        keras.layers.MaxPooling2D(name="pool"),
        keras.layers.Flatten(name="flatten"),
        keras.layers.Dense(10, name="logits"),
    ]
)
loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
model.compile(keras.optimizers.Adam(1e-2), loss)
history = model.fit(x_train, y_train, epochs=3, verbose=0)
""",
    "few bits, trained on": """
import tinyq

recipe = {"weights": "int4", "activations": "int8", "input": {"range": [0.0, 1.0]}}
quantized = tinyq.quantize(model, recipe)
quantized.compile(keras.optimizers.Adam(1e-3), loss)
history = quantized.fit(x_train, y_train, epochs=2, verbose=0)
""",
    "or few bits without training": """
calibrated = tinyq.quantize(model, data=x_train, bits=8, samples=64)
""",
    "what it is made of": """
tinyq.inspect(quantized, board="stm32")
""",
    "firmware": """
built = tinyq.build(quantized, "host", folder + "/out")
built
""",
    "what the device says": """
measured = tinyq.measure(built, (x_test, y_test), report=folder + "/page")
measured
""",
    "the same in all places": """
tinyq.diff(quantized, f"{built.folder}@host", x_test, samples=4)
""",
    "a library": """
tinyq.export(calibrated, "cmake", folder + "/lib")
""",
    "boards and methods": """
tinyq.boards()
""",
    "a method": """
tinyq.methods("twn")
""",
}


def run(cell: str, names: dict[str, object]) -> object:
    """Run a cell; what its last expression is worth, as a notebook shows it."""
    tree = ast.parse(cell)
    last = tree.body.pop() if isinstance(tree.body[-1], ast.Expr) else None
    exec(compile(tree, "cell", "exec"), names)
    if last is None:
        return None
    return eval(compile(ast.Expression(last.value), "cell", "eval"), names)


@pytest.mark.requires("gcc")
def test_a_notebook_goes_from_a_model_to_the_report(tmp_path: Path) -> None:
    names: dict[str, object] = {"folder": str(tmp_path)}
    shown = {title: run(cell, names) for title, cell in CELLS.items()}
    for title, value in shown.items():
        if value is not None:
            assert value._repr_html_().startswith(("<table>", "<pre>")), title
            assert repr(value)
    measured, quantized = names["measured"], names["quantized"]
    x, y = names["x_test"], names["y_test"]
    assert measured.mismatches == 0
    answers = quantized.predict(x, verbose=0).argmax(axis=-1)
    assert measured.accuracy["device"] == pytest.approx((answers == y).mean())
    assert measured.accuracy["device"] > 0.5
    assert shown["the same in all places"].ok
    assert measured.page == tmp_path / "page/report.html"
    assert "<html" in measured.page.read_text("utf-8")
    assert (tmp_path / "lib/CMakeLists.txt").is_file()


def test_its_cells_use_public_names_alone() -> None:
    for cell in CELLS.values():
        for node in ast.walk(ast.parse(cell)):
            if isinstance(node, ast.Attribute) and getattr(node.value, "id", "") == "tinyq":
                assert node.attr in tinyq.__all__
            if isinstance(node, ast.ImportFrom):
                assert not (node.module or "").startswith("tinyq")
