"""Sums and products of two tensors, and of a tensor and constants."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from tinyq.graph import Shape
from tinyq.graph.epilogues import Requantize, RequantizeTwice
from tinyq.graph.ops.add import Add
from tinyq.graph.ops.multiply import Multiply
from tinyq.graph.ops.offset_add import OffsetAdd
from tinyq.graph.ops.single_add import SingleAdd
from tinyq.graph.ops.tflite_add import TfliteAdd
from tinyq.importers.onnx.arrangement import View
from tinyq.importers.onnx.fitting import fit_sum, sum_row
from tinyq.importers.onnx.layer import ONNX, TFLITE, Layer
from tinyq.importers.onnx.sums import Sum, span_of
from tinyq.importers.onnx.values import (
    ALL_CODES,
    Coded,
    Meaning,
    Pending,
    Real,
    Single,
    Stored,
    plain_meaning,
)
from tinyq.numerics.fixed_point import quantize_multiplier
from tinyq.numerics.offsets import split_words
from tinyq.numerics.rounding import fold_affine
from tinyq.numerics.single import split_single

Array = npt.NDArray[Any]
_REMEDY = "import with rounding half_up"


def align(layer: Layer, one: Real, other: Real) -> tuple[str, str, View]:
    """Two tensors under one shape and one layout of the graph, broadcast as NumPy does."""
    try:
        shape = np.broadcast_shapes(one.shape, other.shape)
    except ValueError:
        shape = ()
    layer.require(bool(shape), f"shapes {one.shape} and {other.shape} do not fit")
    base = one if one.view.elements >= other.view.elements else other
    base_view = base.view.broadcast(shape)
    assert base_view is not None
    order = base_view.dense(range(len(shape)))
    held = layer.builder.type(base.coded.name).shape
    target: Shape = held
    if not base_view.is_dense(order, math.prod(held)):
        target = tuple(shape[axis] for axis in order if shape[axis] > 1) or (1,)
    names = []
    for each in (one, other):
        view = each.view.broadcast(shape)
        assert view is not None
        names.append(layer.arrange(each.coded.name, view, order, target))
    return names[0], names[1], View.of(shape, order)


def as_tensor(layer: Layer, stored: Stored, what: str) -> Real:
    """A constant as a tensor of the graph."""
    layer.require(
        stored.scales.size == 1 and stored.kind in ("int8", "uint8"),
        f"{what} is a constant with {stored.scales.size} scales of type {stored.kind}",
        "quantize it to 8 bits with one scale",
    )
    meaning = plain_meaning(stored.kind, float(stored.scales[0]), int(stored.zeros[0]), None)
    codes = stored.codes - meaning.shift
    shape = tuple(size for size in codes.shape if size > 1) or (1,)
    name = layer.number("constant", codes.reshape(shape), "s8")
    view = View.of(codes.shape)
    return Real(Coded(name, view, meaning), meaning.scale, meaning.zero_point)


def add_in_single(
    first: tuple[Array, float, int], second: tuple[Array, float, int], target: Meaning, shift: int
) -> npt.NDArray[np.int64]:
    """Codes of a sum as onnxruntime's vector kernels compute them, before saturation.

        rint(fma(a, s_a / s_y, fma(b, s_b / s_y, z_y - (s_a / s_y z_a + s_b / s_y z_b))))

    in float32, each operand's code, scale and zero point in codes of the graph.

    Args:
        first: a.
        second: b.
        target: The result's meaning.
        shift: What onnxruntime's codes are more than those of the graph, 0 or 128.
    """
    a, a_scale, a_zero = first
    b, b_scale, b_zero = second
    scale = Single(target.scale)
    a_ratio, b_ratio = Single(a_scale) / scale, Single(b_scale) / scale
    zeros = a_ratio * Single(a_zero + shift) + b_ratio * Single(b_zero + shift)
    fixed = Single(target.zero_point + shift) - zeros
    inner = (b + shift).astype(np.float64) * np.float64(b_ratio) + np.float64(fixed)
    single = inner.astype(np.float32).astype(np.float64)
    outer = ((a + shift).astype(np.float64) * np.float64(a_ratio) + single).astype(np.float32)
    return np.rint(np.clip(outer, -(2.0**30), 2.0**30)).astype(np.int64) - shift


@dataclass(frozen=True, slots=True, eq=False)
class PairSum(Pending):
    """Sum or difference of two tensors.

    Attributes:
        names: Tensors of the graph, of one shape.
        one: What the first one means.
        other: What the second one means.
        sign: 1, or -1 for a difference.
        shift: What onnxruntime's codes are more than those of the graph.
        fused: Whether one kernel of onnxruntime's adds codes.
    """

    names: tuple[str, str]
    one: Real
    other: Real
    sign: int = field(default=1, kw_only=True)
    shift: int = field(default=128, kw_only=True)
    fused: bool = field(default=True, kw_only=True)

    def unfused(self) -> PairSum:
        """The same where onnxruntime adds floats and quantizes them."""
        return replace(self, fused=False)

    def store(self, meaning: Meaning) -> str:
        """Add the operation that the rounding rule asks for."""
        layer, target = self.layer, meaning.narrowed(self.low, self.high)
        layer.require(meaning.format == "s8", "a sum of 16-bit codes is not supported", "use 8")
        names = tuple(layer.widened(name) for name in self.names)
        shape = layer.builder.type(names[0]).shape
        if layer.rounding == ONNX:
            return self._add_single(names, target, shape[-1])
        scales = (self.one.scale, self.other.scale)
        fields = ("s8", target.scale, target.zero_point, target.lo, target.hi)
        zeros = (self.one.zero_point, self.other.zero_point)
        if layer.rounding == TFLITE:
            largest = 2 * max(scales)
            pairs = [quantize_multiplier(scale / largest) for scale in scales]
            mantissa, power = quantize_multiplier(largest / (2.0**20 * target.scale))
            layer.require(power <= 30, "a scale ratio is too large")
            constants = self._numbers(RequantizeTwice.names, (0, mantissa, power), shape[-1])
            twice = RequantizeTwice(*fields)
            total = TfliteAdd(twice, *pairs[0], *pairs[1], self.sign, 20, *zeros)
            return layer.apply(total, *names, *constants)
        power = 14 - math.frexp(max(scales))[1]
        factors = [math.floor(math.ldexp(scale, power) + 0.5) for scale in scales]
        gain = math.ldexp(1.0, -power) / target.scale
        folded = fold_affine(np.asarray([gain]), np.zeros(1))
        values = (folded.bias[0], folded.multiplier[0], folded.shift[0])
        constants = self._numbers(Requantize.names, values, shape[-1])
        operation = Add(Requantize(*fields), factors[0], self.sign * factors[1], *zeros)
        return layer.apply(operation, *names, *constants)

    def _numbers(self, names: tuple[str, ...], values: Any, channels: int) -> list[str]:
        return [
            self.layer.number(name, np.full(channels, value), "s32")
            for name, value in zip(names, values, strict=True)
        ]

    def _add_single(self, names: tuple[str, ...], target: Meaning, channels: int) -> str:
        first, second = self.one, self.other
        span = (target.lo, target.hi)
        ratios = [float(Single(each.scale) / Single(target.scale)) for each in (first, second)]
        ratios[1] *= self.sign
        plain = self.sign < 0 or not self.fused
        if not plain:
            wanted = add_in_single(
                (ALL_CODES[:, None], *first.means),
                (ALL_CODES[None, :], *second.means),
                target,
                self.shift,
            )
        else:
            real = first.table()[:, None] + self.sign * second.table()[None, :]
            wanted = np.rint(real / Single(target.scale)).astype(np.int64) + target.zero_point
        offset = target.zero_point - ratios[0] * first.zero_point - ratios[1] * second.zero_point
        even = 1 if not plain or target.zero_point % 2 == 0 else 2
        pair = ratios[0], ratios[1]
        row = fit_sum(np.clip(wanted, *span), pair, offset, span, even)
        if row is None and plain:  # floats, whose last bit decides between two codes
            row = sum_row(*pair, offset + 0.5, even).astype(np.int32)
        if row is None:
            follower = self._follow_single(target)
            self.layer.require(follower is not None, "no integers add as float32 does", _REMEDY)
            assert follower is not None
            return self.layer.apply(follower, *names)
        table = self.layer.number("constants", np.repeat(row[:, None], channels, axis=1), "s32")
        operation = OffsetAdd(target.scale, target.zero_point, *span)
        return self.layer.apply(operation, *names, table)

    def _follow_single(self, target: Meaning) -> SingleAdd | None:
        """The operation that does float32's roundings; None where its integers do not hold them."""
        first, second, scale = self.one, self.other, Single(target.scale)
        ratios = Single(first.scale) / scale, Single(second.scale) / scale
        zeros = ratios[0] * Single(first.zero_point + self.shift)
        zeros = zeros + ratios[1] * Single(second.zero_point + self.shift)
        fixed = Single(target.zero_point + self.shift) - zeros
        pairs = [split_single(value) for value in (*ratios, fixed)]
        shift = max(0, *(pair[1] for pair in pairs))
        powers = [shift - pair[1] for pair in pairs]
        if shift > 54 or max(powers) > 54:
            return None
        (x, y, addend) = [(pair[0], power) for pair, power in zip(pairs, powers, strict=True)]
        return SingleAdd(
            target.scale,
            target.zero_point,
            target.lo,
            target.hi,
            self.shift,
            *x,
            *y,
            *addend,
            shift,
        )


@dataclass(frozen=True, slots=True, eq=False)
class Residual(Pending):
    """Accumulators that nothing has quantized, plus a tensor: a shortcut added in floating point.

    Attributes:
        total: The accumulators.
        other: The tensor.
    """

    total: Sum
    other: Real

    def store(self, meaning: Meaning) -> str:
        """Add both in 64 bits; rounded once, to even under onnxruntime's rule."""
        layer, target = self.layer, meaning.narrowed(self.low, self.high)
        layer.require(meaning.format == "s8", "a sum of 16-bit codes is not supported", "use 8")
        name, units, offsets = self.total.raw()
        shape = layer.builder.type(name).shape
        order = self.total.view.dense(range(len(self.shape)))
        layer.require(self.total.view.is_dense(order, math.prod(shape)), "the sum is arranged anew")
        view = self.other.view.broadcast(self.shape)
        layer.require(view is not None, f"shapes {self.shape} and {self.other.shape} do not fit")
        assert view is not None
        other = layer.widened(layer.arrange(self.other.coded.name, view, order, shape))
        gains = units / target.scale, np.full(len(units), self.other.scale / target.scale)
        offset = offsets / target.scale + target.zero_point + 0.5
        offset = offset - gains[1] * self.other.zero_point
        table = _fine_rows(gains, offset, _parity(layer, target))
        constants = layer.number("constants", table, "s32")
        operation = OffsetAdd(target.scale, target.zero_point, target.lo, target.hi)
        return layer.apply(operation, name, other, constants)


def _parity(layer: Layer, target: Meaning) -> int:
    """Where a half of floats goes that are rounded to even before the zero point is added."""
    return 0 if layer.rounding != ONNX else 1 + target.zero_point % 2


def _fine_rows(gains: tuple[Array, Array], offset: Array, even: int) -> Array:
    """Rows of the constants of OffsetAdd: the finest that leave room for an s32 operand."""
    largest = np.maximum(np.maximum(gains[0], gains[1]), 2.0**-50)
    room = 58 - np.frexp(np.abs(offset) + 1.0)[1]
    shift = np.clip(np.minimum(30 - np.frexp(largest)[1], room), 1, 62).astype(np.int64)
    factors = [np.floor(np.ldexp(gain, shift) + 0.5).astype(np.int64) for gain in gains]
    high, low = split_words(np.floor(np.ldexp(offset, shift) + 0.5).astype(np.int64))
    return np.stack([*factors, high, low, shift, np.full_like(shift, even)])


def product(layer: Layer, one: Real, other: Real) -> Sum:
    """Product of two tensors; its accumulators are products of codes."""
    first, second, view = align(layer, one, other)
    names = layer.widened(first), layer.widened(second)
    channels = layer.builder.type(names[0]).shape[-1]
    spans = [span_of(*each.span, each.zero_point) for each in (one, other)]
    corners = [a * b for a in spans[0] for b in spans[1]]
    pair = Single(one.scale) * Single(other.scale)
    return Sum(
        layer,
        view,
        lambda output: Multiply(output, one.zero_point, other.zero_point),
        names,
        np.full(channels, one.scale * other.scale),
        np.full(channels, min(corners), np.int64),
        np.full(channels, max(corners), np.int64),
        biases=np.zeros(channels, np.int64),
        offsets=np.zeros(channels),
        scales=lambda scale: np.full(channels, pair / scale, np.float32),
        inside=True,
        sources=(one.coded.name, other.coded.name),
    )


def total(layer: Layer, one: Real, other: Real, sign: int, shift: int) -> PairSum:
    """Sum or difference of two tensors."""
    first, second, view = align(layer, one, other)
    sources = one.coded.name, other.coded.name
    return PairSum(
        layer, view, (first, second), one, other, sign=sign, shift=shift, sources=sources
    )


def channel_values(layer: Layer, target: Real | Sum, array: Array) -> Array | None:
    """A constant as one number for each channel of the graph's tensor; None where it is not.

    Args:
        layer: The operator.
        target: The other operand.
        array: Reals that are broadcast to it.
    """
    shape = target.shape
    if array.ndim > len(shape) or np.broadcast_shapes(array.shape, shape) != shape:
        return None
    full = np.broadcast_to(array, shape)
    if isinstance(target, Sum):
        channels = len(target.units)
    else:
        channels = layer.builder.type(target.coded.name).shape[-1]
    place = target.view.indices() % channels
    found = np.zeros(channels, np.float64)
    found[place.reshape(-1)] = full.reshape(-1)
    return found if bool((found[place] == full).all()) else None
