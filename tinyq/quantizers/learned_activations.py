"""Activations whose step or clipping level is learned."""

from __future__ import annotations

from typing import Any

from keras import ops

from tinyq.quantizers.activations import UnsignedQuantizer
from tinyq.quantizers.parts.gradients import (
    Derivative,
    below_level,
    clip_slope,
    damp,
    inside,
    step_slope,
    with_gradient,
    with_learned_step,
)
from tinyq.quantizers.parts.learned import LearnedNumber
from tinyq.quantizers.parts.slopes import calibrated_clip_slope

DECAY = 2e-4


class LearnedQuantizer(UnsignedQuantizer):
    """Base of unsigned quantizers with one trained number that the first batch sets."""

    def build(self, input_shape: Any) -> None:
        """Create the trained number."""
        del input_shape
        self.learned = LearnedNumber(name="learned")
        self.learned.build(())
        self.seen = self._state("seen", 0.0, trainable=False)

    def ready(self) -> bool:
        """Whether a batch has been seen."""
        return bool(ops.convert_to_numpy(self.seen.value) > 0)

    def fitting(self, values: Any) -> Any:
        """The number that suits the first batch, 0 where no value is positive."""
        raise NotImplementedError

    def _observed(self, values: Any) -> Any:
        """The trained number; the first batch that tells something sets it."""
        self.seen.assign(ops.ones_like(self.seen))
        return self.learned.observe(lambda: self.fitting(values))


class StepQuantizer(LearnedQuantizer):
    """Unsigned codes with a learned step.

        v     = x / step
        y     = step * clip(floor(v + 1/2), 0, n),  n = 2**bits - 1
        dy/dx = 1 if 0 <= v <= n else 0
        dy/dstep = g * (floor(v + 1/2) - v if 0 <= v <= n; 0 below; n above),
                   g = 1 / sqrt(values per sample * n)

    The first batch sets step = 2 * mean(max(x, 0)) / sqrt(n).

    Args:
        bits: Bits of the codes, 1 .. 8.
        slope: Another derivative by the step, of v and n.

    Reference: Esser et al. 2020, arXiv:1902.08153.
    """

    def __init__(self, bits: int, slope: Derivative | None = None, **options: Any) -> None:
        super().__init__(bits, **options)
        self.slope = slope

    def build(self, input_shape: Any) -> None:
        """Create the step."""
        count = 1
        for length in input_shape[1:]:
            count *= length
        self.gradient_scale = 1.0 / (count * self.max_code) ** 0.5
        super().build(input_shape)

    def scale(self) -> Any:
        """The step."""
        return self.learned.value()

    def fitting(self, values: Any) -> Any:
        """Step that suits the first batch."""
        return ops.mean(ops.relu(values)) * (2.0 / float(self.max_code) ** 0.5)

    def estimators(self) -> dict[str, Derivative]:
        """Gradient estimators."""
        return {"x": inside, "step": self.slope or step_slope}

    def call(self, inputs: Any, training: bool = False) -> Any:
        """Fake-quantized values."""
        step = self._observed(inputs) if training and self.observes else self.scale()
        step, highest = damp(step, self.gradient_scale), float(self.max_code)
        slope = self.slope
        if slope is None:
            return with_learned_step(self._codes, 0.0, highest)(inputs, step)
        return with_gradient(
            self._quantized,
            lambda x, s: inside(x * (1.0 / s), 0.0, highest),
            lambda x, s: slope(x * (1.0 / s), highest),
        )(inputs, step)


class ClipQuantizer(LearnedQuantizer):
    """Unsigned codes up to a learned clipping level.

        y     = a / n * clip(floor(x * n / a + 1/2), 0, n),  n = 2**bits - 1
        dy/dx = 1 if 0 <= x < a else 0
        dy/da = 1 if x >= a else 0

    The first batch sets a to its maximum; a term decay * a**2 of the loss draws it down.

    Args:
        bits: Bits of the codes, 1 .. 8.
        decay: Strength of that term.

    Reference: survey eq. 45 to 47, with 2**k - 1 steps; Choi et al. 2018, arXiv:1805.06085.
    """

    def __init__(self, bits: int, decay: float = DECAY, **options: Any) -> None:
        super().__init__(bits, **options)
        self.decay = decay

    def scale(self) -> Any:
        """Level over number of steps."""
        return self.learned.value() * (1.0 / self.max_code)

    def fitting(self, values: Any) -> Any:
        """Largest value of the first batch."""
        return ops.maximum(ops.max(values), 0.0)

    def slope(self, values: Any, level: Any) -> Any:
        """Derivative by the level."""
        return clip_slope(values, level)

    def estimators(self) -> dict[str, Derivative]:
        """Gradient estimators."""
        return {"x": below_level, "level": clip_slope}

    def call(self, inputs: Any, training: bool = False) -> Any:
        """Fake-quantized values."""
        level = self._observed(inputs) if training and self.observes else self.learned.value()
        self.add_loss(self.decay * ops.square(level))

        def forward(x: Any, a: Any) -> Any:
            return self._quantized(x, a * (1.0 / self.max_code))

        return with_gradient(forward, below_level, self.slope)(inputs, level)


class CalibratedClipQuantizer(ClipQuantizer):
    """Unsigned codes up to a learned clipping level, whose gradient counts what rounding adds.

        dy/da = q(x / a) - x / a for 0 <= x < a, 1 for x >= a, 0 below

    Reference: Jin et al. 2019, arXiv:1912.10207 (CG-PACT).
    """

    def slope(self, values: Any, level: Any) -> Any:
        """Derivative by the level."""
        return calibrated_clip_slope(values, level, self.max_code)

    def estimators(self) -> dict[str, Derivative]:
        """Gradient estimators."""
        return {"x": below_level, "level": calibrated_clip_slope}
