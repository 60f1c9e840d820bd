"""Signs that are drawn at random in training, or come at the end of it."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from tinyq.quantizers.parts.gradients import Derivative, with_gradient
from tinyq.quantizers.parts.levels import sign
from tinyq.quantizers.parts.slopes import stochastic_slope
from tinyq.quantizers.signs import SignQuantizer


class RandomSignQuantizer(SignQuantizer):
    """A random sign in training, the likelier one on the device.

        P(+1) = sigma(x) in training;  y = -1 if x < 0 else +1 on the device
        dy/dx = derivative(x)

    Args:
        derivative: Gradient estimator: that of the mean, or 1.

    Format: b1.
    Reference: Raiko et al. 2014, arXiv:1406.2989; Bengio et al. 2013, arXiv:1308.3432.
    """

    draws = True

    def __init__(self, derivative: Derivative = stochastic_slope, **options: Any) -> None:
        super().__init__(derivative, **options)
        self.noise = keras.random.SeedGenerator(3)

    def call(self, inputs: Any, training: bool = False) -> Any:
        """Signs."""
        if not training:
            return super().call(inputs)
        noise = keras.random.uniform(ops.shape(inputs), seed=self.noise)

        def forward(x: Any) -> Any:
            return sign(ops.sigmoid(x) - noise)

        return with_gradient(forward, self.derivative)(inputs)


class LateSignQuantizer(SignQuantizer):
    """A hyperbolic tangent in the first part of the training, then a sign.

        y = tanh(x) while setting < 1, then -1 if x < 0 else +1
        dy/dx = 1 - tanh(x)**2 while setting < 1, then derivative(x)

    Args:
        derivative: Gradient estimator of the sign.
        schedule: Setting at a share of the training.

    Format: b1.
    Reference: Kim and Smaragdis 2016, arXiv:1601.06071.
    """

    def call(self, inputs: Any, training: bool = False) -> Any:
        """Values of training, or signs."""
        if not training:
            return sign(inputs)

        def forward(x: Any, setting: Any) -> Any:
            return ops.where(setting >= 1.0, sign(x), ops.tanh(x))

        return with_gradient(forward, self.derivative, lambda x, s: ops.zeros_like(x))(
            inputs, self.setting
        )
