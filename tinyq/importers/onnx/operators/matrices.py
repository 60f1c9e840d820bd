"""Products of computed matrices, softmax, and the largest of all."""

from __future__ import annotations

import math

import numpy as np

from tinyq.graph.ops.argmax import Argmax
from tinyq.graph.ops.extremum import Extremum
from tinyq.graph.ops.matrix_multiply import MatrixMultiply
from tinyq.graph.ops.softmax import Softmax
from tinyq.importers.onnx.arrangement import View
from tinyq.importers.onnx.layer import ONNX, Layer
from tinyq.importers.onnx.operators.quantization import dequantized, finish
from tinyq.importers.onnx.pairs import align, as_tensor
from tinyq.importers.onnx.quantizing import look_up
from tinyq.importers.onnx.registry import imports
from tinyq.importers.onnx.sums import Sum, span_of
from tinyq.importers.onnx.values import Coded, Meaning, Pending, Real, Single, Stored
from tinyq.numerics.rounding import softmax_table

_SHARES = Meaning(1.0 / 256.0, -128, -128, 127, "s8", 128)


def multiply_computed(layer: Layer, one: Real, other: Real) -> Sum:
    """Products of matrices in the last two axes; the other axes are of one shape."""
    second = layer.as_real(other, "the second matrix")
    a, b = one.shape, second.shape
    layer.require(
        len(a) == len(b) >= 2 and a[:-2] == b[:-2] and a[-1] == b[-2],
        f"matrices {a} and {b} do not fit",
    )
    groups, rank = math.prod(a[:-2]), len(a)
    rows, depth, columns = a[-2], a[-1], b[-1]
    outer = range(rank - 2)
    first = layer.dense(one.coded, range(rank), (groups, rows, depth))
    turned = layer.dense(second.coded, [*outer, rank - 1, rank - 2], (groups, columns, depth))
    names = layer.widened(first), layer.widened(turned)
    spans = [span_of(*each.span, each.zero_point) for each in (one, second)]
    corners = [x * y * depth for x in spans[0] for y in spans[1]]
    pair = Single(one.scale) * Single(second.scale)
    return Sum(
        layer,
        View.of((*a[:-1], columns)),
        lambda output: MatrixMultiply(output, one.zero_point, second.zero_point),
        names,
        np.full(columns, one.scale * second.scale),
        np.full(columns, min(corners), np.int64),
        np.full(columns, max(corners), np.int64),
        biases=np.zeros(columns, np.int64),
        offsets=np.zeros(columns),
        scales=lambda scale: np.full(columns, pair / scale, np.float32),
    )


@imports("Softmax")
def import_softmax(layer: Layer) -> None:
    """Shares of one axis, quantized behind."""
    axis = int(layer.attribute("axis", -1 if layer.opset >= 13 else 1))
    layer.give(softmax(layer, layer.real(), axis, layer.opset >= 13))


@imports("QLinearSoftmax")
def import_qlinear_softmax(layer: Layer) -> None:
    """Shares of one axis of codes."""
    new = int(layer.attribute("opset", 13)) >= 13
    axis = int(layer.attribute("axis", -1 if new else 1))
    x = layer.as_real(dequantized(layer, 0), "the input")
    finish(layer, softmax(layer, x, axis, new), 3)


def softmax(layer: Layer, x: Real, axis: int, one_axis: bool) -> Pending | Real:
    """Shares under tinyq's rule: a table of exponentials, quotients half up."""
    layer.require(
        layer.rounding != ONNX,
        "onnxruntime's softmax divides in floating point, which no integers equal",
        "leave the softmax out of the model: its input has the same order; or import with "
        "rounding half_up",
    )
    rank = len(x.shape)
    place = layer.axis(axis, rank)
    axes = [place] if one_axis else [*range(place, rank)]
    outer = [each for each in range(rank) if each not in axes]
    classes = math.prod(x.shape[each] for each in axes)
    rows = math.prod(x.shape[each] for each in outer)
    order = [*x.view.dense(outer), *axes]
    shape = (rows, classes) if rows > 1 else (classes,)
    name = layer.widened(layer.dense(x.coded, order, shape))
    table = layer.number("exponentials", softmax_table(x.scale), "u16")
    found = layer.apply(Softmax(), name, table)
    view = View.of(x.shape, order)
    return Real(Coded(found, view, _SHARES), _SHARES.scale, _SHARES.zero_point)


@imports("ArgMax")
def import_argmax(layer: Layer) -> None:
    """Index of the largest value along an axis; the first of equals."""
    value = layer.value()
    layer.require(isinstance(value, Real | Coded), "compares what is not quantized")
    coded = value.coded if isinstance(value, Real) else value
    layer.require(not isinstance(value, Real) or value.values is None, "compares a function")
    layer.require(not layer.attribute("select_last_index", 0), "takes the last of equals")
    assert isinstance(coded, Coded)
    rank = len(coded.shape)
    axis = layer.axis(layer.attribute("axis", 0), rank)
    outer = [each for each in range(rank) if each != axis]
    rows = math.prod(coded.shape[each] for each in outer)
    order = [*coded.view.dense(outer), axis]
    shape = (rows, coded.shape[axis]) if rows > 1 else (coded.shape[axis],)
    name = layer.apply(Argmax(), layer.dense(coded, order, shape))
    kept = [1 if each == axis else size for each, size in enumerate(coded.shape)]
    view = View.of(kept, order)
    if not layer.attribute("keepdims", 1):
        view = View(tuple(view.axes[each] for each in outer))
    layer.give(Coded(name, view, Meaning(1.0, 0, 0, coded.shape[axis] - 1, "s32", 0)))


@imports("Max", "Min")
def import_extremum(layer: Layer) -> None:
    """Larger or smaller of two tensors of one scale, or of one and a number."""
    largest = layer.node.kind == "Max"
    layer.require(len(layer.node.inputs) == 2, "compares more than two", "compare in pairs")
    pair = [layer.value(0), layer.value(1)]
    for place in (0, 1):
        if not isinstance(pair[1 - place], Real | Pending | Coded):
            array = layer.fixed(1 - place)
            layer.require(array.size == 1, "compares with a constant of several numbers")
            number = float(array.reshape(-1)[0])
            from tinyq.importers.onnx.operators.elements import limit

            ends = (number, np.inf) if largest else (-np.inf, number)
            limit(layer, layer.computed(place), *ends)
            return
    one, other = (
        as_tensor(layer, each, "a constant") if isinstance(each, Stored) else each for each in pair
    )
    one, other = layer.as_real(one, "input 0"), layer.as_real(other, "input 1")
    if one.means != other.means:
        meaning = Meaning(one.scale, one.zero_point, -128, 127, "s8", one.coded.meaning.shift)
        name = look_up(layer, other, meaning)
        other = Real(Coded(name, other.view, meaning), *one.means)
    first, second, view = align(layer, one, other)
    name = layer.apply(Extremum(int(largest)), layer.widened(first), layer.widened(second))
    held = one.coded.meaning
    meaning = Meaning(one.scale, one.zero_point, -128, 127, "s8", held.shift)
    layer.give(Real(Coded(name, view, meaning), *one.means))
