"""Equal steps whose weights' gradients are scaled by how far a weight is from its code."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from keras import ops

from tinyq.quantizers.parts.slopes import scale_by_distance
from tinyq.quantizers.parts.steps import Axes
from tinyq.quantizers.weights import WeightParts, WeightQuantizer


@dataclass(frozen=True, slots=True)
class DistanceParts(WeightParts):
    """What a quantizer with gradients by distance is made of.

        g = dL/dw as the parts give it
        dL/dw = g (1 + factor sign(g) (w / step - code))

    Attributes:
        factor: How much distances count.

    Reference: Lee et al. 2021, arXiv:2104.00903.
    """

    factor: float = field(default=0.2, kw_only=True)

    def build(self, axes: Axes, **options: Any) -> WeightQuantizer:
        """The quantizer."""
        return DistanceQuantizer(self, axes, **options)


class DistanceQuantizer(WeightQuantizer):
    """Quantizes a kernel as its parts say, with other gradients.

    Args:
        parts: Parts of the method.
        axes: Axes of the kernel over which one step is shared.
    """

    parts: DistanceParts

    def _trained(self, weights: Any) -> Any:
        step = self._step(weights)
        positions = weights / step
        levels = self.parts.levels
        within = ops.clip(positions, float(levels.lo), float(levels.hi))
        apart = ops.stop_gradient(within - levels.encode(weights, step))
        return super()._trained(scale_by_distance(weights, apart, self.parts.factor))
