"""Bits that are trained with the network: gates between methods, and steps with ranges."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from tinyq.numerics.formats import find_format
from tinyq.quantizers import find_weights
from tinyq.quantizers.parts.gradients import with_gradient
from tinyq.quantizers.parts.learned import LearnedNumber
from tinyq.training.weighted import WeightedLayer

FIRST_HEAT, LAST_HEAT = 5.0, 0.5
_MOST_CODES = 127
_FIRST_PLACE = 0.05


def count_bits(method: str) -> int:
    """Bits that a method of weights stores for each weight."""
    return find_format(find_weights(method).format).bits


class Gate(keras.layers.Layer):
    """Base of what decides about the bits of one layer's weights while its network trains.

    Args:
        layer: Quantized layer.
        methods: Methods of weights that it may have, the most exact first.
        costs: What each takes, in parts of the whole base, less what the first takes.
        keeps: Share of the channels that stay with each; all where nothing is said.

    Attributes:
        replaces_kernel: Whether the layer's own kernel does not train meanwhile.
    """

    replaces_kernel = False

    def __init__(
        self,
        layer: WeightedLayer,
        methods: Sequence[str],
        costs: Sequence[float],
        keeps: Sequence[float] = (),
    ) -> None:
        super().__init__(name=f"{layer.name}_gate")
        self.supports_jit = False
        # A function, because Keras would take a layer for a part of this one.
        self.find_owner = lambda: layer
        self.methods = tuple(methods)
        self.costs = np.array(costs, np.float32)
        self.keeps = tuple(keeps) or (1.0,) * len(self.methods)

    def kernel(self) -> Any:
        """The kernel that training computes with."""
        raise NotImplementedError

    def cost(self) -> Any:
        """What the layer takes as the gate is now, in parts of the base."""
        raise NotImplementedError

    def choose(self) -> int:
        """Index of the method that the gate has come to."""
        raise NotImplementedError

    def advance(self, progress: float) -> None:
        """Set what follows the share of the training that is over, 0 .. 1."""
        del progress

    def pass_on(self, outputs: Any) -> Any:
        """What the next layers get in training."""
        return outputs


class MixtureGate(Gate):
    """Base of gates that mix the kernels of all methods.

    w = sum_k m_k Q_k(w),  cost = sum_k m_k cost_k
    """

    def build(self, input_shape: Any = None) -> None:
        """Create a quantizer for each method."""
        del input_shape
        layer = self.find_owner()
        self.quantizers = []
        for method in self.methods:
            quantizer = find_weights(method).build(layer.shared_axes)
            quantizer.build(layer.kernel.shape)
            self.quantizers.append(quantizer)
        self.built = True

    def shares(self) -> Any:
        """m, shape (methods,), sum 1."""
        raise NotImplementedError

    def kernel(self) -> Any:
        """The mixture of the quantized kernels."""
        layer, shares = self.find_owner(), self.shares()
        self.drawn = shares
        parts = [quantizer(layer.kernel) for quantizer in self.quantizers]
        return sum(shares[place] * part for place, part in enumerate(parts))

    def cost(self) -> Any:
        """The mean cost of the methods."""
        return ops.sum(self.drawn * self.costs)


class GumbelGate(MixtureGate):
    """Shares drawn by trained logits, which become sharp as the heat falls.

        m = softmax((logits + g) / T),  g = -ln(-ln u), u uniform

    Reference: Wu et al. 2018, arXiv:1812.00090, eq. 7 to 9; Jang et al. 2017, arXiv:1611.01144.
    """

    def build(self, input_shape: Any = None) -> None:
        """Create logits and heat."""
        super().build(input_shape)
        count = (len(self.methods),)
        self.logits = self.add_weight(name="logits", shape=count, initializer="zeros")
        self.heat = self.add_weight(
            name="heat",
            shape=(),
            initializer=keras.initializers.Constant(FIRST_HEAT),
            trainable=False,
        )
        self.noise = keras.random.SeedGenerator(11)

    def shares(self) -> Any:
        """Shares drawn anew."""
        uniform = keras.random.uniform((len(self.methods),), 1e-6, 1.0 - 1e-6, seed=self.noise)
        drawn = self.logits - ops.log(-ops.log(uniform))
        return ops.softmax(drawn / self.heat)

    def advance(self, progress: float) -> None:
        """Set the heat at a share of the training."""
        self.heat.assign(FIRST_HEAT * (LAST_HEAT / FIRST_HEAT) ** progress)

    def choose(self) -> int:
        """The likeliest method."""
        return int(np.argmax(ops.convert_to_numpy(self.logits)))


class FractionalGate(MixtureGate):
    """A trained place among the methods, between two of which the kernel is interpolated.

        m_k = max(0, 1 - |n - k|),  0 <= n <= methods - 1, near 0 at first

    Reference: Nikolic et al. 2020, BitPruning, arXiv:2002.03090, eq. 3.
    """

    def build(self, input_shape: Any = None) -> None:
        """Create the place."""
        super().build(input_shape)
        # At a whole number the interpolation has a corner, and no slope to leave it by.
        first = keras.initializers.Constant(_FIRST_PLACE)
        self.place = self.add_weight(name="place", shape=(), initializer=first)

    def shares(self) -> Any:
        """Interpolation between the two neighbouring methods."""
        last = float(len(self.methods) - 1)
        # Within its ends the place keeps its gradient, also where it is at one of them.
        place = with_gradient(lambda n: ops.clip(n, 0.0, last), ops.ones_like)(self.place)
        return ops.maximum(0.0, 1.0 - ops.abs(place - np.arange(last + 1.0, dtype=np.float32)))

    def choose(self) -> int:
        """The more exact of the two methods."""
        place = float(ops.convert_to_numpy(self.place))
        return int(np.clip(math.floor(place + 1e-3), 0, len(self.methods) - 1))


class ParametrizedGate(Gate):
    """Equal steps whose width and range are trained; bits follow from both.

        Q    = sign(w) d floor(min(|w|, q) / d + 1/2)
        dQ/dw = 1 for |w| <= q, else 0
        dQ/dd = (Q - w) / d for |w| <= q, else 0;  dQ/dq = 0 for |w| <= q, else sign(w)
        bits = log2(q / d + 1) + 1, the next whole number at the end

    Reference: Uhlich et al. 2020, arXiv:1905.11452, eq. 1 and table 1 (case U3); Uhlich et al.
        2019, Differentiable quantization of deep neural networks.
    """

    def build(self, input_shape: Any = None) -> None:
        """Create width and range, which begin as 8 bits."""
        del input_shape
        layer = self.find_owner()
        largest = float(np.abs(ops.convert_to_numpy(layer.kernel)).max()) or 1.0
        self.width, self.range = LearnedNumber(name="width"), LearnedNumber(name="range")
        for number, value in ((self.width, largest / _MOST_CODES), (self.range, largest)):
            number.build(())
            number.set(value)
        self.bits_of = np.array([count_bits(method) for method in self.methods], np.float32)
        self.built = True

    def kernel(self) -> Any:
        """The kernel in steps within the range."""
        layer = self.find_owner()
        return quantize_within(layer.kernel, self.width.value(), self.range.value())

    def bits(self) -> Any:
        """Bits as a real number."""
        return ops.log2(self.range.value() / self.width.value() + 1.0) + 1.0

    def cost(self) -> Any:
        """The cost of its bits, in proportion to those of the most exact method."""
        saved = self.costs[0] - self.costs.min()
        spread = max(float(self.bits_of[0] - self.bits_of.min()), 1.0)
        return self.costs[0] - saved * (self.bits_of[0] - self.bits()) * (1.0 / spread)

    def choose(self) -> int:
        """The method of the fewest bits that are enough, else the most exact."""
        bits = math.ceil(float(ops.convert_to_numpy(self.bits())) - 1e-3)
        enough = [place for place, own in enumerate(self.bits_of) if own >= bits]
        return min(enough, key=lambda place: self.bits_of[place], default=0)


def quantize_within(weights: Any, width: Any, reach: Any) -> Any:
    """Equal steps of a width up to a range, with derivatives by all three.

    See ``ParametrizedGate``.
    """

    def forward(w: Any, d: Any, q: Any) -> Any:
        return ops.sign(w) * d * ops.floor(ops.minimum(ops.abs(w), q) / d + 0.5)

    def within(w: Any, q: Any) -> Any:
        return ops.cast(ops.abs(w) <= q, w.dtype)

    return with_gradient(
        forward,
        lambda w, d, q: within(w, q),
        lambda w, d, q: within(w, q) * (forward(w, d, q) - w) / d,
        lambda w, d, q: (1.0 - within(w, q)) * ops.sign(w),
    )(weights, width, reach)
