"""Activations with codes on both sides of 0: behind a linear layer, a sum, a tanh."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from tinyq.quantizers.activations import ActivationQuantizer
from tinyq.quantizers.encoding import Encoding
from tinyq.quantizers.parts.gradients import (
    below_magnitude,
    damp,
    inside,
    outside,
    signed_clip_slope,
    step_slope,
    with_gradient,
    with_learned_step,
)
from tinyq.quantizers.parts.learned import LearnedNumber
from tinyq.quantizers.parts.rounding import round_half_up

_DECAY = 2e-4
# Shares of the whole range among which the first batch chooses the one of least squared error.
_SHARES = tuple(share / 16.0 for share in range(16, 3, -1))
_WHOLE_BITS = 8


def signed_format(bits: int) -> str:
    """Number format of signed codes: that of as many bits, from 5 bits on s8."""
    return f"s{bits}" if bits <= 4 else "s8"


class SignedQuantizer(ActivationQuantizer):
    """Base of quantizers with one trained step and codes on both sides of 0.

        y = scale * clip(floor(x / scale + 1/2), lo, hi)

    Codes of 2, 3 and 4 bits have formats s2, s3 and s4, those of 5 to 8 bits lie within s8.

    Args:
        bits: Bits of the codes, 2 .. 8.
        lo: Smallest code; ``-2**(bits - 1)`` when None.
    """

    def __init__(self, bits: int, lo: int | None = None, **options: Any) -> None:
        super().__init__(signed_format(bits), **options)
        self.hi = 2 ** (bits - 1) - 1
        self.lo = -self.hi - 1 if lo is None else lo

    def build(self, input_shape: Any) -> None:
        """Create the trained number."""
        count = 1
        for length in input_shape[1:]:
            count *= length
        self.gradient_scale = 1.0 / (count * self.hi) ** 0.5
        self.learned = LearnedNumber(name="learned")
        self.learned.build(())
        self.seen = self._state("seen", 0.0)

    def _state(self, name: str, value: float, trainable: bool = False) -> Any:
        initializer = keras.initializers.Constant(value)
        return self.add_weight(name=name, shape=(), initializer=initializer, trainable=trainable)

    def ready(self) -> bool:
        """Whether a batch has been seen."""
        return bool(ops.convert_to_numpy(self.seen.value) > 0)

    def scale(self) -> Any:
        """Real value of one code step, float32 tensor without axes."""
        raise NotImplementedError

    def fitting(self, values: Any) -> Any:
        """The number that suits the first batch, 0 where all values are 0."""
        raise NotImplementedError

    def encoding(self) -> Encoding:
        """Scale and zero point as they are now."""
        scale = self.scale()
        return Encoding(self.format, scale, ops.zeros_like(scale), self.hi, floor=self.lo)

    def _observed(self, values: Any) -> Any:
        """The trained number; the first batch that tells something sets it."""
        self.seen.assign(ops.ones_like(self.seen))
        return self.learned.observe(lambda: self.fitting(values))


class SignedStepQuantizer(SignedQuantizer):
    """Signed codes with a learned step.

        v     = x / step
        y     = step * clip(floor(v + 1/2), lo, hi),  lo = -2**(bits - 1), hi = 2**(bits - 1) - 1
        dy/dx = 1 if lo <= v <= hi else 0
        dy/dstep = g * (floor(v + 1/2) - v inside, lo below, hi above),
                   g = 1 / sqrt(values per sample * hi)

    The first batch sets step = 2 * mean |x| / sqrt(hi).

    Reference: Esser et al. 2020, arXiv:1902.08153, section 2.
    """

    def scale(self) -> Any:
        """The step."""
        return self.learned.value()

    def fitting(self, values: Any) -> Any:
        """Step that suits the first batch."""
        return ops.mean(ops.abs(values)) * (2.0 / float(self.hi) ** 0.5)

    def estimators(self) -> dict[str, Any]:
        """Gradient estimators."""
        return {"x": inside, "step": step_slope}

    def call(self, inputs: Any, training: bool = False) -> Any:
        """Fake-quantized values."""
        step = self._observed(inputs) if training and self.observes else self.scale()
        lo, hi = float(self.lo), float(self.hi)

        def encode(values: Any, width: Any) -> Any:
            return ops.clip(round_half_up(values * (1.0 / width)), lo, hi)

        return with_learned_step(encode, lo, hi)(inputs, damp(step, self.gradient_scale))


class SignedClipQuantizer(SignedQuantizer):
    """Signed codes up to a learned clipping level, as many on either side.

        y     = a / n * clip(floor(x * n / a + 1/2), -n, n),  n = 2**(bits - 1) - 1
        dy/dx = 1 if -a < x < a else 0
        dy/da = 1 if x >= a, -1 if x <= -a, else 0

    The first batch sets a to its largest magnitude; a term decay * a**2 of the loss draws it down.

    Reference: Choi et al. 2018, arXiv:1805.06085, with both signs.
    """

    def __init__(self, bits: int, decay: float = _DECAY, **options: Any) -> None:
        super().__init__(bits, lo=1 - 2 ** (bits - 1), **options)
        self.decay = decay

    def scale(self) -> Any:
        """Level over number of steps."""
        return self.learned.value() * (1.0 / self.hi)

    def fitting(self, values: Any) -> Any:
        """Largest magnitude of the first batch."""
        return ops.max(ops.abs(values))

    def estimators(self) -> dict[str, Any]:
        """Gradient estimators."""
        return {"x": below_magnitude, "level": signed_clip_slope}

    def call(self, inputs: Any, training: bool = False) -> Any:
        """Fake-quantized values."""
        level = self._observed(inputs) if training and self.observes else self.learned.value()
        self.add_loss(self.decay * ops.square(level))

        def forward(x: Any, a: Any) -> Any:
            step = a * (1.0 / self.hi)
            return ops.clip(round_half_up(x * (1.0 / step)), self.lo, self.hi) * step

        return with_gradient(forward, below_magnitude, signed_clip_slope)(inputs, level)


class OffsetStepQuantizer(SignedStepQuantizer):
    """Codes with a learned step and a learned place of 0 among them.

        z        = clip(floor(zero + 1/2), lo, hi), the zero point
        v        = x / step
        y        = step * clip(floor(v + 1/2), lo - z, hi - z)
        dy/dx    = 1 inside, else 0
        dy/dstep = g * (floor(v + 1/2) - v inside, lo - z below, hi - z above)
        dy/dzero = -step * g outside, else 0,  g = 1 / sqrt(values per sample * hi)

    An offset -step * zero of any size, as in the paper, is rounded to whole steps, so that real 0
    is a code. The first batch sets both to that share of its range which has the least squared
    error.

    Reference: Bhalgat et al. 2020, arXiv:2004.09576.
    """

    def build(self, input_shape: Any) -> None:
        """Create step and zero."""
        super().build(input_shape)
        self.zero = self._state("zero", 0.0, trainable=True)

    def encoding(self) -> Encoding:
        """Scale and zero point as they are now."""
        place = self._place(self.zero.value)
        return Encoding(self.format, self.scale(), place, self.hi, floor=self.lo)

    def _place(self, zero: Any) -> Any:
        return ops.clip(round_half_up(zero), float(self.lo), float(self.hi))

    def estimators(self) -> dict[str, Any]:
        """Gradient estimators."""
        return {"x": inside, "step": step_slope, "zero": outside}

    def fitting(self, values: Any) -> Any:
        """Step that suits the first batch."""
        return self._fit(values)[0]

    def _fit(self, values: Any) -> tuple[Any, Any]:
        """Step and zero of least squared error; step 0 where all values are 0."""
        low, high = ops.minimum(ops.min(values), 0.0), ops.maximum(ops.max(values), 0.0)
        best = ops.cast(float("inf"), "float32")
        step, zero = ops.zeros_like(best), ops.zeros_like(best)
        for share in _SHARES:
            # One constant, because a graph would gather two in an order of its own.
            width = (high - low) * (share / (self.hi - self.lo))
            safe = ops.where(width > 0, width, ops.ones_like(width))
            place = self._place(self.lo - share * low / safe)
            codes = ops.clip(round_half_up(values / safe), self.lo - place, self.hi - place)
            error = ops.mean(ops.square(codes * safe - values))
            better = error < best
            best = ops.where(better, error, best)
            step, zero = ops.where(better, width, step), ops.where(better, place, zero)
        return step, zero

    def _observed(self, values: Any) -> Any:
        """The step; the first batch that tells something sets it, and zero."""
        self.seen.assign(ops.ones_like(self.seen))
        known, zero = self.learned.known(), ops.convert_to_tensor(self.zero)
        first = ops.convert_to_tensor(self.learned.first)
        step, place = ops.cond(
            known, lambda: (first, zero), lambda: self._fit(ops.stop_gradient(values))
        )
        self.zero.assign(ops.where(ops.logical_or(known, step <= 0), zero, place))
        return self.learned.observe(lambda: step)

    def call(self, inputs: Any, training: bool = False) -> Any:
        """Fake-quantized values."""
        step = self._observed(inputs) if training and self.observes else self.scale()
        scale = self.gradient_scale
        zero = damp(ops.convert_to_tensor(self.zero), scale)

        def ends(place: Any) -> tuple[Any, Any]:
            place = self._place(place)
            return self.lo - place, self.hi - place

        def forward(x: Any, s: Any, z: Any) -> Any:
            return ops.clip(round_half_up(x * (1.0 / s)), *ends(z)) * s

        def by_input(x: Any, s: Any, z: Any) -> Any:
            return inside(x * (1.0 / s), *ends(z))

        def by_step(x: Any, s: Any, z: Any) -> Any:
            v = x * (1.0 / s)
            return step_slope(ops.clip(round_half_up(v), *ends(z)), v, *ends(z))

        def by_zero(x: Any, s: Any, z: Any) -> Any:
            return -s * outside(x * (1.0 / s), *ends(z))

        return with_gradient(forward, by_input, by_step, by_zero)(inputs, damp(step, scale), zero)
