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


# What the resolver of TFLite for microcontrollers has an Add function for, less custom operators.
MICRO = """
ABS ADD ADD_N ARG_MAX ARG_MIN ASSIGN_VARIABLE AVERAGE_POOL_2D BATCH_MATMUL BATCH_TO_SPACE_ND
BROADCAST_ARGS BROADCAST_TO CALL_ONCE CAST CEIL CONCATENATION CONV_2D COS CUMSUM DEPTHWISE_CONV_2D
DEPTH_TO_SPACE DEQUANTIZE DIV DYNAMIC_UPDATE_SLICE ELU EMBEDDING_LOOKUP EQUAL EXP EXPAND_DIMS FILL
FLOOR FLOOR_DIV FLOOR_MOD FULLY_CONNECTED GATHER GATHER_ND GREATER GREATER_EQUAL HARD_SWISH IF
L2_NORMALIZATION L2_POOL_2D LEAKY_RELU LESS LESS_EQUAL LOG LOGICAL_AND LOGICAL_NOT LOGICAL_OR
LOGISTIC LOG_SOFTMAX MAXIMUM MAX_POOL_2D MEAN MINIMUM MIRROR_PAD MUL NEG NOT_EQUAL PACK PAD PADV2
PRELU QUANTIZE READ_VARIABLE REDUCE_ALL REDUCE_MAX REDUCE_MIN RELU RELU6 RESHAPE RESIZE_BILINEAR
RESIZE_NEAREST_NEIGHBOR REVERSE_V2 ROUND RSQRT SELECT_V2 SHAPE SIN SLICE SOFTMAX SPACE_TO_BATCH_ND
SPACE_TO_DEPTH SPLIT SPLIT_V SQRT SQUARE SQUARED_DIFFERENCE SQUEEZE STRIDED_SLICE SUB SUM SVDF
TANH TRANSPOSE TRANSPOSE_CONV UNIDIRECTIONAL_SEQUENCE_LSTM UNPACK VAR_HANDLE WHILE ZEROS_LIKE
"""


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


def test_most_operators_of_microcontrollers_are_imported() -> None:
    """Others are folded on constants, or are tables between a DEQUANTIZE and a QUANTIZE."""
    names = set(MICRO.split())
    assert len(names) == 100
    assert len(names & set(find_importers())) >= 86
