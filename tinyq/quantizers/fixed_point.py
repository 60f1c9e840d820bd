"""Fixed-point grids: codes of few bits with a step that is a power of two known beforehand."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import partial
from typing import Any

import keras
import numpy as np
from keras import ops

from tinyq.quantizers.activations import ActivationQuantizer
from tinyq.quantizers.combinations import ActivationParts
from tinyq.quantizers.encoding import Encoding
from tinyq.quantizers.method import Entry
from tinyq.quantizers.parts import gradients, levels, scales, steps
from tinyq.quantizers.weights import WeightParts

MOST_BITS = 8
_NAME = re.compile(
    r"(?P<kind>[usbt]?)fixed(?P<bits>[1-8]|(?<=ufixed)16)_(?P<exponent>auto|m?\d{1,2})"
)
_WORDS = {"": "signed", "s": "symmetric", "u": "unsigned", "b": "binary", "t": "ternary"}
_POWERS = np.ldexp(1.0, np.arange(-60, 61)).astype(np.float32)
_REFERENCE = "C. N. Coelho et al.: Automatic heterogeneous quantization of deep neural networks"


@dataclass(frozen=True, slots=True)
class FixedPoint:
    """A grid of codes and its step.

        value = code * 2**exponent,  lo <= code <= hi

    Attributes:
        kind: ``""`` for all codes of two's complement, ``s`` for as many below 0 as above, ``u``
            for none below 0, ``b`` for -1 and +1, ``t`` for -1, 0 and +1.
        bits: Bits of a code, 1 .. 8; 16 for whole numbers that are indices.
        exponent: Binary logarithm of the step; None for one per channel, read off the weights.

    Reference: Coelho et al. 2021, arXiv:2006.10159.
    """

    kind: str
    bits: int
    exponent: int | None

    @property
    def name(self) -> str:
        """Name of the method: ``ufixed4_m4`` has four bits without sign and steps of 2**-4."""
        if self.exponent is None:
            return f"{self.kind}fixed{self.bits}_auto"
        return f"{self.kind}fixed{self.bits}_{'m' * (self.exponent < 0)}{abs(self.exponent)}"

    @property
    def hi(self) -> int:
        """Largest code."""
        if self.kind in ("b", "t"):
            return 1
        return 2 ** (self.bits - (self.kind != "u")) - 1

    @property
    def lo(self) -> int:
        """Smallest code."""
        return {"u": 0, "": -self.hi - 1}.get(self.kind, -self.hi)

    @property
    def step(self) -> float:
        """Real value of one code step; 1 where it follows the weights."""
        return float(2.0 ** (self.exponent or 0))

    @property
    def weight_format(self) -> str:
        """Number format of weights with this grid."""
        if self.kind in ("b", "t"):
            return {"b": "b1", "t": "t2"}[self.kind]
        return "s4" if self.lo >= -8 and self.hi <= 7 else "s8"

    @property
    def fits_weights(self) -> bool:
        """Whether a weight format holds all codes."""
        return self.hi <= 127

    @property
    def fits_activations(self) -> bool:
        """Whether activations can have it: a kind with more than signs, and one step."""
        return self.kind in ("", "s", "u") and self.exponent is not None

    @property
    def is_whole(self) -> bool:
        """Whether its codes are all those of the activation's format."""
        return (self.kind, self.bits) in (("", 8), ("u", 8), ("u", 4), ("", 4), ("u", 16))

    def weights(self) -> WeightParts:
        """Parts for weights."""
        one_step = self.exponent is not None
        level_set = levels.Binary() if self.kind == "b" else levels.Uniform(self.lo, self.hi)
        return WeightParts(
            self.weight_format,
            level_set,
            steps.fixed_step(self.step) if one_step else power_of_two_step(self.hi),
            scales.step_scale,
            gradients.identity,
            per_tensor=one_step,
        )

    def activations(self) -> ActivationParts:
        """Parts for activations."""
        narrow = "u4" if self.kind == "u" else "s4"
        number_format = narrow if self.bits <= 4 else "s8" if self.bits <= MOST_BITS else "s16"
        build = partial(FixedPointQuantizer, self, number_format)
        return ActivationParts(number_format, build, whole=self.is_whole)

    def entry(self) -> Entry:
        """What the method is, for people."""
        step = "a power of two per channel" if self.exponent is None else f"2**{self.exponent}"
        summary = f"fixed point: {self.bits} bits, {_WORDS[self.kind]}, steps of {step}"
        return Entry(self.name, summary, 2021, _REFERENCE, "-", summary)


def read_fixed_point(name: str) -> FixedPoint | None:
    """The grid that a method's name stands for, or None."""
    match = _NAME.fullmatch(name)
    if match is None:
        return None
    exponent = match["exponent"]
    steps = None if exponent == "auto" else int(exponent.replace("m", "-"))
    return FixedPoint(match["kind"], int(match["bits"]), steps)


def power_of_two_step(hi: int) -> steps.Step:
    """Smallest power of two with which the largest magnitude has a code.

        step = min 2**e with 2**e * hi >= max |w|, or 1 where all weights are 0

    Args:
        hi: Largest code of the level set.

    Returns:
        A function of weights and the axes over which one step is shared; keeps dimensions.
    """

    def step(weights: Any, axes: steps.Axes) -> Any:
        # Counting powers is exact; two libraries' logarithms need not agree.
        powers = ops.convert_to_tensor(_POWERS)
        largest = ops.max(ops.abs(weights), axis=axes, keepdims=True)
        short = ops.cast(ops.expand_dims(largest, -1) > powers * float(hi), "int32")
        found = ops.take(powers, ops.minimum(ops.sum(short, axis=-1), len(_POWERS) - 1))
        return ops.where(largest > 0, found, ops.ones_like(found))

    return step


class FixedPointQuantizer(ActivationQuantizer):
    """Codes of a fixed-point grid.

        y     = step * clip(round(x / step), lo, hi),  a half goes to the even code
        dy/dx = 1 within the range of the codes, else 0

    Args:
        grid: The grid; one step.
        number_format: u4, s4, s8 or s16; the zero point of unsigned codes in s8 is -128, in s16
            -32768.
    """

    # Values between two steps are common, for all steps are powers of two.
    rounds_to_even = True

    def __init__(self, grid: FixedPoint, number_format: str, **options: Any) -> None:
        super().__init__(number_format, **options)
        self.grid = grid
        self.zero_point = self.format.lo if grid.kind == "u" else 0

    @property
    def signed(self) -> bool:
        """True: an unsigned grid is the ReLU of the network that it comes from."""
        return True

    def build(self, input_shape: Any) -> None:
        """Create the step, a variable so that no optimizer turns its quotients into products."""
        del input_shape
        initializer = keras.initializers.Constant(self.grid.step)
        self.step = self.add_weight(name="step", shape=(), initializer=initializer, trainable=False)

    def encoding(self) -> Encoding:
        """Scale and zero point."""
        step = ops.convert_to_tensor(self.step.value)
        zero_point = ops.ones_like(step) * float(self.zero_point)
        lowest, highest = self.grid.lo + self.zero_point, self.grid.hi + self.zero_point
        return Encoding(self.format, step, zero_point, bound=highest, floor=lowest)

    def call(self, inputs: Any, training: bool = False) -> Any:
        """Fake-quantized values."""
        del training
        lo, hi = float(self.grid.lo), float(self.grid.hi)

        def forward(x: Any, step: Any) -> Any:
            return ops.clip(ops.round(x / step), lo, hi) * step

        def by_input(x: Any, step: Any) -> Any:
            return gradients.inside(x / step, lo, hi)

        def by_step(x: Any, step: Any) -> Any:
            return ops.zeros_like(x)

        step = ops.convert_to_tensor(self.step)
        return gradients.with_gradient(forward, by_input, by_step)(inputs, step)
