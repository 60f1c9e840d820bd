"""Numbers that training learns: steps and clipping levels."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
from keras import ops

from tinyq.quantizers.parts.gradients import with_gradient

SMALLEST_SHARE = 2.0**-10


class LearnedNumber(keras.layers.Layer):
    """A trained positive number, kept as a multiple of its first value.

        number          = first * max(factor, 2**-10), or max(factor, 2**-10) while first is 0
        dnumber/dfactor = 1 / first

    Optimizers such as Adam move a variable by about the learning rate, however small it is: a step
    of 0.01 would cross zero within a few of them, its factor does not. The derivative is chosen so
    that plain gradient descent moves the number as if it were the variable itself.

    Args:
        options: Options of a Keras layer.

    Reference: Esser et al. 2020, arXiv:1902.08153, section 2.2 (updates in proportion).
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.supports_jit = False

    def build(self, shape: Any) -> None:
        """Create the first value, 0 as long as nothing is known, and the factor."""
        self.first = self.add_weight(
            name="first", shape=shape, initializer="zeros", trainable=False
        )
        self.factor = self.add_weight(name="factor", shape=shape, initializer="ones")
        self.built = True

    def value(self) -> Any:
        """The number as it is now, float32."""
        return _multiply(self._whole(ops.convert_to_tensor(self.first)), self.factor)

    def known(self) -> Any:
        """Whether there is a first value; bool, the number's shape."""
        return ops.convert_to_tensor(self.first) > 0

    def observe(self, fit: Callable[[], Any]) -> Any:
        """The number, whose first value is set where it has none.

        Args:
            fit: Gives a first value from data, 0 where they tell nothing.
        """
        known = self.known()
        fitting = ops.cond(
            ops.all(known),
            lambda: ops.convert_to_tensor(self.first),
            lambda: ops.stop_gradient(fit()),
        )
        first = ops.where(known, self.first, fitting)
        self.first.assign(first)
        return _multiply(self._whole(first), self.factor)

    def set(self, value: Any) -> None:
        """Make a value the first one."""
        self.first.assign(value)
        self.factor.assign(ops.ones_like(self.factor))

    def _whole(self, first: Any) -> Any:
        return ops.where(first > 0, first, ops.ones_like(first))


def _multiply(first: Any, factor: Any) -> Any:
    """Product with the derivative above."""
    return with_gradient(
        lambda share: first * ops.maximum(share, SMALLEST_SHARE), lambda share: 1.0 / first
    )(factor)
