"""Bits as trained planes, which a penalty empties one by one."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from keras import ops

from tinyq.exploration.gates import Gate, count_bits
from tinyq.quantizers.parts.gradients import with_gradient

_PLANES = 7  # beside the sign of 8 bits
_ROUNDS = 4  # how often planes become whole bits again in the course of training
_TINY = 1e-12


class BitPlaneGate(Gate):
    """The kernel as planes of bits for positive and for negative weights, all trained.

        w = s round(sum_b 2^b m_b (P_b - N_b)),  0 <= P, N <= 2, the slope of round being 1
        R = mean over planes of m_b sqrt(mean(P_b^2 + N_b^2))

    Four times in a training the codes become bits anew, and planes that are empty at either end go
    (m_b = 0). What is left, with the sign, is the number of bits.

    Reference: Yang et al. 2021, BSQ, arXiv:2102.10462, eq. 3 to 6 and section 3.3.
    """

    replaces_kernel = True

    def build(self, input_shape: Any = None) -> None:
        """Create planes from the layer's kernel."""
        del input_shape
        kernel = np.asarray(ops.convert_to_numpy(self.find_owner().kernel), np.float64)
        self.unit = float(np.abs(kernel).max()) / (2**_PLANES - 1) or 1.0
        shape = (_PLANES, *kernel.shape)
        self.positive, self.negative = (
            self.add_weight(
                name=name,
                shape=shape,
                initializer="zeros",
                constraint=lambda values: ops.clip(values, 0.0, 2.0),
            )
            for name in ("positive", "negative")
        )
        self.mask = self.add_weight(
            name="mask", shape=(_PLANES,), initializer="ones", trainable=False
        )
        self.bits_of = np.array([count_bits(method) for method in self.methods], np.int64)
        self.round = 0
        self._split(np.rint(kernel / self.unit).astype(np.int64))
        self.built = True

    def kernel(self) -> Any:
        """The kernel that the planes say."""
        return self.unit * _round(self._sum())

    def cost(self) -> Any:
        """The cost of its planes as they are, in parts of the base."""
        squares = ops.square(self.positive) + ops.square(self.negative)
        sizes = ops.sqrt(ops.mean(squares, axis=tuple(range(1, len(squares.shape)))) + _TINY)
        least = float(self.costs.min())
        return least + (float(self.costs[0]) - least) * ops.mean(self.mask * sizes)

    def advance(self, progress: float) -> None:
        """Make planes whole bits again and drop empty ones, when a quarter of training is over."""
        if int(progress * _ROUNDS) > self.round:
            self.round = int(progress * _ROUNDS)
            self._split(self._codes())

    def bits(self) -> int:
        """Bits between the highest and the lowest plane that has any, and a sign."""
        used = np.flatnonzero(_find_bits(np.abs(self._codes())).reshape(_PLANES, -1).any(axis=1))
        return 2 if not len(used) else int(used[-1] - used[0]) + 2

    def choose(self) -> int:
        """The method of the fewest bits that are enough, else the most exact."""
        enough = [place for place, own in enumerate(self.bits_of) if own >= self.bits()]
        return min(enough, key=lambda place: self.bits_of[place], default=0)

    def _sum(self) -> Any:
        weights = ops.reshape(
            self.mask * 2.0 ** np.arange(_PLANES, dtype=np.float32),
            (_PLANES, *(1,) * (len(self.positive.shape) - 1)),
        )
        return ops.sum(weights * (self.positive - self.negative), axis=0)

    def _codes(self) -> npt.NDArray[np.int64]:
        most = 2**_PLANES - 1
        found = np.rint(ops.convert_to_numpy(self._sum())).astype(np.int64)
        return np.clip(found, -most, most)

    def _split(self, codes: npt.NDArray[np.int64]) -> None:
        """Planes of whole bits; those above the highest and below the lowest one go for good."""
        planes = _find_bits(np.abs(codes))
        self.positive.assign((planes & (codes > 0)).astype(np.float32))
        self.negative.assign((planes & (codes < 0)).astype(np.float32))
        used = np.flatnonzero(planes.reshape(_PLANES, -1).any(axis=1))
        kept = np.zeros(_PLANES, np.float32)
        if len(used):
            kept[used[0] : used[-1] + 1] = 1.0
        self.mask.assign(self.mask * kept)


def _find_bits(codes: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    places = np.arange(_PLANES).reshape(-1, *(1,) * codes.ndim)
    return (codes[None] >> places & 1).astype(bool)


def _round(values: Any) -> Any:
    return with_gradient(ops.round, ops.ones_like)(values)
