"""Activations whose levels lie at equal distances, and whose thresholds are trained."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from tinyq.quantizers.activations import UnsignedQuantizer
from tinyq.quantizers.encoding import Encoding
from tinyq.quantizers.parts.gradients import Derivative, damp
from tinyq.quantizers.parts.learned import LearnedNumber
from tinyq.quantizers.parts.stairs import count_reached


class ThresholdQuantizer(UnsignedQuantizer):
    """Unsigned codes whose thresholds are trained.

        ends   S_0 = 0, S_i = S_(i-1) + a_i;  T_i = (S_(i-1) + S_i) / 2
        y      = s * (number of T_i <= x)
        dy/dx  = s / a_i for S_(i-1) <= x < S_i, else 0
        dy/da_i = -s / a_i * (x - S_(i-1)) / a_i within segment i, -s / a_j for x in segment j > i
        dy/ds  = the code

    That is the slope of the broken line through the ends (S_i, i s), and of the line by its
    corners. The first batch makes all segments and the step 2 * mean(max(x, 0)) / sqrt(n).

    Args:
        bits: Bits of the codes, 2 .. 4.

    Reference: Liu et al. 2022, arXiv:2111.14826, eq. 5 to 9 (generalized straight-through).
    """

    def build(self, input_shape: Any) -> None:
        """Create segments and step."""
        count = 1
        for length in input_shape[1:]:
            count *= length
        self.gradient_scale = 1.0 / (count * self.max_code) ** 0.5
        self.learned = LearnedNumber(name="learned")
        self.learned.build(())
        self.segments = LearnedNumber(name="segments")
        self.segments.build((self.max_code,))
        self.seen = self._state("seen", 0.0, trainable=False)

    def ready(self) -> bool:
        """Whether a batch has been seen."""
        return bool(ops.convert_to_numpy(self.seen.value) > 0)

    def scale(self) -> Any:
        """Real value of one code step."""
        return self.learned.value()

    def encoding(self) -> Encoding:
        """Scale, zero point and borders as they are now."""
        scale = self.scale()
        levels = tuple(range(self.format.lo, self.format.lo + self.max_code + 1))
        zero = ops.ones_like(scale) * self.format.lo
        borders = _middles(self.segments.value()) / scale
        return Encoding(self.format, scale, zero, levels[-1], levels, borders)

    def estimators(self) -> dict[str, Derivative]:
        """Gradient estimators."""
        return {"x": segment_slope, "step": code_slope, "segments": corner_slope}

    def call(self, inputs: Any, training: bool = False) -> Any:
        """Fake-quantized values."""
        if training and self.observes:
            self.seen.assign(ops.ones_like(self.seen))

            def fit() -> Any:
                return ops.mean(ops.relu(inputs)) * (2.0 / float(self.max_code) ** 0.5)

            step = self.learned.observe(fit)
            lengths = self.segments.observe(lambda: fit() * ops.ones((self.max_code,)))
        else:
            step, lengths = self.scale(), self.segments.value()
        factor = self.gradient_scale
        return climb_segments(inputs, damp(lengths, factor), damp(step, factor))


def _middles(lengths: Any) -> Any:
    return ops.cumsum(lengths) - 0.5 * lengths


def climb_segments(values: Any, lengths: Any, step: Any) -> Any:
    """Codes times a step, with the derivatives of a broken line.

    Args:
        values: x, any shape.
        lengths: a, shape (n,), positive.
        step: s, without axes.

    Returns:
        y, the shape of the values; see ``ThresholdQuantizer``.
    """

    @keras.ops.custom_gradient
    def apply(x: Any, a: Any, s: Any) -> Any:
        codes = count_reached(x / s, _middles(a) / s)

        def backward(*args: Any, upstream: Any = None) -> Any:
            (upstream,) = args if upstream is None else (upstream,)
            own, share, _ = _place(x, a)
            slope = segment_slope(x, a, s)
            count = a.shape[0]
            flat, index = ops.reshape(upstream * slope, (-1,)), ops.reshape(own, (-1,))
            whole = ops.segment_sum(flat, index, count)
            corner = corner_slope(ops.reshape(share, (-1,)), flat)
            part = ops.segment_sum(corner, index, count)
            after = ops.flip(ops.cumsum(ops.flip(whole, 0)), 0) - whole
            return upstream * slope, part - after, ops.sum(upstream * code_slope(codes))

        return codes * s, backward

    return apply(ops.copy(values), ops.copy(lengths), ops.copy(step))


def _place(values: Any, lengths: Any) -> tuple[Any, Any, Any]:
    """Segment of each value, the share of it that lies below, and whether it lies in one."""
    ends = ops.cumsum(lengths)
    own = ops.cast(count_reached(values, ends), "int32")
    within = ops.cast(ops.logical_and(values >= 0, values < ends[-1]), values.dtype)
    own = ops.minimum(own, lengths.shape[0] - 1)
    share = (values - (ops.take(ends, own) - ops.take(lengths, own))) / ops.take(lengths, own)
    return own, share, within


def code_slope(codes: Any) -> Any:
    """Derivative of a code times a step by the step.

    dy/ds = code
    """
    return codes


def corner_slope(share: Any, slope: Any) -> Any:
    """Derivative of a broken line by the length of the value's own segment.

        dy/da_i = -slope * (x - S_(i-1)) / a_i

    Args:
        share: (x - S_(i-1)) / a_i.
        slope: s / a_i.

    Reference: Liu et al. 2022, arXiv:2111.14826.
    """
    return -slope * share


def segment_slope(values: Any, lengths: Any, step: Any) -> Any:
    """Generalized straight-through estimator: the slope of the own segment.

        dy/dx = s / a_i for S_(i-1) <= x < S_i, else 0

    Args:
        values: x.
        lengths: a, shape (n,).
        step: s.

    Reference: Liu et al. 2022, arXiv:2111.14826, eq. 9.
    """
    own, _, within = _place(values, lengths)
    return within * step / ops.take(lengths, own)
