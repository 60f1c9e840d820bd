"""Steps made of hyperbolic tangents: hard on the way forward, soft on the way back."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import keras
from keras import ops

from tinyq.quantizers.learned_activations import LearnedQuantizer
from tinyq.quantizers.parts.gradients import Derivative, damp, inside, with_gradient
from tinyq.quantizers.parts.slopes import (
    soft_step_slope,
    soft_width_slope,
    softness_slope,
)
from tinyq.quantizers.parts.steps import Axes
from tinyq.quantizers.weights import WeightParts, WeightQuantizer

SMALLEST_SOFTNESS, LARGEST_SOFTNESS = 1e-2, 0.5


@keras.saving.register_keras_serializable("tinyq")
class SoftnessRange(keras.constraints.Constraint):
    """Keeps a trained softness where the stairway has steps."""

    def __call__(self, value: Any) -> Any:
        """The nearest softness that may be."""
        return ops.clip(value, SMALLEST_SOFTNESS, LARGEST_SOFTNESS)


def add_softness(layer: keras.layers.Layer, first: float) -> Any:
    """A trained softness of a layer."""
    return layer.add_weight(
        name="softness",
        shape=(),
        initializer=keras.initializers.Constant(first),
        constraint=SoftnessRange(),
    )


@dataclass(frozen=True, slots=True)
class SoftStepParts(WeightParts):
    """What a weight quantizer with soft steps is made of.

        codes = levels.encode(w, step),  w_q = codes * step
        dw_q/dw, dw_q/dstep and dw_q/dsoftness are those of ``step * soft_step(w / step, softness)``

    Attributes:
        softness: First value of the trained softness.
    """

    softness: float = field(default=0.2, kw_only=True)

    def build(self, axes: Axes, **options: Any) -> WeightQuantizer:
        """The quantizer."""
        return SoftStepQuantizer(self, axes, **options)


class SoftStepQuantizer(WeightQuantizer):
    """Quantizes a kernel to equal steps whose width and softness are trained.

    Args:
        parts: Parts of the method.
        axes: Axes of the kernel over which one step is shared.
    """

    parts: SoftStepParts

    def build(self, shape: Any) -> None:
        """Create step and softness."""
        super().build(shape)
        self.softness = add_softness(self, self.parts.softness)

    def _trained(self, weights: Any) -> Any:
        """Quantized weights with derivatives by weights, step and softness."""
        parts, levels = self.parts, self.parts.levels
        assert parts.learned is not None
        count = ops.size(weights) // ops.size(self.unit.first)
        step = self.unit.observe(lambda: parts.step(weights, self.reduced_axes))
        factor = parts.learned.factor(int(count), levels.hi)
        lo, hi = float(levels.lo), float(levels.hi)

        def forward(values: Any, width: Any, softness: Any) -> Any:
            del softness
            return levels.encode(values, width) * width

        return with_gradient(forward, *_slopes(lo, hi))(
            weights, damp(step, factor), damp(ops.convert_to_tensor(self.softness), factor)
        )


class SoftStepActivations(LearnedQuantizer):
    """Unsigned codes whose steps have a trained width and softness.

        v     = x / s
        y     = s * clip(floor(v + 1/2), 0, n),  n = 2**bits - 1
        dy/dx, dy/ds and dy/da are those of s * soft_step(v, a) within 0 <= v <= n

    The first batch sets s = 2 * mean(max(x, 0)) / sqrt(n).

    Args:
        bits: Bits of the codes.
        softness: First value of the trained softness a.

    Reference: Gong et al. 2019, arXiv:1908.05033.
    """

    def __init__(self, bits: int, softness: float = 0.2, **options: Any) -> None:
        super().__init__(bits, **options)
        self.first_softness = softness

    def build(self, input_shape: Any) -> None:
        """Create width and softness."""
        super().build(input_shape)
        count = 1
        for length in input_shape[1:]:
            count *= length
        self.gradient_scale = 1.0 / (count * self.max_code) ** 0.5
        self.softness = add_softness(self, self.first_softness)

    def scale(self) -> Any:
        """The width."""
        return self.learned.value()

    def fitting(self, values: Any) -> Any:
        """Width that suits the first batch."""
        return ops.mean(ops.relu(values)) * (2.0 / float(self.max_code) ** 0.5)

    def estimators(self) -> dict[str, Derivative]:
        """Gradient estimators."""
        return {"x": soft_step_slope, "step": soft_width_slope, "softness": softness_slope}

    def call(self, inputs: Any, training: bool = False) -> Any:
        """Fake-quantized values."""
        step = self._observed(inputs) if training and self.observes else self.scale()
        softness = damp(ops.convert_to_tensor(self.softness), self.gradient_scale)

        def forward(x: Any, width: Any, soft: Any) -> Any:
            del soft
            return self._quantized(x, width)

        return with_gradient(forward, *_slopes(0.0, float(self.max_code)))(
            inputs, damp(step, self.gradient_scale), softness
        )


def _slopes(lo: float, hi: float) -> tuple[Derivative, Derivative, Derivative]:
    """Derivatives by value, width and softness."""

    def by_value(x: Any, width: Any, softness: Any) -> Any:
        v = x * (1.0 / width)
        return inside(v, lo, hi) * soft_step_slope(v, softness)

    def by_width(x: Any, width: Any, softness: Any) -> Any:
        return soft_width_slope(x * (1.0 / width), softness, lo, hi)

    def by_softness(x: Any, width: Any, softness: Any) -> Any:
        v = x * (1.0 / width)
        return inside(v, lo, hi) * softness_slope(v, softness) * width

    return by_value, by_width, by_softness
