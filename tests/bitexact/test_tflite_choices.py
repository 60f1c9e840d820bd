"""Operators that the converter does not write, or not in integers: files made here."""

from __future__ import annotations

import numpy as np
import pytest

from tests.bitexact.litert import run_litert
from tests.bitexact.one_operator import OneOperator
from tests.drawing.formulas import twice
from tests.harness import check_graph
from tests.requirements import require_module
from tinyq.graph import reference
from tinyq.importers.tflite import import_tflite
from tinyq.numerics.fixed_point import quantize_multiplier

require_module("ai_edge_litert")
SAMPLES = 40


def compare(content: bytes, tmp_path, rng, span=None, in_c: bool = True) -> None:
    """LiteRT's bytes, in the reference and in C."""
    path = tmp_path / "model.tflite"
    path.write_bytes(content)
    graph = import_tflite(path, "tflite")
    kind = graph.input.type
    lo, hi = span or (kind.format.lo, kind.format.hi)
    codes = rng.integers(lo, hi + 1, (SAMPLES, *kind.shape)).astype(np.int32)
    codes[0], codes[1] = lo, hi
    found = reference.run(graph, codes)
    expected = run_litert(content, codes).reshape(found.shape)
    assert (found == expected).all(), f"{(found != expected).sum()} of {found.size} codes differ"
    if in_c:
        check_graph(graph, codes[:6])


@pytest.mark.parametrize("kind", ["INT8", "UINT8"])
@pytest.mark.parametrize("axis", [1, 3, -2])
def test_arg_min(kind, axis, tmp_path, rng):
    shape = [1, 5, 4, 6]
    file = OneOperator("ARG_MIN", {"kind": "ArgMinOptions", "outputType": 2})
    zero = 7 if kind == "INT8" else 135
    file.add(kind, shape, 0.1, zero)
    file.add("INT32", [1], data=[axis])
    file.give("INT32", [size for place, size in enumerate(shape) if place != axis % 4])
    compare(file.write(), tmp_path, rng)


@pytest.mark.parametrize("kind", ["INT8", "INT16"])
@pytest.mark.parametrize("name", ["REDUCE_MAX", "REDUCE_MIN"])
@pytest.mark.parametrize("axes", [[1], [1, 2], [3], [1, 3], [1, 2, 3]])
def test_extremes_over_axes(kind, name, axes, tmp_path, rng):
    shape = [1, 5, 3, 7]
    file = OneOperator(name, {"kind": "ReducerOptions", "keepDims": True}, version=3)
    zero = -9 if kind == "INT8" else 0
    file.add(kind, shape, 0.1, zero)
    file.add("INT32", [len(axes)], data=axes)
    file.give(kind, [1 if axis in axes else size for axis, size in enumerate(shape)], 0.1, zero)
    compare(file.write(), tmp_path, rng, in_c=axes == [1, 3])


@pytest.mark.parametrize("kind", ["INT8", "INT16"])
@pytest.mark.parametrize("output", [0, 1])
def test_top_k(kind, output, tmp_path, rng):
    file = OneOperator("TOPK_V2", {"kind": "TopKV2Options"}, version=3)
    zero = -9 if kind == "INT8" else 0
    file.add(kind, [1, 3, 11], 0.1, zero)
    file.add("INT32", [1], data=[4])
    file.give(kind, [1, 3, 4], 0.1, zero)
    file.give("INT32", [1, 3, 4])
    compare(file.write([file.writes[output]]), tmp_path, rng, (-3, 4))
    compare(file.write([file.writes[output]]), tmp_path, rng)


@pytest.mark.parametrize("kind", ["INT8", "INT16"])
@pytest.mark.parametrize("axis", [0, 1, 2])
def test_rows_by_computed_indices(kind, axis, tmp_path, rng):
    """A table of constants, an axis of its own, indices of two axes."""
    shape = [4, 5, 3]
    file = OneOperator("GATHER", {"kind": "GatherOptions", "axis": axis, "batchDims": 0}, 3)
    zero = 3 if kind == "INT8" else 0
    table = rng.integers(-128, 128, shape)
    first = file.add(kind, shape, 0.1, zero, data=table)
    file.add("INT32", [1, 6])
    assert file.reads[0] == first
    file.give(kind, [*shape[:axis], 1, 6, *shape[axis + 1 :]], 0.1, zero)
    compare(file.write(), tmp_path, rng, (0, shape[axis] - 1))


def test_indices_outside_of_the_table_are_clipped(tmp_path, rng):
    """LiteRT refuses them; the C must stay inside."""
    file = OneOperator("GATHER", {"kind": "GatherOptions"}, 3)
    file.add("INT8", [4, 3], 0.1, 3, data=rng.integers(-128, 128, (4, 3)))
    file.add("INT32", [1, 6])
    file.give("INT8", [1, 6, 3], 0.1, 3)
    path = tmp_path / "model.tflite"
    path.write_bytes(file.write())
    graph = import_tflite(path)
    codes = np.array([[-(2**31), -1, 0, 3, 4, 2**31 - 1]])
    check_graph(graph, codes)
    found = reference.run(graph, codes)[0]
    assert (found[[0, 1]] == found[2]).all() and (found[[4, 5]] == found[3]).all()


def test_embedding_lookup(tmp_path, rng):
    file = OneOperator("EMBEDDING_LOOKUP", version=3)
    file.add("INT32", [5])
    file.add("INT8", [9, 4], 0.1, 3, data=rng.integers(-128, 128, (9, 4)))
    file.give("INT8", [5, 4], 0.1, 3)
    compare(file.write(), tmp_path, rng, (0, 8))


@pytest.mark.parametrize("depth", [1, 2, 3])
@pytest.mark.parametrize("kind", ["INT8", "INT16"])
def test_constant_places(depth, kind, tmp_path, rng):
    shape = [1, 4, 5]
    file = OneOperator("GATHER_ND", version=3)
    file.add(kind, shape, 0.1)
    places = np.stack([rng.integers(0, size, 7) for size in shape[:depth]], -1)
    file.add("INT32", [7, depth], data=places)
    file.give(kind, [7, *shape[depth:]], 0.1)
    compare(file.write(), tmp_path, rng)


@pytest.mark.parametrize("kind", ["INT8", "INT16"])
@pytest.mark.parametrize(("block", "border"), [([2, 3], [0, 0, 1, 0]), ([1, 2], [0, 1, 2, 2])])
def test_blocks_to_samples(kind, block, border, tmp_path, rng):
    zero = 5 if kind == "INT8" else 0
    height, width = 4 + sum(border[:2]), 5 + sum(border[2:])
    height, width = -(-height // block[0]), -(-width // block[1])
    border = list(border)
    border[1] += height * block[0] - 4 - sum(border[:2])
    border[3] += width * block[1] - 5 - sum(border[2:])
    file = OneOperator("SPACE_TO_BATCH_ND", version=3)
    file.add(kind, [1, 4, 5, 3], 0.1, zero)
    file.add("INT32", [2], data=block)
    file.add("INT32", [2, 2], data=border)
    file.give(kind, [block[0] * block[1], height, width, 3], 0.1, zero)
    compare(file.write(), tmp_path, rng)


@pytest.mark.parametrize("kind", ["INT8", "INT16"])
@pytest.mark.parametrize(("block", "crops"), [([2, 3], [0, 0, 1, 0]), ([2, 1], [1, 1, 0, 2])])
def test_samples_to_blocks(kind, block, crops, tmp_path, rng):
    zero = 5 if kind == "INT8" else 0
    count = block[0] * block[1]
    file = OneOperator("BATCH_TO_SPACE_ND", version=3)
    file.add(kind, [count, 4, 5, 3], 0.1, zero)
    file.add("INT32", [2], data=block)
    file.add("INT32", [2, 2], data=crops)
    size = [4 * block[0] - sum(crops[:2]), 5 * block[1] - sum(crops[2:])]
    file.give(kind, [1, *size, 3], 0.1, zero)
    compare(file.write(), tmp_path, rng)


@pytest.mark.parametrize("starts", [[0, 1, 2], [0, 9, -4], [0, 0, 0]])
def test_a_box_is_replaced(starts, tmp_path, rng):
    """LiteRT moves a box that would reach out inside."""
    file = OneOperator("DYNAMIC_UPDATE_SLICE", version=1)
    file.add("INT8", [1, 4, 5], 0.1, 3)
    file.add("INT8", [1, 2, 3], 0.1, 3, data=rng.integers(-128, 128, (1, 2, 3)))
    file.add("INT32", [3], data=starts)
    file.give("INT8", [1, 4, 5], 0.1, 3)
    compare(file.write(), tmp_path, rng)


@pytest.mark.parametrize("name", ["REDUCE_ALL", "REDUCE_ANY"])
def test_truth_over_axes(name, tmp_path, rng):
    file = OneOperator(name, {"kind": "ReducerOptions", "keepDims": False})
    file.add("BOOL", [1, 3, 4])
    file.add("INT32", [1], data=[2])
    file.give("BOOL", [1, 3])
    compare(file.write(), tmp_path, rng, (0, 1))


@pytest.mark.parametrize("zeros", [(0, 0, 0), (128, 3, 255), (200, 255, 7)])
@pytest.mark.parametrize("scales", [(1.0, 0.03, 0.2), (2.3, 0.011, 0.7)])
def test_quotients(zeros, scales, tmp_path, rng):
    """LiteRT divides uint8 alone, and refuses a divisor of 0.

    Scales are those of which it shifts by at most 31 bits, beyond which C leaves open what it does.
    """
    file = OneOperator("DIV", {"kind": "DivOptions"}, version=2)
    file.add("UINT8", [1, 8, 32], scales[0], zeros[0])
    divisors = np.setdiff1d(np.arange(256), zeros[1:2])
    file.add("UINT8", [1, 8, 32], scales[1], zeros[1], data=rng.choice(divisors, (1, 8, 32)))
    file.give("UINT8", [1, 8, 32], scales[2], zeros[2])
    compare(file.write(), tmp_path, rng)


@pytest.mark.parametrize(("corners", "centers"), [(False, False), (False, True), (True, False)])
def test_unsigned_images_are_resized_in_floating_point(corners, centers, tmp_path, rng):
    options = {"kind": "ResizeBilinearOptions", "alignCorners": corners}
    options["halfPixelCenters"] = centers
    file = OneOperator("RESIZE_BILINEAR", options, version=3)
    file.add("UINT8", [1, 5, 3, 4], 0.1, 77)
    want = [9, 17] if corners else [10, 24]
    file.add("INT32", [2], data=want)
    file.give("UINT8", [1, *want, 4], 0.1, 77)
    compare(file.write(), tmp_path, rng)


def raised_sums(terms, x_zero, gain, y_zero):
    """The arithmetic of TFLite's int8 kernels for microcontrollers, in plain integers."""
    multiplier, exponent = quantize_multiplier(gain / 2**19)
    found, total = [], 0
    for term in terms:
        total += (term - x_zero) * 2**19
        found.append(min(max(twice(total, multiplier, exponent) + y_zero, -128), 127))
    return found


@pytest.mark.parametrize("exclusive", [False, True])
@pytest.mark.parametrize("backwards", [False, True])
def test_cumulative_sums(exclusive, backwards, tmp_path, rng):
    """LiteRT sums floats alone: the arithmetic is that of TFLite for microcontrollers."""
    options = {"kind": "CumsumOptions", "exclusive": exclusive, "reverse": backwards}
    file = OneOperator("CUMSUM", options)
    file.add("INT8", [1, 3, 9, 2], 0.11, -20)
    file.add("INT32", [1], data=[2])
    file.give("INT8", [1, 3, 9, 2], 0.6, 15)
    path = tmp_path / "model.tflite"
    path.write_bytes(file.write())
    graph = import_tflite(path, "tflite")
    codes = rng.integers(-128, 128, (12, *graph.input.type.shape)).astype(np.int32)
    check_graph(graph, codes[:4])
    rows = np.moveaxis(codes, 2, -1)
    rows = rows[..., ::-1] if backwards else rows
    gain = float(np.float32(0.11)) / float(np.float32(0.6))
    if exclusive:
        rows = np.concatenate([np.full_like(rows[..., :1], -20), rows[..., :-1]], -1)
    sums = np.apply_along_axis(lambda row: raised_sums(row.tolist(), -20, gain, 15), -1, rows)
    sums = np.moveaxis(sums[..., ::-1] if backwards else sums, -1, 2)
    assert (reference.run(graph, codes) == sums).all()
    single = reference.run(import_tflite(path, "half_up"), codes)
    assert np.abs(single - sums).max() <= 1


def test_sums_of_many_tensors(tmp_path, rng):
    """As above: the third term is the model's input again."""
    file = OneOperator("ADD_N", {"kind": "AddNOptions"})
    first = file.add("INT8", [1, 4, 5], 0.11, -20)
    other = rng.integers(-128, 128, (1, 4, 5))
    file.add("INT8", [1, 4, 5], 0.11, -20, data=other)
    file.reads.append(first)
    file.give("INT8", [1, 4, 5], 0.3, 4)
    path = tmp_path / "model.tflite"
    path.write_bytes(file.write())
    graph = import_tflite(path, "tflite")
    codes = rng.integers(-128, 128, (12, 4, 5)).astype(np.int32)
    check_graph(graph, codes[:4])
    terms = np.stack([codes, np.broadcast_to(other, codes.shape), codes], -1)
    gain = float(np.float32(0.11)) / float(np.float32(0.3))
    sums = np.apply_along_axis(lambda row: raised_sums(row.tolist(), -20, gain, 4)[-1], -1, terms)
    assert (reference.run(graph, codes) == sums).all()


@pytest.mark.parametrize("kind", ["int32", "float32"])
def test_an_embedding_as_the_converter_writes_it(kind, tmp_path, rng):
    """With its arithmetic for negative indices; floats are cast to integers first."""
    import keras
    import tensorflow as tf

    inputs = keras.Input((10,), dtype=kind)
    values = keras.layers.GlobalAveragePooling1D()(keras.layers.Embedding(50, 8)(inputs))
    model = keras.Model(inputs, keras.layers.Dense(3)(values))
    signature = tf.TensorSpec((1, 10), tf.as_dtype(kind))
    concrete = tf.function(lambda x: model(x)).get_concrete_function(signature)
    converter = tf.lite.TFLiteConverter.from_concrete_functions([concrete])
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: (
        [rng.integers(0, 50, (1, 10)).astype(kind)] for _ in range(8)
    )
    sets = tf.lite.OpsSet
    converter.target_spec.supported_ops = [sets.TFLITE_BUILTINS_INT8, sets.TFLITE_BUILTINS]
    content = converter.convert()
    path = tmp_path / "model.tflite"
    path.write_bytes(content)
    graph = import_tflite(path, "tflite")
    codes = rng.integers(-50, 50, (SAMPLES, 10)).astype(np.int32)
    found = reference.dequantize(reference.run(graph, codes), graph.output.type)
    assert (run_litert(content, codes).reshape(found.shape) == found).all()
    check_graph(graph, codes[:6])
