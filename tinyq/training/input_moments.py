"""Codes of weights by the moments of a layer's inputs: without a gradient, in closed form."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
from keras import ops

from tinyq.training.weighted import WeightedLayer

_BATCH = 32
_DAMPING = 0.01  # of the mean of the diagonal
_SWEEPS = 3

Reals = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Ends:
    """What codes may be.

    Attributes:
        lo: Smallest code.
        hi: Largest code.
        fixed: Weights that stay at the nearest code, bool, shape (inputs, outputs).
    """

    lo: int
    hi: int
    fixed: npt.NDArray[np.bool_]

    def nearest(self, positions: Reals) -> Reals:
        """The nearest codes."""
        return np.clip(np.floor(positions + 0.5), self.lo, self.hi)


Round = Callable[[Reals, Reals, Ends], Reals]
"""Codes of positions (inputs, outputs), in steps, from the inputs' moments (inputs, inputs)."""


def round_in_turn(positions: Reals, moments: Reals, ends: Ends) -> Reals:
    """One input after another; what is still to come makes up for the error.

        U'U = (X'X + d I)^-1, U upper;  e = (p_i - q_i) / U_ii;  p_j -= e U_ij for j > i

    Args:
        positions: p, weights in steps, shape (inputs, outputs).
        moments: X'X, shape (inputs, inputs).
        ends: Codes that may be.

    Reference: Frantar et al. 2022, arXiv:2210.17323, algorithm 1.
    """
    size = len(moments)
    damping = _DAMPING * max(float(np.trace(moments)) / size, 1e-12)
    inverse = np.linalg.inv(moments + damping * np.eye(size))
    upper = np.linalg.cholesky((inverse + inverse.T) / 2.0).T
    left, codes = positions.copy(), ends.nearest(positions)
    for place in range(size):
        own = ends.nearest(left[place])
        codes[place] = np.where(ends.fixed[place], codes[place], own)
        error = (left[place] - codes[place]) / upper[place, place]
        left[place + 1 :] -= np.outer(upper[place, place + 1 :], error)
    return codes


def round_bit_by_bit(positions: Reals, moments: Reals, ends: Ends) -> Reals:
    """One bit of all codes after another, each weight's the best for what the others are.

        code  = sum_m 2**(m - 1) t_m,  t_m in {-1, 0, 1}
        t_m,i = clip(floor((H r)_i / (2**(m - 1) H_ii) + t_m,i + 1/2), -1, 1),  r = p - code

    so that r' H r never grows.

    Args:
        positions: p, weights in steps, shape (inputs, outputs).
        moments: H = X'X, shape (inputs, inputs).
        ends: Codes that may be; the smallest is the largest's negative.

    Reference: Wang et al. 2022, Optimization-based post-training quantization with bit-split and
        stitching, eq. 6 to 11.
    """
    codes = ends.nearest(positions)
    count = int(ends.hi).bit_length()
    size = np.abs(codes).astype(int)
    bits = np.stack([np.sign(codes) * (size >> place & 1) for place in range(count)])
    pull = moments @ (positions - codes)
    diagonal = np.diag(moments)
    for _ in range(_SWEEPS):
        for bit in reversed(range(count)):
            for place in np.flatnonzero(diagonal > 0.0):
                old = bits[bit, place]
                best = old + pull[place] / (2.0**bit * diagonal[place])
                new = np.where(ends.fixed[place], old, np.clip(np.floor(best + 0.5), -1, 1))
                change = 2.0**bit * (new - old)
                if change.any():
                    bits[bit, place] = new
                    pull -= np.outer(moments[:, place], change)
    return np.asarray(np.tensordot(2.0 ** np.arange(count), bits, 1))


ROUNDINGS: Mapping[str, Round] = MappingProxyType(
    {"gptq": round_in_turn, "bit_split": round_bit_by_bit}
)


def round_by_moments(
    layer: WeightedLayer, inputs: np.ndarray, position: np.ndarray, ends: Ends, name: str
) -> np.ndarray | None:
    """Codes of a layer's kernel, or None where its products are of another kind.

    Args:
        layer: Convolution or dense layer.
        inputs: Its real inputs.
        position: Kernel in steps.
        ends: Codes that may be; ``fixed`` has the kernel's shape.
        name: Key of ``ROUNDINGS``.
    """
    groups = _count_groups(layer)
    if groups is None:
        return None
    kernels, fixed = (
        _to_groups(values, groups, layer) for values in (position.astype(np.float64), ends.fixed)
    )
    found = [
        ROUNDINGS[name](kernel, moments, Ends(ends.lo, ends.hi, held))
        for kernel, moments, held in zip(
            kernels, gather_moments(layer, inputs, groups), fixed, strict=True
        )
    ]
    return np.stack(found).transpose(1, 0, 2).reshape(position.shape).astype(np.float32)


def gather_moments(layer: WeightedLayer, inputs: np.ndarray, groups: int) -> Reals:
    """Sums of products of what a group's weights are multiplied by, shape (groups, n, n)."""
    count = int(np.prod(layer.kernel.shape[:-1])) // (groups if _is_depthwise(layer) else 1)
    kernel = _make_probe(layer, groups, count)
    total = np.zeros((groups, count, count))
    for start in range(0, len(inputs), _BATCH):
        batch = ops.convert_to_tensor(inputs[start : start + _BATCH])
        seen = ops.convert_to_numpy(layer.accumulate(batch, ops.convert_to_tensor(kernel)))
        rows = seen.reshape(-1, groups, count).astype(np.float64)
        total += np.einsum("rgi,rgj->gij", rows, rows, optimize=True)
    return total


def _make_probe(layer: WeightedLayer, groups: int, count: int) -> np.ndarray:
    """A kernel whose sums are single inputs: output g * count + i is input i of group g."""
    eye = np.eye(count, dtype=np.float32)
    if _is_depthwise(layer):
        spread = np.repeat(eye[:, None, :], groups, axis=1)
        return spread.reshape(*layer.kernel.shape[:-1], count)
    return np.tile(eye, (1, groups)).reshape(*layer.kernel.shape[:-1], groups * count)


def _is_depthwise(layer: Any) -> bool:
    return isinstance(layer, keras.layers.DepthwiseConv2D | keras.layers.DepthwiseConv1D)


def _count_groups(layer: Any) -> int | None:
    """Groups of inputs that have weights of their own; None for other kinds of layers."""
    if _is_depthwise(layer):
        return int(layer.kernel.shape[-2])
    if isinstance(layer, keras.layers.Dense):
        return 1
    plain = isinstance(layer, keras.layers.Conv1D | keras.layers.Conv2D | keras.layers.Conv3D)
    return int(layer.groups) if plain else None


def _to_groups(values: np.ndarray, groups: int, layer: Any) -> np.ndarray:
    """A kernel as (groups, inputs, outputs)."""
    if _is_depthwise(layer):
        return values.reshape(-1, groups, values.shape[-1]).transpose(1, 0, 2)
    flat = values.reshape(-1, groups, values.shape[-1] // groups)
    return flat.transpose(1, 0, 2)
