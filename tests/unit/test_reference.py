from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests.random_graphs import draw_graph, draw_inputs
from tinyq.errors import DataError, ModelError
from tinyq.graph import Graph, GraphBuilder, TensorType
from tinyq.graph.epilogues import Raw, Requantize
from tinyq.graph.ops.concatenate import Concatenate
from tinyq.graph.ops.dense import Dense
from tinyq.graph.ops.rescale import Rescale
from tinyq.graph.reference import dequantize, quantize_input, run, run_batched
from tinyq.numerics.formats import find_format

S8 = TensorType((3,), find_format("s8"), 0.5, -10)


def build_dense() -> Graph:
    """y = clip(5 + (acc + bias) / 2), acc = W (x + 10), 2 outputs."""
    builder = GraphBuilder.start("dense", S8)
    weights = builder.constant("weights", [[1, -1, 2], [0, 3, -7]], S8.format)
    constants = [
        builder.constant("bias", [1, -2], find_format("s32")),
        builder.constant("multiplier", [2, 2], find_format("s32")),
        builder.constant("shift", [2, 2], find_format("s32")),
    ]
    epilogue = Requantize("s8", 1.0, 5, -100, 100)
    return builder.build(
        builder.apply("y", Dense(epilogue, -10), builder.input, weights, *constants)
    )


def test_a_worked_example():
    codes = np.array([[-10, -9, -8], [127, 127, 127]], np.int32)
    # acc = (0 - 1 + 4, 3 - 14); +bias = (4, -13); /2 half up = (2, -6); +5.
    # acc = (274, 137 * -4 = -548); +bias = (275, -550); /2 = (138, -275); +5, clipped.
    assert run(build_dense(), codes).tolist() == [[7, -1], [100, -100]]


def test_observers_see_every_activation_in_order(rng):
    graph = draw_graph(rng)
    seen = []
    codes = run(graph, draw_inputs(rng, graph), lambda name, value: seen.append((name, value)))
    assert [name for name, _ in seen] == [node.output for node in graph.nodes]
    assert (seen[-1][1] == codes).all()


def test_batches_do_not_change_the_result(rng):
    graph = draw_graph(rng)
    inputs = draw_inputs(rng, graph, 7)
    whole = run(graph, inputs)
    assert (run_batched(graph, inputs, batch=3) == whole).all()
    assert (np.concatenate([run(graph, inputs[i : i + 1]) for i in range(7)]) == whole).all()


def test_the_inputs_are_not_written():
    builder = GraphBuilder.start("copies", S8)
    graph = builder.build(builder.apply("y", Concatenate(), "input", "input"))
    inputs = np.array([[1, 2, 3]], np.int32)
    codes = run(graph, inputs)
    codes[...] = 0
    assert inputs.tolist() == [[1, 2, 3]]


@pytest.mark.parametrize(
    "codes", [np.zeros((1, 4), np.int32), np.full((1, 3), 128), np.zeros((3,), np.int32)]
)
def test_inputs_that_do_not_fit_are_refused(codes):
    with pytest.raises(DataError, match=r"do not fit s8\[3\]"):
        run(build_dense(), codes)


def test_a_result_outside_its_format_is_a_fault():
    graph = build_dense()
    tensor = graph.tensors["y"]
    narrow = replace(tensor, type=replace(tensor.type, format=find_format("s4")))
    wrong = replace(graph, tensors={**graph.tensors, "y": narrow})
    with pytest.raises(ModelError, match="does not fit s4"):
        run(wrong, np.full((1, 3), 127, np.int32))


def test_an_accumulator_outside_int32_is_a_fault():
    """The graph is refused; if it were not, the reference would see it."""
    builder = GraphBuilder.start("wide", TensorType((1,), find_format("s32")))
    bias = builder.constant("bias", [0], find_format("s32"))
    name = builder.apply("y", Rescale(Raw(), 0, 1), builder.input, bias)
    with pytest.raises(ModelError, match="can reach"):
        builder.build(name)
    run_op = Rescale(Raw(), 0, 1).run
    assert run_op(np.array([[2**30 - 1]]), np.zeros(1, np.int32)).tolist() == [[2**31 - 2]]
    with pytest.raises(ModelError, match="rescale leaves int32"):
        run_op(np.array([[2**30]]), np.zeros(1, np.int32))


@pytest.mark.parametrize(
    ("value", "code"),
    [(0.0, -10), (0.25, -9), (-0.25, -10), (-0.26, -11), (1e9, 127), (-1e9, -128), (0.24, -10)],
)
def test_quantize_input_rounds_half_up_and_saturates(value, code):
    assert quantize_input([[value] * 3], S8).tolist() == [[code] * 3]


def test_binary_inputs_are_signs_and_zero_is_positive():
    binary = TensorType((3,), find_format("b1"))
    assert quantize_input([[-0.1, 0.0, -0.0]], binary).tolist() == [[-1, 1, 1]]


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ([[1.0, 2.0]], r"shape \(2,\), the model takes \(3,\)"),
        ([[1.0, 2.0, np.nan]], "NaN or infinite"),
        ([[1.0, np.inf, 2.0]], "NaN or infinite"),
        ([["a", "b", "c"]], "dtype"),
        ([[1j, 1j, 1j]], "dtype"),
    ],
)
def test_inputs_that_are_no_data_are_refused(values, text):
    with pytest.raises(DataError, match=text):
        quantize_input(values, S8)


def test_dequantize_undoes_quantize_on_the_grid():
    codes = np.arange(-128, 127, dtype=np.int32).reshape(-1, 3)
    values = dequantize(codes, S8)
    assert values.dtype == np.float32
    assert (quantize_input(values, S8) == codes).all()
    assert dequantize(np.array([[7]]), TensorType((1,), S8.format)).tolist() == [[7.0]]
