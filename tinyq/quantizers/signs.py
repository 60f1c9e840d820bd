"""Activations of one bit: the sign, perhaps after a learned shift."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
from keras import ops

from tinyq.quantizers.activations import ActivationQuantizer
from tinyq.quantizers.encoding import Encoding
from tinyq.quantizers.parts.gradients import Derivative, clipped_identity, with_gradient
from tinyq.quantizers.parts.levels import sign
from tinyq.quantizers.procedure import is_at_end


class SignQuantizer(ActivationQuantizer):
    """The sign.

        y = -1 if x < 0 else +1
        dy/dx = derivative(x), or derivative(x, setting) with a schedule

    Args:
        derivative: Gradient estimator.
        schedule: Setting of the estimator at a share of the training.

    Format: b1.
    Reference: survey eq. 3 and 31; Courbariaux et al. 2016, arXiv:1602.02830.
    """

    def __init__(
        self,
        derivative: Derivative = clipped_identity,
        schedule: Callable[[float], float] | None = None,
        **options: Any,
    ) -> None:
        super().__init__("b1", **options)
        self.derivative = derivative
        self.schedule = schedule

    def build(self, input_shape: Any) -> None:
        """Create the setting."""
        del input_shape
        if self.schedule is not None:
            start = keras.initializers.Constant(self.schedule(0.0))
            self.setting = self.add_weight(
                name="setting", shape=(), initializer=start, trainable=False
            )

    @property
    def has_procedure(self) -> bool:
        """Whether ``advance`` changes anything."""
        return self.schedule is not None

    def finished(self) -> bool:
        """Whether the setting is that of the end."""
        return self.schedule is None or is_at_end(self.setting, self.schedule)

    def advance(self, progress: float) -> None:
        """Set what follows a schedule."""
        if self.schedule is not None:
            self.setting.assign(self.schedule(progress))

    def encoding(self) -> Encoding:
        """Scale 1: a code is its own real value."""
        one = ops.ones((), "float32")
        return Encoding(self.format, one, ops.zeros_like(one))

    def estimators(self) -> dict[str, Derivative]:
        """Gradient estimators."""
        return {"x": self.derivative}

    def call(self, inputs: Any, training: bool = False) -> Any:
        """Signs."""
        del training
        if self.schedule is None:
            return with_gradient(sign, self.derivative)(inputs)
        return with_gradient(
            lambda x, setting: sign(x), self.derivative, lambda x, setting: ops.zeros_like(x)
        )(inputs, self.setting)


class ShiftedSignQuantizer(SignQuantizer):
    """The sign of a value after a learned shift.

        u     = x + v
        y     = -1 if u < center else +1
        dy/dx = dy/dv = derivative(u)

    Args:
        derivative: Gradient estimator, of u.
        center: Value at which the sign changes.
        per_channel: Whether each channel has a shift of its own.

    Format: b1.
    Reference: survey eq. 42 to 44; Lin et al. 2017, arXiv:1711.11294; Liu et al. 2020,
        arXiv:2003.03488.
    """

    def __init__(
        self, derivative: Derivative, center: float = 0.0, per_channel: bool = False, **options: Any
    ) -> None:
        super().__init__(derivative, **options)
        self.center = center
        self.per_channel = per_channel

    def build(self, input_shape: Any) -> None:
        """Create the shift, which begins with a plain sign."""
        shape = (input_shape[-1],) if self.per_channel else ()
        initializer = keras.initializers.Constant(self.center)
        self.learned = self.add_weight(name="learned", shape=shape, initializer=initializer)

    def shift(self) -> Any:
        """Learned shift less the center."""
        return self.learned.value - self.center

    def estimators(self) -> dict[str, Derivative]:
        """Gradient estimators."""
        return {"x": self.derivative, "shift": self.derivative}

    def call(self, inputs: Any, training: bool = False) -> Any:
        """Signs."""
        del training

        def derivative(x: Any, v: Any) -> Any:
            return self.derivative(x + v)

        def forward(x: Any, v: Any) -> Any:
            return sign(x + (v - self.center))

        return with_gradient(forward, derivative, derivative)(inputs, self.learned)
