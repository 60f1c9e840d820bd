"""Weights in the graph: their format, their zero points, and the accumulators that they make."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from tinyq.importers.onnx.layer import Layer
from tinyq.importers.onnx.sums import Scales
from tinyq.importers.onnx.values import Fixed, Real, Single, Stored, Value

Int64s = npt.NDArray[np.int64]
_BIAS = 2**30


@dataclass(frozen=True, slots=True, eq=False)
class Weights:
    """Weights without their zero point, and what a unit of an accumulator is.

    Attributes:
        codes: int64, output channels first.
        scales: float32 of each output channel.
    """

    codes: Int64s
    scales: npt.NDArray[np.float32]

    @property
    def halves(self) -> list[Int64s]:
        """As a sum of codes of int8: themselves, or two parts for those of 9 bits."""
        inside = np.clip(self.codes, -128, 127)
        rest = self.codes - inside
        return [inside, rest] if rest.any() else [inside]

    def format(self, x_format: str) -> str:
        """Format in the graph: 4 bits where they fit."""
        fits = int(self.codes.min()) >= -8 and int(self.codes.max()) <= 7
        return "s4" if fits and x_format in ("s8", "u4", "u2") else "s8"


def weights_of(layer: Layer, value: Value, axis: int) -> Weights:
    """Weights whose output channels are ``axis``, brought to the front.

    Raises:
        ModelError: They are no quantized constant, or scaled along another axis.
    """
    layer.require(
        isinstance(value, Stored),
        "the weights are no quantized constant",
        "quantize the weights as well, to 8 bits or less",
    )
    assert isinstance(value, Stored)
    count = value.codes.shape[axis]
    scales, zeros = value.scales, value.zeros
    layer.require(
        scales.size == 1 or value.axis == axis,
        f"the weights have scales along axis {value.axis}, not along their outputs",
        "quantize weights per tensor or per output channel",
    )
    layer.require(value.kind in ("int8", "uint8"), f"weights of {value.kind} are not supported")
    shape = [1] * value.codes.ndim
    shape[axis] = -1
    codes = np.moveaxis(value.codes - zeros.reshape(shape), axis, 0)
    factors = np.broadcast_to(scales, count).astype(np.float32)
    return Weights(np.ascontiguousarray(codes), factors)


@dataclass(frozen=True, slots=True, eq=False)
class Bias:
    """A bias.

    Attributes:
        codes: As accumulators.
        reals: What it is beside the accumulators, or what they have been rounded from.
        is_exact: Whether the accumulators are all of it.
        is_rounded: Whether they are nearly so, and onnxruntime takes them.
    """

    codes: Int64s
    reals: npt.NDArray[np.float64]
    is_exact: bool
    is_rounded: bool = False


def bias_of(layer: Layer, value: Value | None, x: Real, weights: Weights) -> Bias:
    """What a bias adds.

    One of int32 at the scale of the accumulators is exact; so is one of floats under the rule
    ``onnx``, since onnxruntime rounds it to such integers. Another stays a real number.
    """
    count = len(weights.scales)
    nothing = np.zeros(count, np.int64), np.zeros(count)
    if value is None:
        return Bias(*nothing, True)
    units = Single(x.scale) * weights.scales
    if isinstance(value, Stored):
        if value.kind == "int32" and _is_close(value.scales, units):
            codes = np.broadcast_to((value.codes - value.zeros[0]).reshape(-1), count)
            return Bias(codes.astype(np.int64), nothing[1], True)
        return Bias(nothing[0], _channels(layer, value.real(), count), False)
    layer.require(isinstance(value, Fixed), "the bias is no constant")
    assert isinstance(value, Fixed)
    if value.array.dtype.kind in "iu":
        return Bias(_channels(layer, value.array, count).astype(np.int64), nothing[1], True)
    reals = _channels(layer, value.array, count)
    with np.errstate(all="ignore"):
        steps = np.rint(reals.astype(np.float32) / units).astype(np.float64)
    layer.require(
        bool(np.isfinite(steps).all()) and float(np.abs(steps).max(initial=0)) < _BIAS,
        "a bias is too large for the scales of its layer",
        "raise the scale of the weights, or train the bias smaller",
    )
    return Bias(steps.astype(np.int64), reals, False, True)


def _channels(layer: Layer, array: npt.NDArray[Any], count: int) -> npt.NDArray[np.float64]:
    flat = array.reshape(-1).astype(np.float64)
    layer.require(flat.size in (1, count), f"a bias of {flat.size} for {count} outputs")
    layer.require(bool(np.isfinite(flat).all()), "a bias is no finite number")
    return np.broadcast_to(flat, count).copy()


def _is_close(scales: npt.NDArray[np.float32], units: npt.NDArray[np.float32]) -> bool:
    """Whether scales are those of accumulators, up to how float32 has rounded a product."""
    wanted = np.broadcast_to(scales, units.shape) if scales.size in (1, units.size) else None
    if wanted is None:
        return False
    return bool(np.allclose(wanted, units, rtol=1e-5, atol=0.0))


def factors_of(x: Real, weights: Weights) -> Scales:
    """What onnxruntime multiplies accumulators of a layer with weights by."""
    return lambda scale: np.asarray(Single(x.scale) * weights.scales / scale, np.float32)
