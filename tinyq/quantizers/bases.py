"""Weights as sums of signs: a few numbers for each channel, each added or subtracted."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import combinations
from typing import Any

import numpy as np
from keras import ops

from tinyq.numerics.formats import Format, find_format
from tinyq.quantizers.parts.clusters import MOST
from tinyq.quantizers.parts.gradients import with_gradient
from tinyq.quantizers.parts.levels import sign
from tinyq.quantizers.parts.rounding import round_half_up
from tinyq.quantizers.parts.sorting import call_numpy
from tinyq.quantizers.parts.steps import Axes
from tinyq.quantizers.weights import WeightParts, WeightQuantizer

Signs = Callable[[Any, Any, Axes], Any]
SMALLEST = 1e-8


def nearest_signs(weights: Any, basis: Any, axes: Axes) -> Any:
    """Signs of the sum that comes next to each weight.

        e = argmin |w - sum_i e_i v_i| over e in {-1, +1}**count

    Args:
        weights: Real weights.
        basis: Numbers v, shape (count, ...), the rest as reductions of the weights keep it.
        axes: Axes over which a basis is shared.

    Returns:
        Signs, shape (count, *shape of the weights).

    Reference: survey eq. 7, with thresholds in the middle of neighbouring levels.
    """
    del axes
    patterns = _list_patterns(basis.shape[0])
    sums = ops.tensordot(ops.convert_to_tensor(patterns), basis, 1)
    return call_numpy(_choose_signs, [weights, sums], (basis.shape[0], *weights.shape))


def _list_patterns(count: int) -> np.ndarray:
    """Signs of all sums, float32, shape (2**count, count): bits of 0, 1 .. as -1 and +1."""
    return np.array(list(itertools.product((-1.0, 1.0), repeat=count)), np.float32)


def _choose_signs(weights: np.ndarray, sums: np.ndarray) -> np.ndarray:
    """Signs of the nearest of the sums, whose first axis goes through the patterns."""
    order = np.argsort(sums, axis=0, kind="stable").astype(np.uint8)
    levels = np.take_along_axis(sums, order, axis=0)
    reached = np.zeros(weights.shape, np.uint8)
    for middle in np.float32(0.5) * (levels[:-1] + levels[1:]):
        reached += weights > middle
    granules = np.arange(sums[0].size).reshape(sums.shape[1:])
    # One flat index is several times as quick as one for each axis.
    pattern = np.take(order, reached * np.intp(sums[0].size) + granules)
    signs = np.empty((len(sums).bit_length() - 1, *weights.shape), np.float32)
    for place in range(len(signs)):
        bit = pattern >> (len(signs) - 1 - place) & 1
        np.subtract(2.0 * bit.astype(np.float32), 1.0, out=signs[place])
    return signs


def shifted_signs(weights: Any, basis: Any, axes: Axes) -> Any:
    """Signs of weights that are moved by shares of their deviation.

        e_i = sign(w - mean(w) + u_i std(w)),  u_i = -1 + 2 i / (count - 1)

    Reference: survey eq. 21; Lin et al. 2017, arXiv:1711.11294.
    """
    count = basis.shape[0]
    centered = weights - ops.mean(weights, axis=axes, keepdims=True)
    variance = ops.mean(ops.square(centered), axis=axes, keepdims=True)
    deviation = ops.sqrt(ops.maximum(variance, SMALLEST**2))
    shifts = [-1.0 + 2.0 * i / (count - 1) for i in range(count)]
    return ops.stack([sign(centered + shift * deviation) for shift in shifts])


def fit_basis(weights: Any, signs: Any, axes: Axes) -> Any:
    """The numbers with the least squared error for given signs.

        v = (B B^T)^-1 B w

    Args:
        weights: Real weights.
        signs: B, shape (count, *shape of the weights).
        axes: Axes over which a basis is shared.

    Returns:
        v, shape (count, ...), dimensions kept.

    Reference: survey eq. 16 and 21; Zhang et al. 2018, arXiv:1807.10029.
    """
    count = signs.shape[0]
    shared = float(np.prod([weights.shape[axis] for axis in axes]))

    def mean(values: Any) -> Any:
        return ops.mean(values, axis=axes, keepdims=True)

    alike = {pair: mean(signs[pair[0]] * signs[pair[1]]) for pair in combinations(range(count), 2)}
    one = ops.ones_like(mean(weights))
    gram = ops.stack(
        [
            ops.stack([alike.get((min(i, j), max(i, j)), one) for j in range(count)], -1)
            for i in range(count)
        ],
        -2,
    )
    # Signs that are all alike for two numbers have no inverse without this.
    gram = gram + ops.eye(count) * (1e-5 + 1.0 / shared * 1e-3)
    projected = ops.stack([mean(signs[i] * weights) for i in range(count)], -1)
    found = ops.solve(gram, ops.expand_dims(projected, -1))[..., 0]
    return ops.moveaxis(found, -1, 0)


@dataclass(frozen=True, slots=True)
class BasisParts(WeightParts):
    """What a weight quantizer of sums of signs is made of.

        codes = sum_i e_i floor(v_i / scale + 1/2),  scale = sum_i |v_i| / 125
        w_q   = codes * scale

    Attributes:
        count: Numbers in a basis.
        signs: Signs of each weight.
        momentum: Share of the old basis that a step of the training keeps.
    """

    count: int = field(default=2, kw_only=True)
    signs: Signs = field(default=nearest_signs, kw_only=True)
    momentum: float = field(default=0.9, kw_only=True)

    def build(self, axes: Axes, **options: Any) -> WeightQuantizer:
        """The quantizer."""
        return BasisQuantizer(self, axes, **options)


class BasisQuantizer(WeightQuantizer):
    """Quantizes a kernel to sums of signs; each step of the training fits the basis.

    Args:
        parts: Parts of the method.
        axes: Axes of the kernel over which one scale is shared.
    """

    parts: BasisParts

    def build(self, shape: Any) -> None:
        """Create the basis."""
        super().build(shape)
        rest = (1 if axis in self.reduced_axes else n for axis, n in enumerate(shape))
        self.basis = self._state("basis", (self.parts.count, *rest))
        self.seen = self._state("seen", ())

    @property
    def magnitude(self) -> int:
        """Largest absolute code."""
        return MOST

    def format(self, kernel: Any) -> Format:
        """Number format of the codes, with the basis of each output channel."""
        whole, _ = self._whole(self._basis(ops.convert_to_tensor(kernel)))
        channels = ops.ones_like(ops.max(ops.abs(kernel), axis=self.axes, keepdims=True))
        rows = ops.convert_to_numpy(whole * channels).reshape(self.parts.count, -1).T
        basis = [[int(number) for number in row] for row in rows]
        return find_format(self.parts.format).with_basis(basis, self.channel_axis)

    def split(self, kernel: Any) -> tuple[Any, Any]:
        """Codes (float32 integers, shape of the kernel) and scales (dimensions kept)."""
        weights = ops.convert_to_tensor(kernel)
        return self._coded(weights, self._basis(weights))

    def _coded(self, weights: Any, basis: Any) -> tuple[Any, Any]:
        whole, scale = self._whole(basis)
        signs = self.parts.signs(weights, whole * scale, self.reduced_axes)
        channels = ops.ones_like(ops.max(weights, axis=self.axes, keepdims=True))
        return ops.sum(signs * whole, axis=0), scale * channels

    def _whole(self, basis: Any) -> tuple[Any, Any]:
        """The basis as integers, and the real value of 1."""
        scale = ops.sum(ops.abs(basis), axis=0) * (1.0 / (MOST - 2))
        scale = ops.where(scale > 0, scale, ops.ones_like(scale))
        return round_half_up(basis / scale), scale

    def _basis(self, weights: Any) -> Any:
        weights = ops.stop_gradient(weights)
        return ops.cond(
            self.seen.value > 0,
            lambda: ops.convert_to_tensor(self.basis),
            lambda: self._first(weights),
        )

    def _first(self, weights: Any) -> Any:
        """A basis for weights of which nothing is known yet."""
        mean = ops.mean(ops.abs(weights), axis=self.reduced_axes, keepdims=True)
        basis = ops.stack([mean * 2.0**-i for i in range(self.parts.count)])
        for _ in range(6):
            basis = self._refined(weights, basis)
        return basis

    def _refined(self, weights: Any, basis: Any) -> Any:
        signs = self.parts.signs(weights, basis, self.reduced_axes)
        return fit_basis(weights, signs, self.reduced_axes)

    def _trained(self, weights: Any) -> Any:
        """Quantized weights with their gradient; the basis moves towards the one that fits."""
        fixed = ops.stop_gradient(weights)
        basis = self._basis(fixed)
        keep = self.parts.momentum
        basis = keep * basis + (1.0 - keep) * self._refined(fixed, basis)
        self.basis.assign(basis)
        self.seen.assign(ops.ones_like(self.seen))

        def forward(values: Any) -> Any:
            codes, scale = self._coded(values, basis)
            return codes * scale

        return with_gradient(forward, self.parts.gradient)(weights)
