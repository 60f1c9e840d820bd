"""Signs that a small network over the kernel decides; the network itself stays behind."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from keras import ops

from tinyq.quantizers.parts.gradients import clipped_identity, with_gradient
from tinyq.quantizers.parts.sorting import call_numpy
from tinyq.quantizers.parts.steps import Axes
from tinyq.quantizers.weights import WeightParts, WeightQuantizer

_NEIGHBOURS = 8  # input channels that decide together where a kernel has one position


@dataclass(frozen=True, slots=True)
class MappingParts(WeightParts):
    """What signs by a mapping are made of.

        u   = w / mean |w|
        m   = u + tanh(u V) U,  over groups of weights: the positions of a filter's channel
        w_q = sign(m) mean |w|

    V is random and U is 0 at first, so that it begins as plain signs. The sign of w is a noisy
    label of m, and what it adds to the loss is an unbiased estimate of that of right labels:

        R = strength * mean ((1 - r) l(m, s) - r l(m, -s)) / (1 - 2 r),  l(m, s) = ln(1 + exp(-m s))

    Attributes:
        noise: r, the share of labels that are taken to be wrong.
        supervision: Strength.
        hidden: Columns of V.
    """

    noise: float = field(default=0.1, kw_only=True)
    supervision: float = field(default=1e-3, kw_only=True)
    hidden: int = field(default=8, kw_only=True)

    def build(self, axes: Axes, **options: Any) -> WeightQuantizer:
        """The quantizer."""
        return MappingQuantizer(self, axes, **options)


class MappingQuantizer(WeightQuantizer):
    """Quantizes a kernel to the signs of a mapping of it.

    Args:
        parts: Parts of the method.
        axes: Axes of the kernel over which one scale is shared.
    """

    parts: MappingParts

    def build(self, shape: Any) -> None:
        """Create the mapping."""
        super().build(shape)
        positions = math.prod(shape[:-2])
        size = positions if positions > 1 else _NEIGHBOURS
        self.group = size
        self.inner = self.add_weight(
            name="inner", shape=(size, self.parts.hidden), initializer="glorot_uniform"
        )
        self.outer = self.add_weight(
            name="outer", shape=(self.parts.hidden, size), initializer="zeros"
        )

    def split(self, kernel: Any) -> tuple[Any, Any]:
        """Codes (float32 integers, shape of the kernel) and scales (dimensions kept)."""
        weights = ops.convert_to_tensor(kernel)
        inputs = [self._ready(weights), ops.convert_to_tensor(self.inner)]
        mapped = call_numpy(
            self._map_exactly, [*inputs, ops.convert_to_tensor(self.outer)], weights.shape
        )
        codes = self.parts.levels.encode(mapped, None)
        scale = self.parts.scale(weights, codes, None, self.reduced_axes)
        channels = ops.ones_like(ops.max(weights, axis=self.axes, keepdims=True))
        return codes, scale * channels

    def _ready(self, weights: Any) -> Any:
        size = ops.mean(ops.abs(weights), axis=self.reduced_axes, keepdims=True)
        return weights / ops.maximum(size, 1e-30)

    def _map_exactly(self, ready: np.ndarray, inner: np.ndarray, outer: np.ndarray) -> np.ndarray:
        """The mapping by NumPy, so that a graph gives the signs that a call gives."""
        rows = _to_rows(ready, self.group, np)
        rows = rows + np.tanh(rows @ inner) @ outer
        return np.asarray(_from_rows(rows, ready.shape, np), np.float32)

    def _trained(self, weights: Any) -> Any:
        ready = self._ready(weights)
        rows = _to_rows(ready, self.group, ops)
        rows = rows + ops.matmul(ops.tanh(ops.matmul(rows, self.inner)), self.outer)
        mapped = _from_rows(rows, tuple(ready.shape), ops)
        self.add_loss(self.parts.supervision * _noisy_loss(mapped, weights, self.parts.noise))
        codes, scale = self.split(weights)
        value, size = ops.stop_gradient(codes * scale), ops.stop_gradient(scale)
        return with_gradient(lambda m: value, lambda m: clipped_identity(m) * size)(mapped)


def _noisy_loss(mapped: Any, weights: Any, noise: float) -> Any:
    labels = ops.where(weights < 0, -ops.ones_like(weights), ops.ones_like(weights))
    right, wrong = ops.softplus(-mapped * labels), ops.softplus(mapped * labels)
    return ops.mean(((1.0 - noise) * right - noise * wrong) * (1.0 / (1.0 - 2.0 * noise)))


def _to_rows(values: Any, size: int, library: Any) -> Any:
    """Groups of weights as rows, the last one filled with zeros.

    A group is what a filter has for an input channel; where a kernel has one position, neighbouring
    input channels.
    """
    *outer, inputs, outputs = (int(n) for n in values.shape)
    whole = library.reshape(values, (math.prod(outer), inputs, outputs))
    flat = library.reshape(library.transpose(whole, (2, 1, 0)), (outputs, -1))
    spare = -int(flat.shape[1]) % size
    filled = library.pad(flat, ((0, 0), (0, spare)))
    return library.reshape(filled, (-1, size))


def _from_rows(rows: Any, shape: tuple[int, ...], library: Any) -> Any:
    *outer, inputs, outputs = (int(n) for n in shape)
    flat = library.reshape(rows, (outputs, -1))[:, : inputs * math.prod(outer)]
    whole = library.reshape(flat, (outputs, inputs, math.prod(outer)))
    return library.reshape(library.transpose(whole, (2, 1, 0)), shape)
