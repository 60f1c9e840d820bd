"""Rounding of weights as a trained choice between two codes."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops

_STRETCH, _SHIFT = 1.2, -0.1  # of the sigmoid, so that it reaches 0 and 1
_LARGEST = 1e-3  # parts of a step that a weight may be away from the largest code


class Rounding(keras.layers.Layer):
    """Whether each weight of a kernel goes up or down to a code, as a trained number.

        h   = clip(1.2 * sigmoid(v) - 0.1, 0, 1)
        w_q = scale * clip(floor(w / scale) + h, lo, hi)

    At first h is the fraction of w / scale. Weights at the largest code stay there, for the scale
    follows from them.

    Args:
        position: Kernel in parts of its scale, float32.
        scale: Real value of a code step, dimensions kept.
        ends: Smallest and largest code.

    Reference: Nagel et al. 2020, arXiv:2004.10568, eq. 22 to 25.
    """

    def __init__(
        self, position: np.ndarray, scale: np.ndarray, ends: tuple[int, int], **options: Any
    ) -> None:
        super().__init__(**options)
        self.ends = ends
        self.position = position
        self.scale = scale.astype(np.float32)
        nearest = np.floor(position + 0.5)
        self.fixed = np.abs(position) >= ends[1] - _LARGEST
        self.floor = np.where(self.fixed, nearest, np.floor(position)).astype(np.float32)
        self.fraction = np.where(self.fixed, 0.0, position - self.floor).astype(np.float32)
        self.free = (~self.fixed).astype(np.float32)

    def build(self, input_shape: Any = None) -> None:
        """Create the trained numbers."""
        del input_shape
        share = np.clip((self.fraction - _SHIFT) / _STRETCH, 1e-4, 1.0 - 1e-4)
        self.place = self.add_weight(
            name="place",
            shape=self.floor.shape,
            initializer=lambda shape, dtype: ops.cast(np.log(share / (1.0 - share)), dtype),
        )
        self.built = True

    def up(self) -> Any:
        """How far each weight has gone up, 0 .. 1."""
        return ops.clip(_STRETCH * ops.sigmoid(self.place) + _SHIFT, 0.0, 1.0) * self.free

    def kernel(self) -> Any:
        """The kernel with the weights between their two codes."""
        return ops.clip(self.floor + self.up(), *map(float, self.ends)) * self.scale

    def undecided(self, sharpness: Any) -> Any:
        """Mean over weights of ``1 - |2 h - 1|**sharpness``: 0 where all are up or down."""
        distance = ops.abs(2.0 * self.up() - 1.0)
        # The power of 0 has no slope at 0.
        power = ops.power(ops.maximum(distance, 1e-6), sharpness)
        return ops.mean((1.0 - power) * self.free)

    def codes(self) -> np.ndarray:
        """The codes that are decided for, float32 integers."""
        up = ops.convert_to_numpy(self.up()) >= 0.5
        return np.clip(self.floor + up, *self.ends).astype(np.float32)

    def nearest(self) -> np.ndarray:
        """The nearest codes, float32 integers."""
        return np.clip(self.floor + np.floor(self.fraction + 0.5), *self.ends).astype(np.float32)
