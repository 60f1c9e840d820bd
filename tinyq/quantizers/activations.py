"""Activations: what a layer hands to the next, in a format of few bits."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
from keras import ops

from tinyq.numerics.formats import Format, find_format
from tinyq.quantizers.encoding import Encoding
from tinyq.quantizers.parts.gradients import (
    Derivative,
    inside,
    with_gradient,
)
from tinyq.quantizers.parts.rounding import round_half_up

SMALLEST_RANGE = 1e-6


class ActivationQuantizer(keras.layers.Layer):
    """Base of activation quantizers: fake quantization in training, an encoding for inference.

    Attributes:
        format: Number format of the codes.
        rounds_to_even: Whether a half goes to the even code in inference, else up.
    """

    format: Format
    rounds_to_even: bool = False
    observes: bool = True
    """Whether what training shows changes the encoding, other than by gradients."""

    def __init__(self, format_name: str, **options: Any) -> None:
        super().__init__(**options)
        self.format = find_format(format_name)
        self.supports_jit = False

    def encoding(self) -> Encoding:
        """Scale and zero point as they are now."""
        raise NotImplementedError

    def estimators(self) -> dict[str, Derivative]:
        """Gradient estimators by what they differentiate by, such as ``x`` or ``step``.

        A quantizer that names none leaves it to the reader of its class.
        """
        return {}

    def shift(self) -> Any:
        """What is added to a value before its sign is taken; float32, per channel or without axes.

        Formats of more than two codes have none.
        """
        return 0.0

    @property
    def signed(self) -> bool:
        """Whether negative values have codes of their own; else they all become 0."""
        return self.format.lo < 0

    @property
    def has_procedure(self) -> bool:
        """Whether ``advance`` changes anything."""
        return type(self).advance is not ActivationQuantizer.advance

    def finished(self) -> bool:
        """Whether training has come to the end of the method's procedure, or there is none."""
        return True

    def advance(self, progress: float) -> None:
        """Set what follows a schedule.

        Args:
            progress: Share of the training that is over, 0 .. 1.
        """

    def ready(self) -> bool:
        """Whether the scale rests on data, so that the layer can be exported."""
        return True

    def compute_output_shape(self, input_shape: Any) -> Any:
        """Shape of the input."""
        return input_shape


class RangeQuantizer(ActivationQuantizer):
    """Affine codes over a range that follows the data.

        low, high   = moving averages of min(x, 0) and max(x, 0)
        scale       = (high - low) / 255
        zero_point  = clip(floor(-128 - low / scale + 1/2), -128, 127)
        y           = scale * clip(floor(x / scale + 1/2), -128 - zero_point, 127 - zero_point)
        dy/dx       = 1 within the range of the codes, else 0

    Real 0 is always a code. The first batch sets the averages.

    Args:
        fixed: A range that is known beforehand, instead of the averages.
        momentum: Share of the old average.

    Format: s8.
    Reference: Jacob et al. 2018, arXiv:1712.05877.
    """

    def __init__(
        self, fixed: tuple[float, float] | None = None, momentum: float = 0.95, **options: Any
    ) -> None:
        super().__init__("s8", **options)
        self.fixed = None if fixed is None else (float(fixed[0]), float(fixed[1]))
        self.momentum = momentum

    def build(self, input_shape: Any) -> None:
        """Create the range."""
        del input_shape
        low, high = self.fixed or (-1.0, 1.0)
        # A fixed range is a variable too: as a constant, a graph optimizer would turn the
        # division by it into a product, which rounds differently.
        self.low = self._weight("low", min(low, 0.0))
        self.high = self._weight("high", max(high, 0.0))
        self.seen = self._weight("seen", float(self.fixed is not None))

    def _weight(self, name: str, value: float) -> Any:
        initializer = keras.initializers.Constant(value)
        return self.add_weight(name=name, shape=(), initializer=initializer, trainable=False)

    def ready(self) -> bool:
        """Whether a batch has been seen or the range is fixed."""
        return bool(ops.convert_to_numpy(self.seen.value) > 0)

    def encoding(self) -> Encoding:
        """Scale and zero point as they are now."""
        return self._encoding(self.low.value, self.high.value)

    def _encoding(self, low: Any, high: Any) -> Encoding:
        scale = ops.maximum(high - low, SMALLEST_RANGE) * (1.0 / 255.0)
        lowest, highest = float(self.format.lo), float(self.format.hi)
        zero_point = ops.clip(round_half_up(lowest - low / scale), lowest, highest)
        return Encoding(self.format, scale, zero_point)

    def _observe(self, values: Any) -> tuple[Any, Any]:
        """Update the averages; the new low and high."""
        values = ops.stop_gradient(values)
        keep = ops.where(self.seen.value > 0, self.momentum, 0.0)
        low = keep * self.low + (1.0 - keep) * ops.minimum(ops.min(values), 0.0)
        high = keep * self.high + (1.0 - keep) * ops.maximum(ops.max(values), 0.0)
        self.low.assign(low)
        self.high.assign(high)
        self.seen.assign(ops.ones_like(self.seen))
        return low, high

    def estimators(self) -> dict[str, Derivative]:
        """Gradient estimators."""
        return {"x": inside}

    def call(self, inputs: Any, training: bool = False) -> Any:
        """Fake-quantized values."""
        observing = training and self.observes and self.fixed is None
        low, high = self._observe(inputs) if observing else (self.low.value, self.high.value)
        code = self._encoding(low, high)
        lowest = self.format.lo - code.zero_point
        highest = self.format.hi - code.zero_point
        inverse = 1.0 / code.scale

        def forward(x: Any) -> Any:
            return ops.clip(round_half_up(x * inverse), lowest, highest) * code.scale

        def derivative(x: Any) -> Any:
            return inside(x * inverse, lowest, highest)

        return with_gradient(forward, derivative)(inputs)


class UnsignedQuantizer(ActivationQuantizer):
    """Base of quantizers with a real 0 as the smallest code: a ReLU is part of them.

        y = scale * clip(floor(x / scale + 1/2), 0, n),  n = 2**bits - 1

    Up to four bits have format u4, more have s8 with zero point -128.

    Args:
        bits: Bits of the codes, 1 .. 8.
        planes: Whether codes of one or two bits lie in bit planes, format u2.
    """

    def __init__(self, bits: int, planes: bool = False, **options: Any) -> None:
        narrow = "u2" if planes and bits <= 2 else "u4"
        super().__init__(narrow if bits <= 4 else "s8", **options)
        self.max_code = 2**bits - 1

    @property
    def signed(self) -> bool:
        """False: 0 is the smallest code, in s8 too."""
        return False

    def scale(self) -> Any:
        """Real value of one code step, float32 tensor without axes."""
        raise NotImplementedError

    def encoding(self) -> Encoding:
        """Scale and zero point as they are now."""
        return self._encoding(self.scale())

    def _encoding(self, scale: Any) -> Encoding:
        lowest = self.format.lo
        return Encoding(self.format, scale, ops.ones_like(scale) * lowest, lowest + self.max_code)

    def _codes(self, values: Any, scale: Any) -> Any:
        return ops.clip(round_half_up(values * (1.0 / scale)), 0.0, float(self.max_code))

    def _quantized(self, values: Any, scale: Any) -> Any:
        return self._codes(values, scale) * scale

    def _state(self, name: str, value: float, **options: Any) -> Any:
        initializer = keras.initializers.Constant(value)
        return self.add_weight(name=name, shape=(), initializer=initializer, **options)


class FixedQuantizer(UnsignedQuantizer):
    """Unsigned codes with a step that is known beforehand.

        y     = step * clip(floor(x / step + 1/2), 0, n),  n = 2**bits - 1
        dy/dx = derivative(x, step * n)

    Args:
        bits: Bits of the codes, 1 .. 8.
        step: Real value of one code step.
        derivative: Gradient estimator, of the value and the largest level.

    Reference: survey eq. 6 with step = 1 / n; Zhou et al. 2016, arXiv:1606.06160.
    """

    def __init__(self, bits: int, step: float, derivative: Derivative, **options: Any) -> None:
        super().__init__(bits, **options)
        self.first_step = step
        self.derivative = derivative

    def build(self, input_shape: Any) -> None:
        """Create the step, a variable so that no optimizer turns its quotients into products."""
        del input_shape
        self.step = self._state("step", self.first_step, trainable=False)

    def scale(self) -> Any:
        """The step."""
        return self.step.value

    def estimators(self) -> dict[str, Derivative]:
        """Gradient estimators."""
        return {"x": self.derivative}

    def call(self, inputs: Any, training: bool = False) -> Any:
        """Fake-quantized values."""
        del training
        step = ops.convert_to_tensor(self.step)
        highest = self.first_step * self.max_code
        return with_gradient(
            lambda x: self._quantized(x, step), lambda x: self.derivative(x, highest)
        )(inputs)


ActivationBuilder = Callable[..., ActivationQuantizer]
