"""Activation quantizers of the methods: which parts each is made of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import Any

from tinyq.quantizers import gradients
from tinyq.quantizers.activations import (
    ActivationBuilder,
    ClipQuantizer,
    FixedQuantizer,
    RangeQuantizer,
    StepQuantizer,
)
from tinyq.quantizers.signs import ShiftedSignQuantizer, SignQuantizer
from tinyq.quantizers.stepped import (
    SteppedQuantizer,
    fit_integers,
    lloyd_levels,
    log_borders,
    middle_borders,
)

# Steps of the uniform quantizer with the least error for the positive half of a normal
# distribution of deviation 1, with 3, 7 and 15 positive levels.
GAUSSIAN_STEPS: Mapping[int, float] = {2: 0.5388, 3: 0.3217, 4: 0.1842}


@dataclass(frozen=True, slots=True)
class ActivationParts:
    """What an activation quantizer is made of.

    Attributes:
        format: Number format of the codes.
        build: Makes the quantizer; takes the options of a Keras layer.
        replaces_relu: Whether the method works only without a ReLU before it.
        whole: Whether its codes are all those of the format, without a shift, so that the model's
            input can have it.
    """

    format: str
    build: ActivationBuilder
    replaces_relu: bool = False
    whole: bool = True


def _unsigned(bits: int, build: ActivationBuilder) -> ActivationParts:
    return ActivationParts("u4" if bits <= 4 else "s8", build, whole=bits in (4, 8))


def _step(bits: int, **options: Any) -> ActivationParts:
    return _unsigned(bits, partial(StepQuantizer, bits, **options))


def _clip(bits: int) -> ActivationParts:
    return _unsigned(bits, partial(ClipQuantizer, bits))


def _unit_interval(bits: int) -> ActivationParts:
    step = 1.0 / (2**bits - 1)
    return _unsigned(bits, partial(FixedQuantizer, bits, step, gradients.unit_box))


def _half_wave(bits: int, derivative: gradients.Derivative) -> ActivationParts:
    """Equal steps, and no bin of zero for small positive values."""
    numbers = tuple(range(1, 2**bits))
    borders = middle_borders(numbers)
    quantizer = partial(SteppedQuantizer, numbers, borders, derivative, GAUSSIAN_STEPS[bits])
    return ActivationParts("u4", quantizer, whole=False)


def _half_wave_lloyd(bits: int) -> ActivationParts:
    """The levels of least error, on the integers that come next to them."""
    numbers, scale = fit_integers(lloyd_levels(2**bits - 1))
    borders = middle_borders(numbers)
    quantizer = partial(SteppedQuantizer, numbers, borders, gradients.clipped_relu, scale)
    return ActivationParts("u4", quantizer, whole=False)


def _logarithmic(bits: int) -> ActivationParts:
    """Zero and 2**bits - 1 powers of two."""
    numbers = tuple(2**exponent for exponent in range(2**bits - 1))
    quantizer = partial(SteppedQuantizer, numbers, log_borders(numbers), gradients.clipped_relu)
    return ActivationParts("u4" if bits == 2 else "s8", quantizer, whole=False)


def _in_planes(parts: ActivationParts, whole: bool = True) -> ActivationParts:
    """The same codes, 0 to 3, in the format of bit planes."""
    return ActivationParts("u2", partial(parts.build, planes=True), whole=whole)


def _sign(**options: Any) -> ActivationParts:
    return ActivationParts("b1", partial(SignQuantizer, **options), replaces_relu=True)


def _shifted_sign(**options: Any) -> ActivationParts:
    quantizer = partial(ShiftedSignQuantizer, **options)
    return ActivationParts("b1", quantizer, replaces_relu=True, whole=False)


_ALL: Mapping[str, ActivationParts] = {
    "int8": ActivationParts("s8", RangeQuantizer),
    "uint4": _step(4),
    "binary": _sign(),
    "bnn": _sign(),
    **{f"pact{bits}": _clip(bits) for bits in (2, 3, 4, 5)},
    **{f"lsq{bits}": _step(bits) for bits in (2, 3, 4, 8)},
    "perceptron1957": _sign(derivative=gradients.identity),
    "xnor_net": _sign(),
    "bi_realnet": _sign(derivative=gradients.quadratic),
    "bi_realnet_cubic": _sign(derivative=gradients.cubic),
    "ir_net": _sign(derivative=gradients.error_decay, schedule=gradients.sharpen),
    "bcgd4": _step(4, slope=gradients.coarse_slope),
    "bcgd8": _step(8, slope=gradients.coarse_slope),
    **{f"dorefa{bits}": _unit_interval(bits) for bits in (1, 2, 3, 4)},
    "qnn1": _sign(),
    "qnn2": _unit_interval(2),
    "qnn4": _unit_interval(4),
    **{f"hwgq{bits}": _half_wave(bits, gradients.clipped_relu) for bits in (2, 3, 4)},
    **{f"hwgq{bits}_lloyd": _half_wave_lloyd(bits) for bits in (2, 3)},
    **{f"miyashita{bits}": _logarithmic(bits) for bits in (2, 3)},
    "lognet3": _logarithmic(3),
    "hwgq2_relu": _half_wave(2, gradients.positive),
    "hwgq2_log": _half_wave(2, gradients.log_tail),
    "abc_net": _shifted_sign(derivative=gradients.unit_box, center=0.5),
    "balanced2": _unit_interval(2),
    "balanced4": _unit_interval(4),
    "lsq2_planes": _in_planes(_step(2)),
    "pact2_planes": _in_planes(_clip(2)),
    "dorefa2_planes": _in_planes(_unit_interval(2)),
    "hwgq2_planes": _in_planes(_half_wave(2, gradients.clipped_relu), whole=False),
    "ste_hinton2012": _sign(derivative=gradients.positive),
    "ste_bengio2013": _sign(derivative=gradients.sigmoid_slope),
    "reactnet": _shifted_sign(derivative=gradients.quadratic, per_channel=True),
}

ACTIVATIONS: Mapping[str, ActivationParts] = MappingProxyType(_ALL)
