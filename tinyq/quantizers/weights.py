"""Weights: codes and scales per output channel from the parts of a method."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import keras
from keras import ops

from tinyq.errors import TinyqError
from tinyq.numerics.formats import Format, find_format
from tinyq.quantizers.parts.gradients import (
    Derivative,
    damp,
    inside,
    step_slope,
    with_gradient,
    with_learned_step,
)
from tinyq.quantizers.parts.learned import LearnedNumber
from tinyq.quantizers.parts.levels import Levels
from tinyq.quantizers.parts.preparation import Preparation, prune
from tinyq.quantizers.parts.scales import Scale, step_scale
from tinyq.quantizers.parts.steps import Axes, Step, no_step
from tinyq.quantizers.procedure import Finishing, Procedure


def by_count_and_range(count: int, hi: float) -> float:
    """Factor of a learned step's gradient.

        g = 1 / sqrt(count * hi)

    Args:
        count: Weights that share the step.
        hi: Largest code.

    Reference: Esser et al. 2020, arXiv:1902.08153.
    """
    return 1.0 / float(count * hi) ** 0.5


@dataclass(frozen=True, slots=True)
class LearnedStep:
    """How a step is trained.

        dL/dstep = factor(count, hi) * sum(dL/dw_q * slope(codes, v / step, lo, hi))

    Attributes:
        slope: Derivative of ``w_q`` by the step: ``step_slope`` of LSQ, ``clipped_slope`` of PACT.
        factor: Factor of that gradient, of the weights that share a step and the largest code.
    """

    slope: Derivative = step_slope
    factor: Callable[[int, float], float] = by_count_and_range


@dataclass(frozen=True, slots=True)
class WeightParts:
    """What a weight quantizer is made of.

        v     = prepare(w)
        step  = step(v)
        codes = levels.encode(v, step)
        scale = scale(v, codes, step)
        w_q   = codes * scale

    Attributes:
        format: Number format of the codes.
        levels: Level set.
        step: Step or threshold; the first value of a learned one.
        scale: Real value of one code step.
        gradient: Derivative of ``w_q`` by ``v`` that training uses; of v alone, or of v / step, lo
            and hi where the step is learned.
        projection: Whether quantizing twice changes neither codes nor scales.
        per_tensor: Whether all channels share step and scale.
        prepare: What comes before the quantizer.
        learned: How the step is trained, where it is a variable; the step then is its first value.
        procedure: What training does besides.
    """

    format: str
    levels: Levels
    step: Step
    scale: Scale
    gradient: Derivative
    projection: bool = True
    per_tensor: bool = False
    prepare: Preparation | None = None
    learned: LearnedStep | None = None
    procedure: Procedure = field(default_factory=Procedure)

    def __post_init__(self) -> None:
        """Refuse parts that would have no effect on each other.

        Raises:
            TinyqError: A part needs another one that is missing, or excludes one that is there.
        """
        for fault, remedy in (*self._find_faults(), *self._find_faults_of_learning()):
            raise TinyqError(fault, where=type(self).__name__, remedy=remedy)

    def _find_faults(self) -> Iterator[tuple[str, str]]:
        """What is wrong, and what helps."""
        procedure, number_format = self.procedure, find_format(self.format)
        if not (number_format.table or number_format.levels):
            lo, hi = self.levels.codes[0], self.levels.codes[-1]
            if lo < number_format.lo or hi > number_format.hi:
                yield f"format {self.format} holds no codes {lo} .. {hi}", "give a wider format"
        if self._penalizes() != bool(procedure.strength):
            yield "a penalty and its strength go together", "give both or none"
        if procedure.trains_step and self.learned is None:
            yield "a penalty cannot train a step that is not learned", "give learned="
        if self.scale is step_scale and self.step is no_step and not self._fits_levels():
            yield "the scale is the step, and there is none", "give another step or scale"

    def _find_faults_of_learning(self) -> Iterator[tuple[str, str]]:
        """What is wrong with a learned step, and what helps."""
        if self.learned is None:
            return
        procedure = self.procedure
        if self.step is no_step:
            yield "there is no step to learn", "give a step that fits the first weights"
        excluded = {"draw": procedure.draw, "freezes": procedure.freezes}
        excluded["anneals"] = procedure.anneals
        for name, value in excluded.items():
            if value:
                yield f"{name} and a learned step exclude each other", f"leave {name} out"

    def _penalizes(self) -> bool:
        """Whether a term of the loss has a strength."""
        return self.procedure.penalty is not None

    def _fits_levels(self) -> bool:
        """Whether the quantizer finds levels, and with them the step, from the weights."""
        return False

    def build(self, axes: Axes, **options: Any) -> WeightQuantizer:
        """The quantizer.

        Args:
            axes: Axes of the kernel over which one scale is shared.
            options: Options of a Keras layer.
        """
        return WeightQuantizer(self, axes, **options)


class WeightQuantizer(Finishing, keras.layers.Layer):
    """Quantizes a kernel, one scale for each output channel.

    Args:
        parts: Parts of the method.
        axes: Axes of the kernel over which one scale is shared.
    """

    def __init__(self, parts: WeightParts, axes: Axes, **options: Any) -> None:
        super().__init__(**options)
        self.parts = parts
        self.axes = axes
        self.supports_jit = False
        if parts.procedure.draw is not None:
            self.noise = keras.random.SeedGenerator(1)

    def build(self, shape: Any) -> None:
        """Create the variables that the method needs for a kernel of ``shape``."""
        procedure = self.parts.procedure
        self.reduced_axes = tuple(range(len(shape))) if self.parts.per_tensor else self.axes
        self.channels = math.prod(n for axis, n in enumerate(shape) if axis not in self.axes)
        # A filter of a depthwise convolution has one input channel.
        self.mixes = len(shape) - 2 in self.axes
        steps = tuple(1 if axis in self.reduced_axes else n for axis, n in enumerate(shape))
        if self.parts.learned is not None:
            # Its name is that of saved models.
            self.unit = LearnedNumber(name="unit")
            self.unit.build(steps)
        if procedure.schedule is not None:
            self.setting = self._state("setting", (), procedure.schedule(0.0))
        if procedure.freezes:
            self.frozen = self._state("frozen", shape)
            self.pinned = self._state("pinned", shape)
            self.anchor = self._state("anchor", steps)
        if procedure.multiplies:
            self.target = self._state("target", shape)
            self.multiplier = self._state("multiplier", shape)
            self.aimed = self._state("aimed", ())
        self.built = True

    def _state(self, name: str, shape: Any, value: float = 0.0) -> Any:
        initializer = keras.initializers.Constant(value)
        return self.add_weight(name=name, shape=shape, initializer=initializer, trainable=False)

    def format(self, kernel: Any) -> Format:
        """Number format of the codes in the device's order of axes, with this kernel's table."""
        number_format = find_format(self.parts.format)
        if not number_format.table:
            return number_format
        if number_format.table == "basis":
            basis = tuple(2**bit for bit in range(number_format.bits))
            return number_format.with_basis((basis,) * self.channels, self.channel_axis)
        codes = self.codes(kernel)
        return number_format.with_levels(codes + codes[-1:] * (_room(number_format) - len(codes)))

    def codes(self, kernel: Any) -> tuple[int, ...]:
        """Codes that weights may have, ascending."""
        del kernel
        return self.parts.levels.codes

    @property
    def channel_axis(self) -> int:
        """Where output channels are on the device: last in depthwise convolutions, else first."""
        return 0 if self.mixes else -1

    @property
    def updates(self) -> bool:
        """Whether ``updated`` changes anything."""
        return self.parts.procedure.updates

    @property
    def magnitude(self) -> int:
        """Largest absolute code."""
        return max(abs(self.parts.levels.lo), abs(self.parts.levels.hi))

    def split(self, kernel: Any) -> tuple[Any, Any]:
        """Codes (float32 integers, shape of the kernel) and scales (dimensions kept)."""
        weights = self._prepared(ops.convert_to_tensor(kernel))
        codes, scale = self._encode(weights, self._step(weights))
        channels = ops.ones_like(ops.max(weights, axis=self.axes, keepdims=True))
        return codes, scale * channels

    def quantized(self, kernel: Any) -> Any:
        """Real values of the codes."""
        codes, scale = self.split(kernel)
        return codes * scale

    def call(self, kernel: Any) -> Any:
        """Kernel that training computes with, and the method's gradient."""
        # A copy, because a step may be the kernel itself, and functions with a gradient of their
        # own must not reach for variables.
        weights = self._prepared(ops.copy(kernel))
        procedure = self.parts.procedure
        value = self._trained(weights)
        self._penalize(weights, ops.stop_gradient(value))
        if procedure.forward == "master":
            value = weights
        if procedure.forward == "mixed":
            rest = 1.0 / (self.setting + 1.0)
            value = rest * weights + (1.0 - rest) * value
        if procedure.freezes:
            value = ops.where(self.frozen > 0, self.pinned, value)
        return value

    def _trained(self, weights: Any) -> Any:
        """Quantized weights with their gradient."""
        learned = self.parts.learned
        return self._estimated(weights) if learned is None else self._learned(weights, learned)

    def _penalize(self, weights: Any, value: Any) -> None:
        """Add the method's terms to the loss."""
        procedure = self.parts.procedure
        if procedure.penalty is not None:
            step = self._step(weights)
            if step is not None and not procedure.trains_step:
                step = ops.stop_gradient(step)
            self.add_loss(procedure.strength * procedure.penalty(weights, value, step))
        if procedure.multiplies:
            offset = weights - self.target - self.multiplier * (1.0 / self.setting)
            self.add_loss(0.5 * self.setting * self.aimed * ops.sum(ops.square(offset)))

    def updated(self, kernel: Any) -> Any:
        """Master weights after a step of the optimizer."""
        procedure, kernel = self.parts.procedure, ops.convert_to_tensor(kernel)
        if procedure.update is not None:
            setting = None if procedure.schedule is None else self.setting
            kernel = procedure.update(kernel, self.quantized(kernel), setting)
        if procedure.freezes:
            kernel = ops.where(self.frozen > 0, self.pinned, kernel)
        return kernel

    def advance(self, kernel: Any, progress: float) -> None:
        """Set what follows a schedule, freeze weights, and project the target anew.

        Args:
            kernel: Variable of the master weights.
            progress: Share of the training that is over, 0 .. 1.
        """
        procedure = self.parts.procedure
        if procedure.schedule is None:
            return
        setting = procedure.schedule(progress)
        if procedure.multiplies:
            self._aim(ops.convert_to_tensor(kernel), setting)
        self.setting.assign(setting)
        if procedure.freezes:
            self._freeze(kernel, setting)

    def _aim(self, kernel: Any, setting: float) -> None:
        """A turn of the method of multipliers.

        m' = m - setting_before * (w - target)
        target' = quantized(w - m' / setting)
        """
        distance = self.aimed * self.setting * (kernel - self.target)
        self.multiplier.assign(self.multiplier - distance)
        self.target.assign(self._project(kernel - self.multiplier * (1.0 / setting)))
        self.aimed.assign(1.0)

    def _project(self, kernel: Any) -> Any:
        """The best quantized weights for a kernel."""
        return self.quantized(kernel)

    def _freeze(self, kernel: Any, share: float) -> None:
        count = int(share * math.prod(kernel.shape))
        if count:
            self.anchor.assign(self._step(self._prepared(ops.convert_to_tensor(kernel))))
        frozen = ops.where(self.frozen > 0, float("inf"), ops.abs(kernel))
        ranks = ops.argsort(ops.argsort(-ops.reshape(frozen, (-1,))))
        chosen = ops.reshape(ranks < count, kernel.shape)
        values = self.quantized(kernel)
        self.pinned.assign(ops.where(self.frozen > 0, self.pinned, values))
        self.frozen.assign(ops.cast(ops.logical_or(chosen, self.frozen > 0), "float32"))
        kernel.assign(ops.where(self.frozen > 0, self.pinned, kernel))

    def _prepared(self, kernel: Any) -> Any:
        prepare = self.parts.prepare
        kernel = kernel if prepare is None else prepare(kernel, self.reduced_axes)
        return prune(kernel, self.setting) if self.parts.procedure.prunes else kernel

    def _step(self, weights: Any) -> Any:
        fitting = self.parts.step(weights, self.reduced_axes)
        if self.parts.procedure.freezes and fitting is not None:
            # What is frozen has the step of the first ones, or codes would change afterwards.
            return ops.where(self.anchor > 0, self.anchor, fitting)
        if self.parts.learned is None:
            return fitting
        return ops.where(self.unit.known(), self.unit.value(), ops.stop_gradient(fitting))

    def _encode(self, weights: Any, step: Any) -> tuple[Any, Any]:
        codes = self.parts.levels.encode(weights, step)
        return codes, self.parts.scale(weights, codes, step, self.reduced_axes)

    def _estimated(self, weights: Any) -> Any:
        """Quantized weights with the derivative of the method."""
        procedure, step = self.parts.procedure, self._step(weights)
        noise = None
        if procedure.draw is not None:
            noise = keras.random.uniform(weights.shape, seed=self.noise)

        def forward(values: Any) -> Any:
            codes = self.parts.levels.encode(values, step)
            if procedure.draw is not None:
                codes = self._drawn(values, step, noise)
            return codes * self.parts.scale(values, codes, step, self.reduced_axes)

        if not procedure.anneals:
            return with_gradient(forward, self.parts.gradient)(weights)
        return with_gradient(
            lambda values, setting: forward(values),
            self.parts.gradient,
            lambda values, setting: ops.zeros_like(values),
        )(weights, self.setting)

    def _drawn(self, values: Any, step: Any, noise: Any) -> Any:
        draw, levels = self.parts.procedure.draw, self.parts.levels
        assert draw is not None
        positions = values if step is None else values * (1.0 / step)
        return ops.clip(draw(positions, noise), levels.lo, levels.hi)

    def _learned(self, weights: Any, learned: LearnedStep) -> Any:
        """Quantized weights with derivatives by weights and step; the first call fits the step."""
        parts, levels = self.parts, self.parts.levels
        count = math.prod(weights.shape[axis] for axis in self.reduced_axes)
        step = self.unit.observe(lambda: parts.step(weights, self.reduced_axes))
        step = damp(step, learned.factor(count, levels.hi))
        if (parts.gradient, learned.slope, parts.scale) == (inside, step_slope, step_scale):
            # The same, with less to compute.
            return with_learned_step(levels.encode, levels.lo, levels.hi)(weights, step)

        def forward(values: Any, step: Any) -> Any:
            codes, scale = self._encode(values, step)
            return codes * scale

        def by_weights(values: Any, step: Any) -> Any:
            return parts.gradient(values * (1.0 / step), levels.lo, levels.hi)

        def by_step(values: Any, step: Any) -> Any:
            codes = levels.encode(values, step)
            return learned.slope(codes, values * (1.0 / step), levels.lo, levels.hi)

        return with_gradient(forward, by_weights, by_step)(weights, step)


def _room(number_format: Format) -> int:
    """How many levels a format wants: three for a ternary one, else a power of two."""
    return 3 if number_format.name == "n2" else 1 << number_format.bits
