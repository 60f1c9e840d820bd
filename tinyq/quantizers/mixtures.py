"""Soft weight-sharing: a mixture of normal distributions that draws weights together."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

from keras import ops

from tinyq.quantizers.parts.steps import Axes
from tinyq.quantizers.tables import TableParts, TableQuantizer
from tinyq.quantizers.weights import WeightQuantizer


def mixture_surprise(weights: Any, means: Any, spreads: Any, logits: Any) -> Any:
    """How little a mixture of normal distributions expects the weights.

        R = -sum_i log sum_j p_j N(w_i; m_j, s_j),  p = softmax(logits),  s = exp(spreads)

    Args:
        weights: Real weights of any shape.
        means: Centers, shape (count,).
        spreads: Logarithms of the deviations, shape (count,).
        logits: Logarithms of the shares, not normalized, shape (count,).

    Reference: Nowlan and Hinton 1992, Neural Computation 4(4).
    """
    flat = ops.reshape(weights, (-1, 1))
    distance = ops.square((flat - means) * ops.exp(-spreads))
    shares = logits - ops.logsumexp(logits)
    density = shares - spreads - 0.5 * distance - 0.5 * math.log(2.0 * math.pi)
    return -ops.sum(ops.logsumexp(density, axis=-1))


@dataclass(frozen=True, slots=True)
class MixtureParts(TableParts):
    """A table whose levels are the means of a mixture that the penalty trains.

    Attributes:
        narrow: First deviation of each distribution, in parts of the distance between levels.
    """

    narrow: float = field(default=0.5, kw_only=True)

    def build(self, axes: Axes, **options: Any) -> WeightQuantizer:
        """The quantizer."""
        return MixtureQuantizer(self, axes, **options)

    def _penalizes(self) -> bool:
        """True: how little the mixture expects the weights."""
        return True


class MixtureQuantizer(TableQuantizer):
    """Float training with a mixture as a penalty; the device has the nearest mean.

    Args:
        parts: Parts of the method.
        axes: Axes of the kernel over which one scale is shared.
    """

    parts: MixtureParts

    def build(self, shape: Any) -> None:
        """Create means, deviations and shares."""
        super().build(shape)
        count = (self.parts.table.count,)
        self.spreads = self.add_weight(name="spreads", shape=count, initializer="zeros")
        self.logits = self.add_weight(name="logits", shape=count, initializer="zeros")

    def _levels(self, positions: Any) -> tuple[Any, Any]:
        levels, grain = super()._levels(positions)
        return ops.sort(levels), grain

    def _trained(self, weights: Any) -> Any:
        fresh = ops.equal(self.seen.value, 0.0)
        value = super()._trained(weights)
        reach = ops.max(self.table) - ops.min(self.table)
        first = ops.log(ops.maximum(reach, 1e-6) * (self.parts.narrow / self.parts.table.count))
        self.spreads.assign(ops.where(fresh, first, self.spreads))
        return value

    def _penalize(self, weights: Any, value: Any) -> None:
        """Add the mixture's surprise to the loss."""
        del value
        parts = (self.table, self.spreads, self.logits)
        surprise = mixture_surprise(weights, *(ops.convert_to_tensor(part) for part in parts))
        self.add_loss(self.parts.procedure.strength * surprise)
