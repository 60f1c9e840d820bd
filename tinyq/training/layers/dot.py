"""Products of matrices that are both computed."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from tinyq.graph.ops.matrix_multiply import MatrixMultiply
from tinyq.training.elementwise import ProductLayer
from tinyq.training.lowering.emission import Lowering, Value
from tinyq.training.lowering.products import lower_product_of
from tinyq.training.patterns import FusedLayer
from tinyq.training.recipe import Rule
from tinyq.training.registry import lowers, quantizes, rewrites, serializable
from tinyq.training.rewriting import Application, Rewriting
from tinyq.training.tracing import Step

METHOD = "int8"


class MatrixProduct(keras.layers.Layer):
    """``x @ transpose(y)`` of (groups, rows, depth) and (groups, columns, depth), plain."""

    def compute_output_shape(self, input_shape: Any) -> Any:
        """(groups, rows, columns)."""
        first, second = input_shape
        return (*first[:-1], second[-2])

    def call(self, inputs: Any) -> Any:
        """The products."""
        return ops.matmul(inputs[0], ops.swapaxes(inputs[1], -1, -2))


@serializable
class QuantizedMatrixProduct(ProductLayer):
    """Products of computed matrices, rounded once.

    acc[g, m, n] = sum_k (x[g, m, k] - x_zero) * (y[g, n, k] - y_zero)
    """

    def compute_output_shape(self, input_shape: Any) -> Any:
        """(groups, rows, columns)."""
        first, second = input_shape
        return (*first[:-1], second[-2])

    def call(self, inputs: Any, training: bool = False) -> Any:
        """Output values: simulated in training, exact integers in inference."""
        if training:
            return self.simulate(ops.matmul(inputs[0], ops.swapaxes(inputs[1], -1, -2)))
        first, second = (
            ops.cast(self.input_encoding(index).centered(values), "float64")
            for index, values in enumerate(inputs)
        )
        acc = ops.matmul(first, ops.swapaxes(second, -1, -2))
        return self.finish(ops.cast(ops.round(acc), "int64"))


@quantizes("MatrixProduct", reads=METHOD, fuses=True, keeps_sign=True)
def build_product(fused: FusedLayer, options: dict[str, Any], rule: Rule) -> QuantizedMatrixProduct:
    """A product of matrices."""
    del fused, rule
    return QuantizedMatrixProduct(**options)


@lowers("QuantizedMatrixProduct")
def lower_product(lowering: Lowering, step: Step, inputs: tuple[Value, ...]) -> Value:
    """Product of matrices."""
    return lower_product_of(MatrixMultiply, lowering, step, inputs)


@rewrites("Dot")
def rewrite_dot(rewriting: Rewriting, use: Application) -> Any:
    """A product of matrices with the axes that are summed innermost."""
    layer = use.layer
    if layer.normalize:
        raise use.refuse("Dot with normalize=True is not supported", "leave normalize out")
    given = layer.axes
    axes = (given, given) if isinstance(given, int) else tuple(given)
    ranks = [len(tensor.shape) for tensor in use.inputs]
    if any(rank not in (2, 3) for rank in ranks):
        raise use.refuse("Dot of tensors of more than two axes", "use vectors and matrices")
    parts = [
        _rows(rewriting, use, number, tensor, axis % rank)
        for number, (tensor, axis, rank) in enumerate(zip(use.inputs, axes, ranks, strict=True))
    ]
    return _product(rewriting, use, *parts)


@rewrites("ops.Matmul")
def rewrite_matmul(rewriting: Rewriting, use: Application) -> Any:
    """A product of matrices, the second one transposed."""
    if len(use.inputs) != 2 or any(len(tensor.shape) not in (3, 4) for tensor in use.inputs):
        raise use.refuse("matmul of such tensors is not supported", "multiply computed matrices")
    first, second = use.inputs
    order = (*range(1, len(second.shape) - 2), len(second.shape) - 1, len(second.shape) - 2)
    name = rewriting.name(f"{use.name}_transposed")
    turned = rewriting.add(keras.layers.Permute(order, name=name), second)
    parts = [
        _grouped(rewriting, use, number, tensor) for number, tensor in enumerate((first, turned))
    ]
    return _product(rewriting, use, *parts)


def _rows(rewriting: Rewriting, use: Application, number: int, tensor: Any, axis: int) -> Any:
    """(1, rows, depth) with the axis innermost."""
    if len(tensor.shape) == 3 and axis == 1:
        name = rewriting.name(f"{use.name}_transposed{number}")
        tensor = rewriting.add(keras.layers.Permute((2, 1), name=name), tensor)
    rows = tensor.shape[1] if len(tensor.shape) == 3 else 1
    name = rewriting.name(f"{use.name}_rows{number}")
    return rewriting.add(keras.layers.Reshape((1, rows, tensor.shape[-1]), name=name), tensor)


def _grouped(rewriting: Rewriting, use: Application, number: int, tensor: Any) -> Any:
    if len(tensor.shape) == 4:
        return tensor
    name = rewriting.name(f"{use.name}_rows{number}")
    return rewriting.add(keras.layers.Reshape((1, *tensor.shape[1:]), name=name), tensor)


def _product(rewriting: Rewriting, use: Application, first: Any, second: Any) -> Any:
    layer = MatrixProduct(name=use.name)
    if tuple(layer.compute_output_shape((first.shape, second.shape))[1:]) == use.shape:
        return rewriting.add(layer, first, second)
    layer = MatrixProduct(name=rewriting.name(f"{use.name}_product"))
    product = rewriting.add(layer, first, second)
    return rewriting.add(keras.layers.Reshape(use.shape, name=use.name), product)
