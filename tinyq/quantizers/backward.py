"""Gradients of few bits: what training hands back through a layer, rounded. An option, off."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import Any

import keras
from keras import ops

from tinyq.quantizers.parts.levels import sign
from tinyq.quantizers.parts.rounding import round_half_up

Backward = Callable[[Any, Any], Any]
SMALLEST = 1e-30


def sign_and_largest(gradient: Any, noise: Any) -> Any:
    """The sign of each value times the largest magnitude of its sample.

        g_q = sign(g) max |g|

    Args:
        gradient: Real values, shape (batch, ...).
        noise: Not used.

    Reference: survey eq. 20 and section 3.4.3; Rastegari et al. 2016, arXiv:1603.05279.
    """
    del noise
    return sign(gradient) * _largest(gradient)


def uniform_with_noise(gradient: Any, noise: Any, bits: int) -> Any:
    """A uniform grid up to the largest magnitude of a sample, with noise before rounding.

        g_q = 2 m (q_k(g / (2 m) + 1/2 + (u - 1/2) / n) - 1/2)
        m   = max |g|,  n = 2**bits - 1,  q_k(x) = clip(floor(n x + 1/2), 0, n) / n

    Args:
        gradient: Real values, shape (batch, ...).
        noise: u, uniform in 0 .. 1, of the same shape.
        bits: Bits of a value.

    Reference: survey eq. 6 and 20; Zhou et al. 2016, arXiv:1606.06160.
    """
    steps = 2.0**bits - 1.0
    twice = 2.0 * _largest(gradient)
    position = (gradient / twice + 0.5) * steps + (noise - 0.5)
    return twice * (ops.clip(round_half_up(position), 0.0, steps) * (1.0 / steps) - 0.5)


def powers_of_two(gradient: Any, noise: Any, bits: int) -> Any:
    """The nearest power of two in the logarithm, within a window below the largest one.

        g_q = sign(g) 2**clip(round(log2 |g|), e - 2**bits, e),  e = round(log2 max |g|), or 0 for 0

    Args:
        gradient: Real values, shape (batch, ...).
        noise: Not used.
        bits: Bits of an exponent.

    Reference: survey eq. 11 with its bounds; Miyashita et al. 2016, arXiv:1603.01025.
    """
    del noise
    top = round_half_up(ops.log2(_largest(gradient)))
    exponent = round_half_up(ops.log2(ops.maximum(ops.abs(gradient), SMALLEST)))
    power = ops.power(2.0, ops.clip(exponent, top - 2.0**bits, top))
    return ops.sign(gradient) * power


def _largest(gradient: Any) -> Any:
    axes = tuple(range(1, len(gradient.shape)))
    return ops.maximum(ops.max(ops.abs(gradient), axis=axes, keepdims=True), SMALLEST)


@dataclass(frozen=True, slots=True)
class GradientMethod:
    """A way to round gradients.

    Attributes:
        round: New gradient, of the gradient and uniform noise.
        draws: Whether it uses the noise.
    """

    round: Backward
    draws: bool = False


def _uniform(bits: int) -> GradientMethod:
    return GradientMethod(partial(uniform_with_noise, bits=bits), draws=True)


_ALL: Mapping[str, GradientMethod] = {
    "xnor_net": GradientMethod(sign_and_largest),
    **{f"dorefa{bits}": _uniform(bits) for bits in (2, 4, 6, 8)},
    **{f"qnn{bits}": _uniform(bits) for bits in (4, 6)},
    **{f"miyashita{bits}": GradientMethod(partial(powers_of_two, bits=bits)) for bits in (4, 5)},
}

GRADIENTS: Mapping[str, GradientMethod] = MappingProxyType(_ALL)


def round_gradient(values: Any, method: GradientMethod, seed: Any) -> Any:
    """The values as they are; their gradient is rounded on its way back.

        y = x,  dL/dx = round(dL/dy)

    Args:
        values: Real values, shape (batch, ...).
        method: Member of ``GRADIENTS``.
        seed: Seed generator of Keras for the noise.
    """
    noise = None
    if method.draws:
        noise = keras.random.uniform(ops.shape(values), seed=seed)

    @keras.ops.custom_gradient
    def apply(inputs: Any) -> Any:
        def backward(*args: Any, upstream: Any = None) -> Any:
            (upstream,) = args if upstream is None else (upstream,)
            return method.round(upstream, noise)

        return ops.copy(inputs), backward

    return apply(values)
