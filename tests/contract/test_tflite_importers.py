"""Every operator of TFLite that tinyq imports is held against LiteRT by a test that names it."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from tinyq.errors import TinyqError
from tinyq.graph import foreign
from tinyq.importers.tflite.registry import find_importers

FOLDER = Path(__file__).resolve().parents[1] / "bitexact"
TESTS = "tests/bitexact/test_tflite_*.py"


def _list_words() -> set[str]:
    """All strings of the tests, but for their docstrings' words."""
    words = set()
    for path in sorted(FOLDER.glob("*tflite*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                words.add(node.value)
    return words


WORDS = _list_words()


@pytest.mark.parametrize("name", sorted(find_importers()))
def test_an_operator_is_named_by_a_test(name: str) -> None:
    assert name in WORDS, (
        f"no test holds the operator {name} of TFLite against LiteRT: add a case that says "
        f'"{name}" to {TESTS}'
    )


def test_one_function_imports_an_operator() -> None:
    known = find_importers()["L2_NORMALIZATION"]
    assert known.__module__ == "tinyq.graph.ops.tflite_l2_norm"
    with pytest.raises(TinyqError, match="two functions import L2_NORMALIZATION of tflite"):
        foreign.imports("tflite", "L2_NORMALIZATION")(lambda operator: None)
    assert find_importers()["L2_NORMALIZATION"] is known
