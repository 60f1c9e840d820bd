"""Operators on each element: functions of one tensor are tables; sums and products of two."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt

from tinyq.importers.onnx.folding import limits_of
from tinyq.importers.onnx.layer import Layer
from tinyq.importers.onnx.operators.quantization import clipped_codes, dequantized, finish
from tinyq.importers.onnx.pairs import (
    Residual,
    add_in_single,
    as_tensor,
    channel_values,
    product,
    total,
)
from tinyq.importers.onnx.quantizing import rescaled
from tinyq.importers.onnx.registry import imports
from tinyq.importers.onnx.sums import Formula, Sum
from tinyq.importers.onnx.values import (
    Coded,
    Fixed,
    Meaning,
    Pending,
    Real,
    Single,
    Stored,
    Value,
)

Reals = npt.NDArray[np.float64]
_erf = np.vectorize(math.erf, otypes=[np.float64])
_NOT_QUANTIZED = "quantize before this operator, with QuantizeLinear and DequantizeLinear"

FUNCTIONS: Mapping[str, Callable[[Reals], Reals]] = MappingProxyType(
    {
        "Abs": np.abs,
        "Ceil": np.ceil,
        "Cos": np.cos,
        "Erf": _erf,
        "Exp": np.exp,
        "Floor": np.floor,
        "HardSwish": lambda x: x * np.clip(x / 6.0 + 0.5, 0.0, 1.0),
        "Log": np.log,
        "Mish": lambda x: x * np.tanh(np.logaddexp(0.0, x)),
        "Neg": np.negative,
        "QLinearSigmoid": lambda x: 1.0 / (1.0 + np.exp(-x)),
        "Reciprocal": lambda x: 1.0 / x,
        "Round": np.rint,
        "Sigmoid": lambda x: 1.0 / (1.0 + np.exp(-x)),
        "Sign": np.sign,
        "Sin": np.sin,
        "Softplus": lambda x: np.logaddexp(0.0, x),
        "Softsign": lambda x: x / (1.0 + np.abs(x)),
        "Sqrt": np.sqrt,
        "Tanh": np.tanh,
    }
)


def function_of(node: Any) -> Callable[[Reals], Reals] | None:
    """The function of an operator of one tensor, in real numbers; None for another operator."""
    option = node.attributes.get
    if node.kind in ("LeakyRelu", "QLinearLeakyRelu"):
        alpha = float(option("alpha", 0.01))
        return lambda x: np.where(x >= 0.0, x, alpha * x)
    if node.kind == "Elu":
        alpha = float(option("alpha", 1.0))
        return lambda x: np.where(x > 0.0, x, alpha * np.expm1(np.minimum(x, 0.0)))
    if node.kind == "Selu":
        alpha = float(option("alpha", 1.6732632423543772))
        gamma = float(option("gamma", 1.0507009873554805))
        return lambda x: gamma * np.where(x > 0.0, x, alpha * np.expm1(np.minimum(x, 0.0)))
    if node.kind == "HardSigmoid":
        slope, place = float(option("alpha", 0.2)), float(option("beta", 0.5))
        return lambda x: np.clip(slope * x + place, 0.0, 1.0)
    if node.kind == "Gelu":
        if option("approximate", "none") == "tanh":
            root = math.sqrt(2.0 / math.pi)
            return lambda x: 0.5 * x * (1.0 + np.tanh(root * (x + 0.044715 * x**3)))
        return lambda x: 0.5 * x * (1.0 + _erf(x * math.sqrt(0.5)))
    if node.kind == "QuickGelu":
        alpha = float(option("alpha", 1.702))
        return lambda x: x / (1.0 + np.exp(-alpha * x))
    return FUNCTIONS.get(node.kind)


@imports(
    *FUNCTIONS, "LeakyRelu", "QLinearLeakyRelu", "Elu", "Selu", "HardSigmoid", "Gelu", "QuickGelu"
)
def import_function(layer: Layer) -> None:
    """A function of one tensor: a table once it is quantized."""
    function = function_of(layer.node)
    assert function is not None
    codes = layer.node.kind.startswith("QLinear")
    value = dequantized(layer, 0) if codes else layer.computed()
    found = mapped(layer, value, function)
    finish(layer, found, 3) if codes else layer.give(found)


def mapped(layer: Layer, value: Value, function: Callable[[Reals], Reals]) -> Real:
    """A function of each element of dequantized codes."""
    layer.require(
        isinstance(value, Real),
        "its input is not quantized, so the operator computes in floating point",
        _NOT_QUANTIZED,
    )
    assert isinstance(value, Real)
    layer.require(value.coded.meaning.format != "s16", "16-bit codes are too many for a table")
    with np.errstate(all="ignore"):
        values = np.asarray(function(value.table().astype(np.float64)), np.float32)
    return replace(value, values=values)


@imports("Relu")
def import_relu(layer: Layer) -> None:
    """Nothing below 0."""
    limit(layer, layer.computed(), 0.0, np.inf)


@imports("Clip")
def import_clip(layer: Layer) -> None:
    """Nothing outside of two limits, of reals or of codes."""
    value = layer.value()
    if isinstance(value, Coded):
        found = clipped_codes(layer, value)
        layer.require(found is not None, "clips codes that were quantized more widely")
        assert found is not None
        layer.give(found)
        return
    low, high = limits_of(layer.node, layer.opset, layer.constants())
    for place, end in ((1, low), (2, high)):
        layer.require(end is not None or not layer.has(place), "its limits are no constants")
    limit(
        layer,
        layer.computed(),
        -np.inf if low is None else float(low),
        np.inf if high is None else float(high),
    )


def limit(layer: Layer, value: Real | Pending, low: float, high: float) -> None:
    """Give a value with limits."""
    if isinstance(value, Pending):
        layer.give(value.clipped(low, high))
        return
    layer.give(mapped(layer, value, lambda x: np.clip(x, low, max(high, low))))


@imports("PRelu")
def import_prelu(layer: Layer) -> None:
    """A slope for negative numbers; one for all."""
    slope = layer.fixed(1)
    layer.require(
        bool((slope == slope.reshape(-1)[0]).all()),
        "slopes of each channel are not supported",
        "use one slope, nn.PReLU(1), or LeakyReLU",
    )
    alpha = float(slope.reshape(-1)[0])
    layer.give(mapped(layer, layer.computed(), lambda x: np.where(x >= 0.0, x, alpha * x)))


@imports("Add", "Sub", "QLinearAdd")
def import_add(layer: Layer) -> None:
    """Sum or difference."""
    if layer.node.kind == "QLinearAdd":
        pair = dequantized(layer, 0), dequantized(layer, 3)
        finish(layer, add(layer, *pair, 1, _moved(layer)), 6)
        return
    sign = 1 if layer.node.kind == "Add" else -1
    layer.give(add(layer, layer.value(0), layer.value(1), sign, 128))


def _moved(layer: Layer) -> int:
    """What onnxruntime's codes are more than the graph's: it makes all but QLinear's unsigned."""
    zero = layer.fixed(2) if layer.has(2) else None
    return 128 if zero is None or zero.dtype == np.uint8 else 0


def add(layer: Layer, one: Value, other: Value, sign: int, shift: int) -> Value:
    """Sum or difference of tensors, or of one and constants."""
    if isinstance(one, Real) and one is other:
        return mapped(layer, one, lambda x: x + sign * x)
    for first, second, turned in ((one, other, False), (other, one, True)):
        if isinstance(second, Fixed | Stored) and isinstance(first, Real | Sum):
            return _add_constant(layer, first, second, sign, turned, shift)
        if isinstance(first, Sum) and not first.is_limited and isinstance(second, Real):
            plain = layer.as_real(second, "the shortcut")
            layer.require(sign == 1, "subtracts what is not quantized", _NOT_QUANTIZED)
            return Residual(layer, first.view, first, plain)
    pair = layer.as_real(one, "input 0"), layer.as_real(other, "input 1")
    return total(layer, *pair, sign, shift)


def _add_constant(
    layer: Layer,
    first: Real | Sum,
    second: Fixed | Stored,
    sign: int,
    turned: bool,
    shift: int,
) -> Value:
    """One tensor and a constant: one number, one for each channel, or a tensor."""
    array = second.array if isinstance(second, Fixed) else second.real()
    layer.require(array.dtype.kind == "f", "adds integers to reals")
    if array.size == 1 and isinstance(first, Real) and array.ndim <= len(first.shape):
        number = Single(array.reshape(-1)[0])

        def shifted(x: Reals) -> Reals:
            single = x.astype(np.float32)
            if sign > 0:
                return np.asarray(single + number, np.float64)
            return np.asarray(number - single if turned else single - number, np.float64)

        return mapped(layer, first, shifted)
    values = channel_values(layer, first, array)
    if values is not None and not (sign < 0 and turned):
        plain = isinstance(first, Real)
        base = rescaled(layer, layer.as_real(first, "input 0")) if plain else first
        assert isinstance(base, Sum)
        found = base.changed(1.0, sign * values)
        if isinstance(second, Stored) and isinstance(first, Real) and sign > 0:
            return replace(found, formula=_sum_formula(layer, first, second, shift))
        return found
    layer.require(
        isinstance(second, Stored) and isinstance(first, Real),
        "adds a constant of floats with a number for each element",
        "quantize the constant as well",
    )
    assert isinstance(second, Stored)
    tensor = as_tensor(layer, second, "the constant")
    pair = (tensor, first) if turned else (first, tensor)
    return total(layer, layer.as_real(pair[0], "a"), layer.as_real(pair[1], "b"), sign, shift)


def _sum_formula(layer: Layer, first: Real, second: Stored, shift: int) -> Formula | None:
    """Onnxruntime's sum of codes and a constant of each channel."""
    if second.scales.size > 1 or second.kind not in ("int8", "uint8"):
        return None
    moved = 128 if second.kind == "uint8" else 0
    codes = channel_values(layer, first, second.codes - moved)
    if codes is None:
        return None
    means = float(second.scales[0]), int(second.zeros[0]) - moved
    column = codes.astype(np.int64)[:, None]

    def formula(acc: npt.NDArray[np.int64], meaning: Meaning) -> npt.NDArray[np.int64]:
        one = (acc + first.zero_point, *first.means)
        return add_in_single(one, (column, *means), meaning, shift)

    return formula


@imports("Mul", "Div", "QLinearMul")
def import_multiply(layer: Layer) -> None:
    """Product, or quotient by a constant."""
    if layer.node.kind == "QLinearMul":
        found = multiply(layer, dequantized(layer, 0), dequantized(layer, 3), False)
        if isinstance(found, Sum):
            found = replace(found, moved=_moved(layer))
        finish(layer, found, 6)
        return
    layer.give(multiply(layer, layer.value(0), layer.value(1), layer.node.kind == "Div"))


def multiply(layer: Layer, one: Value, other: Value, divides: bool) -> Value:
    """Product of tensors, or of one and constants."""
    curve = _same_codes(layer, one, other, divides)
    if curve is not None:
        return curve
    for first, second, turned in ((one, other, False), (other, one, True)):
        if isinstance(second, Fixed | Stored) and isinstance(first, Real | Sum):
            return _multiply_constant(layer, first, second, divides, turned)
    layer.require(not divides, "divides by a computed tensor", "multiply by a constant instead")
    return product(layer, layer.as_real(one, "input 0"), layer.as_real(other, "input 1"))


def _same_codes(layer: Layer, one: Value, other: Value, divides: bool) -> Value | None:
    """A product of two functions of the same codes, as x * sigmoid(x): one function."""
    del layer
    if not (isinstance(one, Real) and isinstance(other, Real)):
        return None
    same = one.coded.name == other.coded.name and one.view == other.view
    if not same or (one.values is None and other.values is None and one is not other):
        return None
    with np.errstate(all="ignore"):
        pair = one.table(), other.table()
        values = pair[0] / pair[1] if divides else pair[0] * pair[1]
    return replace(one, values=values.astype(np.float32))


def _multiply_constant(
    layer: Layer, first: Real | Sum, second: Fixed | Stored, divides: bool, turned: bool
) -> Value:
    array = second.array if isinstance(second, Fixed) else second.real()
    layer.require(array.dtype.kind == "f", "multiplies reals by integers")
    if array.size == 1 and isinstance(first, Real) and array.ndim <= len(first.shape):
        number = Single(array.reshape(-1)[0])

        def scaled(x: Reals) -> Reals:
            single = x.astype(np.float32)
            if not divides:
                return np.asarray(single * number, np.float64)
            return np.asarray(number / single if turned else single / number, np.float64)

        return mapped(layer, first, scaled)
    layer.require(not (divides and turned), "divides a constant by a computed tensor")
    with np.errstate(all="ignore"):
        factors = channel_values(layer, first, 1.0 / array if divides else array)
    if factors is not None and bool((factors > 0.0).all()) and np.isfinite(factors).all():
        plain = isinstance(first, Real)
        base = rescaled(layer, layer.as_real(first, "input 0")) if plain else first
        assert isinstance(base, Sum)
        layer.require(not base.is_limited, "multiplies what has been clipped", _NOT_QUANTIZED)
        return base.changed(factors, 0.0)
    layer.require(
        isinstance(second, Stored) and isinstance(first, Real) and not divides,
        "multiplies by a constant of floats that are not all positive numbers of channels",
        "quantize the constant as well",
    )
    assert isinstance(second, Stored)
    tensor = as_tensor(layer, second, "the constant")
    return product(layer, layer.as_real(first, "input 0"), tensor)


@imports("BatchNormalization")
def import_batch_normalization(layer: Layer) -> None:
    """A factor and an addend for each channel."""
    value = layer.computed()
    gamma, beta, mean, variance = (layer.fixed(place).astype(np.float64) for place in (1, 2, 3, 4))
    factor = gamma / np.sqrt(variance + float(layer.attribute("epsilon", 1e-5)))
    shape = (-1,) + (1,) * (len(value.shape) - 2)
    fits = isinstance(value, Sum) and not value.is_limited or isinstance(value, Real)
    layer.require(
        fits and bool((factor > 0).all()),
        "normalizes with factors that are not positive, or behind a clip",
        "fold the normalization into the convolution before it is quantized",
    )
    base = value if isinstance(value, Sum) else rescaled(layer, layer.as_real(value, "the input"))
    factors = channel_values(layer, base, factor.reshape(shape))
    addends = channel_values(layer, base, (beta - mean * factor).reshape(shape))
    layer.require(factors is not None and addends is not None, "the channels are not the last axis")
    assert factors is not None
    assert addends is not None
    layer.give(base.changed(factors, addends))
