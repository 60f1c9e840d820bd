"""Bits and channels that train together: steps with ranges, and noise on channels."""

from __future__ import annotations

import math
from typing import Any

import keras
import numpy as np
from keras import ops

from tinyq.exploration.gates import ParametrizedGate

_FIRST_RATIO = 100.0  # of the squared mean to the variance of a channel's factor


class BottleneckGate(ParametrizedGate):
    """Trained steps and ranges, and a factor with noise for each channel of the layer's output.

        y_c  = z_c f(x)_c,  z_c = mu_c + sigma_c e,  e normal, drawn for each sample
        cost = a (1 - bits / 8) + k (1 - mean_c ln(1 + mu_c^2 / sigma_c^2) / ln 101)

    with a and k what the fewest bits and the fewest channels of the space save. A channel whose
    mu^2 falls below sigma^2 is one that says nothing.

    Reference: Wang et al. 2020, DJPQ, arXiv:2007.10463, eq. 3 to 9; Dai et al. 2018, Compressing
    neural networks using the variational information bottleneck, arXiv:1802.10399.
    """

    def build(self, input_shape: Any = None) -> None:
        """Create width, range, and means and variances of the factors."""
        super().build(input_shape)
        channels = (int(self.find_owner().compute_output_shape(self._input_shape())[-1]),)
        self.mean = self.add_weight(name="mean", shape=channels, initializer="ones")
        first = keras.initializers.Constant(-math.log(_FIRST_RATIO))
        self.log_variance = self.add_weight(name="log_variance", shape=channels, initializer=first)
        self.noise = keras.random.SeedGenerator(13)

    @property
    def prunes(self) -> bool:
        """Whether the layer may lose channels at all."""
        return min(self.keeps) < 1.0

    def pass_on(self, outputs: Any) -> Any:
        """Outputs of the layer times the factors of their channels."""
        if not self.prunes:
            return outputs
        shape = (ops.shape(outputs)[0], *(1,) * (len(outputs.shape) - 2), outputs.shape[-1])
        drawn = keras.random.normal(shape, seed=self.noise)
        return outputs * (self.mean + ops.exp(0.5 * self.log_variance) * drawn)

    def openness(self) -> Any:
        """How much the channels say, 1 at first."""
        ratio = ops.square(self.mean) * ops.exp(-self.log_variance)
        return ops.mean(ops.log(1.0 + ratio)) / math.log(1.0 + _FIRST_RATIO)

    def share(self) -> float:
        """Share of the channels that say something."""
        if not self.prunes:
            return 1.0
        squares = np.square(ops.convert_to_numpy(self.mean).astype(np.float64))
        return float(np.mean(squares > np.exp(ops.convert_to_numpy(self.log_variance))))

    def cost(self) -> Any:
        """The cost of its bits and channels, in parts of the base."""
        first = float(self.costs[0])
        by_bits = min(
            (cost for cost, keep in zip(self.costs, self.keeps, strict=True) if keep == 1.0),
            default=first,
        )
        by_channels = min(
            cost
            for cost, bits in zip(self.costs, self.bits_of, strict=True)
            if bits == self.bits_of[0]
        )
        spread = max(float(self.bits_of[0] - self.bits_of.min()), 1.0)
        fewer = (self.bits_of[0] - self.bits()) * (1.0 / spread)
        return (
            first
            + (float(by_bits) - first) * fewer
            + (float(by_channels) - first) * (1.0 - self.openness())
        )

    def choose(self) -> int:
        """The cheapest pair with enough bits and channels, else the first one."""
        bits = math.ceil(float(ops.convert_to_numpy(self.bits())) - 1e-3)
        share = self.share()
        enough = [
            place
            for place, (own, keep) in enumerate(zip(self.bits_of, self.keeps, strict=True))
            if own >= bits and keep >= share - 1e-6
        ]
        return min(enough, key=lambda place: (self.bits_of[place], self.keeps[place]), default=0)

    def _input_shape(self) -> tuple[Any, ...]:
        return tuple(self.find_owner().input.shape)
