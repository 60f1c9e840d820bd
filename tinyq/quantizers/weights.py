"""Weights: codes and scales per output channel from the parts of a method."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

import keras
from keras import ops

from tinyq.numerics.formats import Format, find_format
from tinyq.quantizers.gradients import Derivative, damp, with_gradient, with_learned_step
from tinyq.quantizers.learned import LearnedNumber
from tinyq.quantizers.levels import Levels
from tinyq.quantizers.penalties import Penalty
from tinyq.quantizers.preparation import Preparation, prune
from tinyq.quantizers.scales import Scale
from tinyq.quantizers.thresholds import Axes, Unit
from tinyq.quantizers.updates import Update

Noise = Callable[[Any, Any], Any]


@dataclass(frozen=True, slots=True)
class Procedure:
    """How training differs from quantizing the kernel in every step.

    Attributes:
        draw: Random codes of training from ``w / unit`` and uniform noise; inference draws none.
        forward: Kernel that training uses: quantized, the master weights as they are, or
            ``(setting * w_q + w) / (setting + 1)``.
        penalty: Term of the loss, of master weights, quantized weights and unit.
        strength: Factor of the penalty.
        update: New master weights after a step.
        schedule: Setting at a share of the training, for the gradient, the forward pass, the
            update, or as the share of frozen weights.
        freezes: Whether the setting is the share of weights, largest first, that are fixed.
        anneals: Whether the gradient takes the setting as its second argument.
        prunes: Whether the setting is the share of weights, smallest first, that become 0.
        multiplies: Whether the setting is the strength of an augmented Lagrangian: the master
            weights train freely, drawn to a target that each epoch projects anew.
        trains_unit: Whether the penalty's gradient reaches the learned unit.
    """

    draw: Noise | None = None
    forward: Literal["quantized", "master", "mixed"] = "quantized"
    penalty: Penalty | None = None
    strength: float = 0.0
    update: Update | None = None
    schedule: Callable[[float], float] | None = None
    freezes: bool = False
    anneals: bool = False
    prunes: bool = False
    multiplies: bool = False
    trains_unit: bool = False

    @property
    def updates(self) -> bool:
        """Whether something is done to the master weights after a step of the optimizer."""
        return self.update is not None or self.freezes


@dataclass(frozen=True, slots=True)
class WeightParts:
    """What a weight quantizer is made of.

        v     = prepare(w)
        unit  = unit(v)
        codes = levels.encode(v, unit)
        scale = scale(v, codes, unit)
        w_q   = codes * scale

    Attributes:
        format: Number format of the codes.
        levels: Level set.
        unit: Step or threshold; the first value of a learned one.
        scale: Real value of one code step.
        gradient: Derivative of ``w_q`` by ``v`` that training uses.
        projection: Whether quantizing twice changes neither codes nor scales.
        shared: Whether all channels share unit and scale.
        prepare: What comes before the quantizer.
        learned: Whether the unit is a variable, trained by the gradient of the learned step.
        procedure: What training does besides.
    """

    format: str
    levels: Levels
    unit: Unit
    scale: Scale
    gradient: Derivative
    projection: bool = True
    shared: bool = False
    prepare: Preparation | None = None
    learned: bool = False
    procedure: Procedure = field(default_factory=Procedure)

    def build(self, axes: Axes, **options: Any) -> WeightQuantizer:
        """The quantizer.

        Args:
            axes: Axes of the kernel over which one scale is shared.
            options: Options of a Keras layer.
        """
        return WeightQuantizer(self, axes, **options)


class WeightQuantizer(keras.layers.Layer):
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
        self.granule = tuple(range(len(shape))) if self.parts.shared else self.axes
        self.channels = math.prod(n for axis, n in enumerate(shape) if axis not in self.axes)
        # A filter of a depthwise convolution has one input channel.
        self.mixes = len(shape) - 2 in self.axes
        units = tuple(1 if axis in self.granule else n for axis, n in enumerate(shape))
        if self.parts.learned:
            self.unit = LearnedNumber(name="unit")
            self.unit.build(units)
        if procedure.schedule is not None:
            self.setting = self._state("setting", (), procedure.schedule(0.0))
        if procedure.freezes:
            self.frozen = self._state("frozen", shape)
            self.pinned = self._state("pinned", shape)
            self.anchor = self._state("anchor", units)
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
        codes, scale = self._encode(weights, self._unit(weights))
        channels = ops.ones_like(ops.max(weights, axis=self.axes, keepdims=True))
        return codes, scale * channels

    def quantized(self, kernel: Any) -> Any:
        """Real values of the codes."""
        codes, scale = self.split(kernel)
        return codes * scale

    def call(self, kernel: Any) -> Any:
        """Kernel that training computes with, and the method's gradient."""
        # A copy, because a unit may be the kernel itself, and functions with a gradient of their
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
        return self._learned(weights) if self.parts.learned else self._estimated(weights)

    def _penalize(self, weights: Any, value: Any) -> None:
        """Add the method's terms to the loss."""
        procedure = self.parts.procedure
        if procedure.penalty is not None:
            unit = self._unit(weights)
            if unit is not None and not procedure.trains_unit:
                unit = ops.stop_gradient(unit)
            self.add_loss(procedure.strength * procedure.penalty(weights, value, unit))
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
            self.anchor.assign(self._unit(self._prepared(ops.convert_to_tensor(kernel))))
        frozen = ops.where(self.frozen > 0, float("inf"), ops.abs(kernel))
        ranks = ops.argsort(ops.argsort(-ops.reshape(frozen, (-1,))))
        chosen = ops.reshape(ranks < count, kernel.shape)
        values = self.quantized(kernel)
        self.pinned.assign(ops.where(self.frozen > 0, self.pinned, values))
        self.frozen.assign(ops.cast(ops.logical_or(chosen, self.frozen > 0), "float32"))
        kernel.assign(ops.where(self.frozen > 0, self.pinned, kernel))

    def _prepared(self, kernel: Any) -> Any:
        prepare = self.parts.prepare
        kernel = kernel if prepare is None else prepare(kernel, self.granule)
        return prune(kernel, self.setting) if self.parts.procedure.prunes else kernel

    def _unit(self, weights: Any) -> Any:
        fitting = self.parts.unit(weights, self.granule)
        if self.parts.procedure.freezes and fitting is not None:
            # What is frozen has the unit of the first ones, or codes would change afterwards.
            return ops.where(self.anchor > 0, self.anchor, fitting)
        if not self.parts.learned:
            return fitting
        return ops.where(self.unit.known(), self.unit.value(), ops.stop_gradient(fitting))

    def _encode(self, weights: Any, unit: Any) -> tuple[Any, Any]:
        codes = self.parts.levels.encode(weights, unit)
        return codes, self.parts.scale(weights, codes, unit, self.granule)

    def _estimated(self, weights: Any) -> Any:
        """Quantized weights with the derivative of the method."""
        procedure, unit = self.parts.procedure, self._unit(weights)
        noise = None
        if procedure.draw is not None:
            noise = keras.random.uniform(weights.shape, seed=self.noise)

        def forward(values: Any) -> Any:
            codes = self.parts.levels.encode(values, unit)
            if procedure.draw is not None:
                codes = self._drawn(values, unit, noise)
            return codes * self.parts.scale(values, codes, unit, self.granule)

        if not procedure.anneals:
            return with_gradient(forward, self.parts.gradient)(weights)
        return with_gradient(
            lambda values, setting: forward(values),
            self.parts.gradient,
            lambda values, setting: ops.zeros_like(values),
        )(weights, self.setting)

    def _drawn(self, values: Any, unit: Any, noise: Any) -> Any:
        draw, levels = self.parts.procedure.draw, self.parts.levels
        assert draw is not None
        positions = values if unit is None else values * (1.0 / unit)
        return ops.clip(draw(positions, noise), levels.lo, levels.hi)

    def _learned(self, weights: Any) -> Any:
        """Quantized weights with derivatives by weights and unit; the first call fits the unit."""
        levels = self.parts.levels
        shared = 1
        for axis in self.granule:
            shared *= weights.shape[axis]
        factor = 1.0 / (shared * levels.hi) ** 0.5
        unit = self.unit.observe(lambda: self.parts.unit(weights, self.granule))

        trained = with_learned_step(levels.encode, levels.lo, levels.hi)
        return trained(weights, damp(unit, factor))


def _room(number_format: Format) -> int:
    """How many levels a format wants: three for a ternary one, else a power of two."""
    return 3 if number_format.name == "n2" else 1 << number_format.bits
