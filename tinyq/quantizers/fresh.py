"""Weights on levels that are fitted to the master weights in every step."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from keras import ops

from tinyq.quantizers.parts.gradients import with_gradient
from tinyq.quantizers.parts.steps import Axes
from tinyq.quantizers.tables import TableParts, TableQuantizer
from tinyq.quantizers.weights import WeightQuantizer


@dataclass(frozen=True, slots=True)
class FreshTableParts(TableParts):
    """What a weight quantizer is made of whose table has no state: it follows the weights."""

    def build(self, axes: Axes, **options: Any) -> WeightQuantizer:
        """The quantizer."""
        return FreshTableQuantizer(self, axes, **options)


class FreshTableQuantizer(TableQuantizer):
    """Quantizes a kernel to the levels that fit it at this moment.

    Args:
        parts: Parts of the method.
        axes: Axes of the kernel over which one scale is shared.
    """

    def build(self, shape: Any) -> None:
        """Create what the procedure needs; the levels need nothing."""
        WeightQuantizer.build(self, shape)

    def _levels(self, positions: Any) -> tuple[Any, Any]:
        """Ascending levels and the grain of these weights."""
        return self._fitted(positions)

    def _trained(self, weights: Any) -> Any:
        """Quantized weights with their gradient."""

        def forward(values: Any) -> Any:
            positions = self._normalized(values)
            levels, grain = self._levels(positions)
            codes, scale = self._coded(
                values, levels, grain, self._choose(positions, levels, grain)
            )
            return codes * scale

        return with_gradient(forward, lambda values: ops.ones_like(values))(weights)
