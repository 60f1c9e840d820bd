"""Two levels at any place: a center for each channel, and a distance on either side."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from keras import ops

from tinyq.quantizers.bases import BasisParts, BasisQuantizer
from tinyq.quantizers.parts.levels import sign
from tinyq.quantizers.parts.steps import Axes
from tinyq.quantizers.weights import WeightQuantizer


def centered_signs(weights: Any, basis: Any, axes: Axes) -> Any:
    """The sign of the distance from the mean, and always +1 for the mean itself.

        e_1 = sign(w - mean(w)),  e_2 = 1

    Args:
        weights: Real weights.
        basis: Distance and center, shape (2, ...).
        axes: Axes over which both are shared.

    Returns:
        Signs, shape (2, *shape of the weights).

    Reference: Tu et al. 2022, arXiv:2208.08084, eq. 7.
    """
    del basis
    side = sign(weights - ops.mean(weights, axis=axes, keepdims=True))
    return ops.stack([side, ops.ones_like(side)])


@dataclass(frozen=True, slots=True)
class CenterParts(BasisParts):
    """What adaptive binary sets are made of.

        w_q = a sign(w - b) + b,  b = mean(w),  a = deviation(w)

    Reference: Tu et al. 2022, arXiv:2208.08084, eq. 8.
    """

    def build(self, axes: Axes, **options: Any) -> WeightQuantizer:
        """The quantizer."""
        return CenterQuantizer(self, axes, **options)


class CenterQuantizer(BasisQuantizer):
    """Quantizes a kernel to two levels of each channel, which follow from its weights.

    Args:
        parts: Parts of the method.
        axes: Axes of the kernel over which both levels are shared.
    """

    def _basis(self, weights: Any) -> Any:
        return self._first(ops.stop_gradient(weights))

    def _first(self, weights: Any) -> Any:
        return self._refined(weights, None)

    def _refined(self, weights: Any, basis: Any) -> Any:
        del basis
        center = ops.mean(weights, axis=self.reduced_axes, keepdims=True)
        power = ops.mean(ops.square(weights - center), axis=self.reduced_axes, keepdims=True)
        return ops.stack([ops.sqrt(ops.maximum(power, 1e-16)), center])
