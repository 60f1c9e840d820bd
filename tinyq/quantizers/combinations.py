"""Combinations of parts that several methods share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from tinyq.quantizers.activations import ActivationBuilder, FixedQuantizer
from tinyq.quantizers.bases import BasisParts
from tinyq.quantizers.fresh import FreshTableParts
from tinyq.quantizers.learned_activations import (
    DECAY,
    CalibratedClipQuantizer,
    ClipQuantizer,
    StepQuantizer,
)
from tinyq.quantizers.parts import clusters, gradients, levels, scales, steps, updates
from tinyq.quantizers.parts.clusters import Fit
from tinyq.quantizers.parts.preparation import squash
from tinyq.quantizers.parts.slopes import tanh_then_identity
from tinyq.quantizers.procedure import Procedure
from tinyq.quantizers.random_signs import LateSignQuantizer, RandomSignQuantizer
from tinyq.quantizers.relaxed import in_halves
from tinyq.quantizers.signed_activations import (
    OffsetStepQuantizer,
    SignedClipQuantizer,
    SignedStepQuantizer,
    signed_format,
)
from tinyq.quantizers.signs import ShiftedSignQuantizer, SignQuantizer
from tinyq.quantizers.soft_steps import SoftStepActivations
from tinyq.quantizers.stepped import (
    SteppedQuantizer,
    fit_integers,
    lloyd_levels,
    log_borders,
    middle_borders,
)
from tinyq.quantizers.tables import Partition, Table, TableParts, choose_by_threshold, pass_on
from tinyq.quantizers.thresholds import ThresholdQuantizer
from tinyq.quantizers.weights import LearnedStep, WeightParts

# Steps of the uniform quantizer with the least error for the positive half of a normal
# distribution of deviation 1, with 3, 7 and 15 positive levels.
GAUSSIAN_STEPS: Mapping[int, float] = {2: 0.5388, 3: 0.3217, 4: 0.1842}
_WIDE = levels.Uniform(-clusters.MOST, clusters.MOST)


def max_abs(number_format: str, hi: int, per_tensor: bool = False) -> WeightParts:
    """Equal steps up to the largest magnitude."""
    return WeightParts(
        number_format,
        levels.Uniform(-hi, hi),
        steps.max_abs_step(hi),
        scales.step_scale,
        gradients.identity,
        per_tensor=per_tensor,
    )


def fitted(number_format: str, hi: int, per_tensor: bool = True) -> WeightParts:
    """Equal steps with the least squared error."""
    level_set = levels.Uniform(-hi, hi)
    return WeightParts(
        number_format,
        level_set,
        steps.fitted_step(level_set),
        scales.step_scale,
        gradients.identity,
        projection=False,
        per_tensor=per_tensor,
    )


def odd(bits: int, step: steps.Step, **options: Any) -> WeightParts:
    """Odd multiples of half a step."""
    return WeightParts(
        f"d{bits}" if bits <= 3 else "c4",
        levels.OddUniform(bits),
        step,
        scales.step_scale,
        gradients.identity,
        projection=False,
        **options,
    )


def learned(bits: int) -> WeightParts:
    """Equal steps of a trained width."""
    half = 2 ** (bits - 1)
    return WeightParts(
        signed_format(bits),
        levels.Uniform(-half, half - 1),
        steps.mean_step(half - 1),
        scales.step_scale,
        gradients.inside,
        projection=False,
        per_tensor=True,
        learned=LearnedStep(),
    )


def squashed(bits: int) -> WeightParts:
    """Odd multiples of half a step, of hyperbolic tangents of the weights."""
    level_set = levels.OddUniform(bits)
    return WeightParts(
        f"d{bits}" if bits <= 3 else "c4",
        level_set,
        steps.fixed_step(1.0 / level_set.hi),
        scales.step_scale,
        gradients.identity,
        projection=False,
        per_tensor=True,
        prepare=squash,
    )


def powers(number_format: str, count: int, log: bool = False) -> WeightParts:
    """Zero and signed powers of two."""
    return WeightParts(
        number_format,
        levels.powers_of_two(count, log),
        steps.smallest_power(count, log),
        scales.step_scale,
        gradients.identity,
        per_tensor=True,
    )


def sums_of_signs(count: int, **options: Any) -> BasisParts:
    """Sums of a few numbers, each with a sign of its own."""
    return BasisParts(
        f"d{count}",
        _WIDE,
        steps.no_step,
        scales.fitted_scale,
        gradients.identity,
        count=count,
        **options,
    )


def ternary(per_tensor: bool = False, exact: bool = False) -> WeightParts:
    """Minus one, zero, one: the threshold by rule or the best one."""
    return WeightParts(
        "t2",
        levels.Ternary(),
        steps.best_ternary_threshold if exact else steps.ternary_threshold,
        scales.kept_mean_scale,
        gradients.identity,
        per_tensor=per_tensor,
    )


def binary() -> WeightParts:
    """Signs times the mean magnitude of a channel."""
    return WeightParts(
        "b1",
        levels.Binary(),
        steps.no_step,
        scales.mean_abs_scale,
        gradients.clipped_identity,
    )


def signs() -> WeightParts:
    """Signs without a scale."""
    return replace(binary(), scale=scales.no_scale)


def signs_of_layer() -> WeightParts:
    """Signs times the mean magnitude of a layer, with the gradient passed on."""
    return replace(binary(), per_tensor=True, gradient=gradients.identity)


def bounded() -> Procedure:
    """Master weights are kept within -1 .. 1."""
    return Procedure(update=updates.clip_to_unit)


def incremental(**options: Any) -> Procedure:
    """Half of the weights that are left are fixed in each quarter of the training."""
    return Procedure(forward="master", freezes=True, schedule=updates.BY_HALVES, **options)


def table(bits: int, fit: Fit, count: int | None = None, **options: Any) -> TableParts:
    """A table of levels for a whole layer."""
    return TableParts(
        f"c{2 if bits == 2 else 4}",
        _WIDE,
        steps.no_step,
        scales.step_scale,
        pass_on,
        per_tensor=True,
        table=Table(count or 2**bits, fit, **options),
    )


def means_of_signs(procedure: Procedure) -> FreshTableParts:
    """Ternary weights with the mean of each sign for its level, which follow the weights."""
    return FreshTableParts(
        "n2",
        _WIDE,
        steps.ternary_threshold,
        scales.step_scale,
        pass_on,
        projection=False,
        per_tensor=True,
        table=Table(3, clusters.part_by_mean, choose_by_threshold),
        procedure=procedure,
    )


def normal_table(bits: int, fit: Fit) -> TableParts:
    """A table of levels for a whole layer and a scale for each channel."""
    return replace(table(bits, fit), step=steps.max_abs_step(1), per_tensor=False, normal=True)


def clustered(bits: int, partition: Partition) -> TableParts:
    """Clusters that are fixed one after another while the rest trains in floating point."""
    return replace(table(bits, clusters.find_means, partition=partition), procedure=incremental())


@dataclass(frozen=True, slots=True)
class ActivationParts:
    """What an activation quantizer is made of.

    Attributes:
        format: Number format of the codes.
        build: Makes the quantizer; takes the options of a Keras layer.
        replaces_relu: Whether the method works only without a ReLU before it.
        whole: Whether its codes are all those of the format, without a shift, so that the model's
            input can have it.
        signed_form: Method that takes its place behind values that may be negative, where it has
            no codes for them; empty where there is none.
    """

    format: str
    build: ActivationBuilder
    replaces_relu: bool = False
    whole: bool = True
    signed_form: str = ""


def unsigned(bits: int, build: ActivationBuilder) -> ActivationParts:
    """Codes from 0 on."""
    return ActivationParts("u4" if bits <= 4 else "s8", build, whole=bits in (4, 8))


def signed_step(bits: int) -> ActivationParts:
    """Codes on both sides of 0 with a trained step."""
    build = partial(SignedStepQuantizer, bits)
    return ActivationParts(signed_format(bits), build, whole=bits in (2, 3, 4, 8))


def signed_clip(bits: int, decay: float = DECAY) -> ActivationParts:
    """Codes on both sides of 0, as many on either, up to a trained level."""
    build = partial(SignedClipQuantizer, bits, decay)
    return ActivationParts(signed_format(bits), build, whole=False)


def offset_step(bits: int) -> ActivationParts:
    """Codes with a trained step and a trained place of 0 among them."""
    return ActivationParts(signed_format(bits), partial(OffsetStepQuantizer, bits), whole=False)


def step(bits: int, **options: Any) -> ActivationParts:
    """Codes from 0 on with a trained step."""
    return unsigned(bits, partial(StepQuantizer, bits, **options))


def clip(bits: int, decay: float = DECAY) -> ActivationParts:
    """Codes from 0 on up to a trained level, which a term of the loss draws down."""
    return unsigned(bits, partial(ClipQuantizer, bits, decay))


def calibrated_clip(bits: int) -> ActivationParts:
    """The same, with what rounding adds to the gradient of the level."""
    return unsigned(bits, partial(CalibratedClipQuantizer, bits))


def soft_step(bits: int, softness: float) -> ActivationParts:
    """Codes from 0 on with a trained step, and slopes of a soft stairway."""
    return unsigned(bits, partial(SoftStepActivations, bits, softness))


def thresholds(bits: int) -> ActivationParts:
    """Codes from 0 on with trained thresholds."""
    return ActivationParts("u4", partial(ThresholdQuantizer, bits), whole=False)


def unit_interval(bits: int) -> ActivationParts:
    """Codes of values that are clipped to 0 .. 1."""
    width = 1.0 / (2**bits - 1)
    return unsigned(bits, partial(FixedQuantizer, bits, width, gradients.unit_box))


def half_wave(
    bits: int, derivative: gradients.Derivative = gradients.clipped_relu
) -> ActivationParts:
    """Equal steps, and no bin of zero for small positive values."""
    numbers = tuple(range(1, 2**bits))
    borders = middle_borders(numbers)
    quantizer = partial(SteppedQuantizer, numbers, borders, derivative, GAUSSIAN_STEPS[bits])
    return ActivationParts("u4", quantizer, whole=False)


def half_wave_lloyd(bits: int, derivative: gradients.Derivative) -> ActivationParts:
    """The levels of least error, on the integers that come next to them."""
    numbers, scale = fit_integers(lloyd_levels(2**bits - 1))
    borders = middle_borders(numbers)
    quantizer = partial(SteppedQuantizer, numbers, borders, derivative, scale)
    return ActivationParts("u4", quantizer, whole=False)


def logarithmic(bits: int) -> ActivationParts:
    """Zero and 2**bits - 1 powers of two."""
    numbers = tuple(2**exponent for exponent in range(2**bits - 1))
    quantizer = partial(SteppedQuantizer, numbers, log_borders(numbers), gradients.clipped_relu)
    return ActivationParts("u4" if bits == 2 else "s8", quantizer, whole=False)


def in_planes(parts: ActivationParts, whole: bool = True) -> ActivationParts:
    """The same codes, 0 to 3, in the format of bit planes."""
    build = partial(parts.build, planes=True)
    return replace(parts, format="u2", build=build, whole=whole)


def sign(**options: Any) -> ActivationParts:
    """Signs; negative values are half of them, so that no ReLU may come before."""
    return ActivationParts("b1", partial(SignQuantizer, **options), replaces_relu=True)


def random_sign(derivative: gradients.Derivative) -> ActivationParts:
    """Signs that are drawn in training."""
    return ActivationParts("b1", partial(RandomSignQuantizer, derivative), replaces_relu=True)


def late_sign() -> ActivationParts:
    """Signs that come after hyperbolic tangents."""
    quantizer = partial(LateSignQuantizer, tanh_then_identity, in_halves)
    return ActivationParts("b1", quantizer, replaces_relu=True)


def shifted_sign(**options: Any) -> ActivationParts:
    """Signs of values that are moved first."""
    quantizer = partial(ShiftedSignQuantizer, **options)
    return ActivationParts("b1", quantizer, replaces_relu=True, whole=False)
