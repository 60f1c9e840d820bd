"""Signs of weights that are turned first, so that they lie nearer to the signs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from keras import ops

from tinyq.quantizers.parts.sorting import call_numpy
from tinyq.quantizers.parts.steps import Axes
from tinyq.quantizers.weights import WeightParts, WeightQuantizer

_TURNS = 3


def fit_rotations(
    weights: np.ndarray, first: np.ndarray, second: np.ndarray, turns: int = _TURNS
) -> tuple[np.ndarray, np.ndarray]:
    """Two rotations that bring the matrices of all channels near to their signs.

        B  = sign(R_1' W R_2)
        R_1 = U V',  U S V' = sum_c W_c R_2 B_c'
        R_2 = U V',  U S V' = sum_c W_c' R_1 B_c

    by turns; each lowers sum_c |B_c - R_1' W_c R_2|**2.

    Args:
        weights: W, shape (channels, rows, columns).
        first: R_1 to begin with, shape (rows, rows).
        second: R_2 to begin with, shape (columns, columns).
        turns: How many.

    Reference: Lin et al. 2020, arXiv:2009.13055, eq. 9 to 14.
    """
    for _ in range(turns):
        signs = np.where(rotate(weights, first, second) < 0, -1.0, 1.0)
        first = _nearest_rotation(np.einsum("cij,jk,clk->il", weights, second, signs))
        signs = np.where(rotate(weights, first, second) < 0, -1.0, 1.0)
        second = _nearest_rotation(np.einsum("cij,ik,ckl->jl", weights, first, signs))
    return first, second


def rotate(weights: np.ndarray, first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """R_1' W R_2 of each channel, shape (channels, rows, columns)."""
    return np.asarray(first.T @ weights @ second)


def _nearest_rotation(matrix: np.ndarray) -> np.ndarray:
    left, _, right = np.linalg.svd(matrix)
    return np.asarray(left @ right)


def part_length(length: int) -> tuple[int, int]:
    """Rows and columns of a matrix of as many numbers, as square as can be."""
    rows = max(n for n in range(1, math.isqrt(length) + 1) if length % n == 0)
    return rows, length // rows


@dataclass(frozen=True, slots=True)
class RotationParts(WeightParts):
    """What signs of turned weights are made of.

        v   = prepare(w)
        v'  = v + |sin(beta)| (R_1' v R_2 - v)
        w_q = sign(v') mean |v'|

    with the weights of a channel as a matrix. The rotations are fitted at each stage of the
    training and change nothing at first; the angle beta is trained from a quarter turn on.
    """

    def build(self, axes: Axes, **options: Any) -> WeightQuantizer:
        """The quantizer."""
        return RotationQuantizer(self, axes, **options)


class RotationQuantizer(WeightQuantizer):
    """Quantizes a kernel to signs after a rotation.

    Args:
        parts: Parts of the method.
        axes: Axes of the kernel over which one scale is shared.
    """

    parts: RotationParts

    def build(self, shape: Any) -> None:
        """Create rotations and angle."""
        super().build(shape)
        rows, columns = part_length(math.prod(shape[axis] for axis in self.reduced_axes))
        self.first = self._rotation("first", rows)
        self.second = self._rotation("second", columns)
        self.angle = self.add_weight(
            name="angle", shape=(), initializer=keras.initializers.Constant(math.pi / 2.0)
        )

    def _rotation(self, name: str, size: int) -> Any:
        return self.add_weight(
            name=name, shape=(size, size), initializer="identity", trainable=False
        )

    def _prepared(self, kernel: Any) -> Any:
        ready = super()._prepared(kernel)
        turned = _turn(
            ready,
            ops.convert_to_tensor(self.first),
            ops.convert_to_tensor(self.second),
            self.reduced_axes,
        )
        share = ops.abs(ops.sin(ops.convert_to_tensor(self.angle)))
        return ready + share * (turned - ready)

    def advance(self, kernel: Any, progress: float) -> None:
        """Set the sharpness, and turn anew towards the signs."""
        super().advance(kernel, progress)
        ready = WeightQuantizer._prepared(self, ops.convert_to_tensor(kernel))
        matrices = _to_matrices(
            ops.convert_to_numpy(ready).astype(np.float64),
            self.reduced_axes,
            self.first.shape[0],
        )
        first, second = (
            ops.convert_to_numpy(part).astype(np.float64) for part in (self.first, self.second)
        )
        found = fit_rotations(matrices, first, second)
        self.first.assign(found[0])
        self.second.assign(found[1])


def _to_matrices(weights: np.ndarray, axes: Sequence[int], rows: int) -> np.ndarray:
    """Weights by channel as matrices, shape (channels, rows, columns)."""
    kept = [axis for axis in range(weights.ndim) if axis not in axes]
    moved = weights.transpose(*kept, *axes)
    count = math.prod(weights.shape[axis] for axis in kept)
    return np.ascontiguousarray(moved).reshape(count, rows, -1)


def _from_matrices(matrices: np.ndarray, axes: Sequence[int], shape: Sequence[int]) -> np.ndarray:
    order = [axis for axis in range(len(shape)) if axis not in axes] + list(axes)
    moved = matrices.reshape([shape[axis] for axis in order])
    return np.ascontiguousarray(moved.transpose(np.argsort(order)))


def _turn(weights: Any, first: Any, second: Any, axes: Axes) -> Any:
    """R_1' W R_2 by NumPy, so that a graph gives what a call gives; with the gradient by W."""

    def forward(values: np.ndarray, left: np.ndarray, right: np.ndarray) -> np.ndarray:
        matrices = _to_matrices(values, axes, left.shape[0])
        turned = rotate(matrices, left, right).astype(np.float32)
        return _from_matrices(turned, axes, values.shape)

    @keras.ops.custom_gradient
    def apply(values: Any) -> Any:
        result = call_numpy(forward, [values, first, second], values.shape)

        def backward(*args: Any, upstream: Any = None) -> Any:
            (upstream,) = args if upstream is None else (upstream,)
            back = ops.transpose(first), ops.transpose(second)
            return call_numpy(forward, [upstream, *back], values.shape)

        return result, backward

    return apply(ops.copy(weights))
