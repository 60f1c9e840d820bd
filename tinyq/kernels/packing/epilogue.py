"""The epilogue of a kernel: requantization in two instructions, what it needs and its constants.

    y = sat(((acc * M + 2^32 * addend) >> 32) >> (n - 32))        SMMLA; SSAT or USAT
    addend = 2^(n - 33) + zero * 2^(n - 32)

equals clip(zero + floor((acc * M + 2^(n-1)) / 2^n)) because nested floors compose. It needs
33 <= n <= 63, a result of SMMLA within int32, and a clip range that one saturation gives; for any
other range zero is counted from the lower end, and three more instructions do the rest. Where n is
less than 33, accumulators come multiplied by the missing power of two.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import IntEnum

import numpy as np

from tinyq.kernels.layer import LayerSpec
from tinyq.kernels.packing.words import Int64s

_LEAST_SHIFT, _MOST_SHIFT = 33, 63
_MOST_TWICE = 22  # bits of the last shift
RAW, ONCE, TWICE = "raw", "requantize", "requantizetwice"


class Clip(IntEnum):
    """How a result is kept within its range."""

    SIGNED = 0  # SSAT
    UNSIGNED = 1  # USAT
    RANGE = 2  # neither
    NONE = 3  # sums are the results


@dataclass(frozen=True, slots=True)
class Epilogue:
    """Integers of an epilogue, for a kernel's text.

    Attributes:
        clip: How results are kept within ``lo`` and ``hi``.
        shift: n - 32.
        addend: See above; of each channel in a table where ``twice`` is true.
        bits: Of the saturation.
        lo: Lowest code.
        hi: Highest code.
        twice: Whether it rounds twice, as TFLite does.
        power: By which accumulators are yet to be shifted to the left.
    """

    clip: Clip = Clip.NONE
    shift: int = 0
    addend: int = 0
    bits: int = 0
    lo: int = 0
    hi: int = 0
    twice: bool = False
    power: int = 0

    @property
    def span(self) -> int:
        """Highest code, counted from the lowest."""
        return self.hi - self.lo

    @property
    def high_byte(self) -> int:
        """The highest code as a byte."""
        return self.hi % 256

    @property
    def raw(self) -> bool:
        """Whether sums are the results."""
        return self.clip == Clip.NONE

    def lift(self) -> Epilogue:
        """The same with the zero point counted from the lowest code.

        It suits cores without a saturation: one comparison without sign finds both ends.
        """
        return replace(self, addend=self.addend + (self.lifted << self.shift))

    @property
    def lifted(self) -> int:
        """What `lift` counts zero points up by."""
        return -self.lo if self.clip == Clip.SIGNED else 0


@dataclass(frozen=True, slots=True, eq=False)
class Folded:
    """An epilogue folded for accumulators of raw codes.

    Attributes:
        bias: To add to sum w * x, without zero points; int64 per channel.
        tail: What each channel has behind its weights, (channels, words): (multiplier), or where
            the epilogue rounds twice (shift, multiplier, addend), or nothing for raw sums.
        epilogue: Integers for the text.
    """

    bias: Int64s
    tail: Int64s
    epilogue: Epilogue

    def lift(self) -> Folded:
        """The same with codes counted from the lowest one until they are clipped."""
        if not self.epilogue.twice:
            return replace(self, epilogue=self.epilogue.lift())
        tail = self.tail.copy()
        tail[:, 2] += self.epilogue.lifted << tail[:, 0]
        return replace(self, tail=tail)


Fold = Callable[[LayerSpec, Int64s], Folded]
"""`fold_epilogue`, `fold_from_lowest` or `fold_rows`."""


@dataclass(frozen=True, slots=True, eq=False)
class Scaling:
    """Constants for accumulators of raw codes that weights multiply by 2^power.

    Attributes:
        power: Accumulators, and so weights, come multiplied by 2^power.
        bias: To add to sum w * x * 2^power, without zero points; int64 per channel.
        multiplier: int64 per channel.
        epilogue: Integers for the text; its own ``power`` is 0.
    """

    power: int
    bias: Int64s
    multiplier: Int64s
    epilogue: Epilogue


def sum_reach(layer: LayerSpec, weights: Int64s) -> Int64s:
    """Largest |acc + bias| of each channel, over all inputs.

    Args:
        layer: The layer.
        weights: One row per channel.
    """
    entry, zero = layer.inputs[0].format, layer.geometry.get("x_zero", 0)
    ends = np.stack([weights * (entry.lo - zero), weights * (entry.hi - zero)])
    highest, lowest = ends.max(0).sum(1), ends.min(0).sum(1)
    bias = layer.constants["bias"].astype(np.int64)
    reach: Int64s = np.maximum(np.abs(highest + bias), np.abs(lowest + bias))
    return reach


def refuse_epilogue(layer: LayerSpec) -> str:
    """Why the epilogue is none that rounds once to at most 8 bits."""
    if layer.epilogue != ONCE:
        return f"the epilogue is {layer.epilogue or 'missing'}"
    if layer.output.format.bits > 8:
        return f"outputs have {layer.output.format.bits} bits"
    if layer.output.format.planes > 1:
        return "outputs lie in bit planes, which are not stored code by code"
    return ""


def refuse_scaling(layer: LayerSpec, reach: Int64s, room: int = 8, gain: int = 0) -> str:
    """Why two instructions cannot requantize, empty where they can.

    Args:
        layer: The layer.
        reach: Largest |acc + bias| of each channel.
        room: Bits by which weights may grow.
        gain: log2 of what the kernel's accumulators are multiplied by anyway.
    """
    reason = refuse_epilogue(layer)
    if reason:
        return reason
    if "bias" not in layer.constants:
        return "the constants of the epilogue are no constants"
    shift = common_shift(layer)
    if shift is None:
        return "the channels have different shifts"
    power = _missing_power(shift, gain)
    if power - gain > room:
        return f"shift {shift} is too small"
    if shift + power > _MOST_SHIFT:
        return f"shift {shift} is too large"
    return _refuse_sums(layer, reach, shift, power)


def _refuse_sums(layer: LayerSpec, reach: Int64s, shift: int, power: int) -> str:
    scaled = [int(r) << power for r in reach]
    if max(scaled) >= 2**31:
        return "accumulators are too large"
    addend = _describe(layer, shift + power).addend
    return refuse_addend(addend, multiply_high(layer, scaled, 1))


def multiply_high(layer: LayerSpec, reach: list[int], more: int) -> int:
    """Largest high word of the products of sums and multipliers, and ``more``."""
    multiplier = np.abs(layer.constants["multiplier"].astype(np.int64))
    return max((r * int(m) >> 32) + more for r, m in zip(reach, multiplier, strict=True))


def refuse_addend(addend: int, high: int) -> str:
    """Why the zero point cannot be added to the high word of a product, empty where it can."""
    if abs(addend) + high >= 2**31:
        return "the zero point does not fit beside the product"
    return ""


def refuse_scaling_twice(layer: LayerSpec, reach: Int64s) -> str:
    """Why TFLite's two roundings do not fit in four instructions, empty where they do.

    With a = 2 * (acc + bias), an exponent of -s and addend = 2^(s-1) + zero * 2^s,

        t = SMMLAR(a, M, addend);  t += a >> 31 (as signed);  t >>= s;  y = saturate(t)

    A channel whose sums always round to 0, by a multiplier of 0 or a large s, has the multiplier 0
    and s = 1: the result is the zero point alone, whatever its codes are.

    SMMLAR rounds a * M / 2^32 half up, as the first rounding does. The second rounds half away
    from zero: half up, less one for negative numbers before the shift. A negative a whose product
    rounds to 0 loses the one too, which the half absorbs, so s must be at least 1.
    """
    if layer.output.format.bits != 8 or "exponent" not in layer.constants:
        return "the constants are no constants"
    if reach.max() >= 2**30:
        return "accumulators are too large"
    multiplier, shift = _settle_twice(layer)
    if shift.min() < 1:
        return "an exponent is 0 or more"
    given = -layer.constants["exponent"].astype(np.int64)
    weak = np.maximum(given - 1, 0)[given > _MOST_TWICE]
    if (reach[given > _MOST_TWICE] >= np.int64(1) << np.minimum(weak, 30)).any():
        return f"an exponent is less than {-_MOST_TWICE}"
    high = [(int(r) * int(m) >> 31) + 2 for r, m in zip(reach, multiplier, strict=True)]
    if (np.abs(_describe_twice(layer)[1]) + np.array(high)).max() >= 2**31:
        return "the zero point does not fit beside the product"
    return ""


def refuse_any_scaling(layer: LayerSpec, reach: Int64s) -> str:
    """Why kernels that shift the accumulators themselves cannot finish them, empty if they can."""
    if layer.epilogue == TWICE:
        return refuse_scaling_twice(layer, reach)
    return refuse_scaling(layer, reach, _LEAST_SHIFT)


def refuse_from_lowest(layer: LayerSpec, reach: Int64s) -> str:
    """Why `fold_from_lowest` has no constants, empty where it has."""
    reason = refuse_any_scaling(layer, reach)
    if reason:
        return reason
    folded = fold_from_lowest(layer, np.zeros(len(reach), np.int64))
    epilogue = folded.epilogue
    high = multiply_high(layer, [int(r) << epilogue.power for r in reach], 0)
    addend = int(np.abs(folded.tail[:, 2]).max()) if epilogue.twice else abs(epilogue.addend)
    return refuse_addend(addend, high + 3)


def fold_scaling(layer: LayerSpec, sums: Int64s, gain: int = 0) -> Scaling:
    """Constants for accumulators sum w * x * 2^power of raw codes.

        bias = (bias - x_zero * sum w) * 2^power

    Args:
        layer: A layer that `refuse_scaling` does not refuse.
        sums: Sum of the weights of each channel.
        gain: log2 of what the kernel's accumulators are multiplied by anyway.
    """
    shift = common_shift(layer)
    assert shift is not None
    power = _missing_power(shift, gain)
    return Scaling(
        power,
        remove_zero(layer, sums) << power,
        layer.constants["multiplier"].astype(np.int64),
        _describe(layer, shift + power),
    )


def fold_scaling_twice(layer: LayerSpec, sums: Int64s) -> tuple[Scaling, Int64s, Int64s]:
    """Constants for accumulators 2 * sum w * x of raw codes; then addend and s of each channel."""
    epilogue, addend = _describe_twice(layer)
    multiplier, shift = _settle_twice(layer)
    scaling = Scaling(1, remove_zero(layer, sums) * 2, multiplier, epilogue)
    return scaling, addend, shift


def remove_zero(layer: LayerSpec, sums: Int64s) -> Int64s:
    """Bias of each channel for sums of raw codes: bias - x_zero * sum w."""
    bias: Int64s = layer.constants["bias"].astype(np.int64)
    return bias - layer.geometry.get("x_zero", 0) * sums


def fold_epilogue(layer: LayerSpec, sums: Int64s) -> Folded:
    """Constants for accumulators of raw codes that the kernel shifts to the left by ``power``.

    Args:
        layer: A layer that `refuse_any_scaling` does not refuse.
        sums: Sum of the weights of each channel.
    """
    if layer.epilogue == TWICE:
        scaling, addend, shift = fold_scaling_twice(layer, sums)
        tail: Int64s = np.stack([shift, scaling.multiplier, addend], axis=1)
    else:
        scaling = fold_scaling(layer, sums)
        tail = scaling.multiplier[:, None]
    epilogue = replace(scaling.epilogue, power=scaling.power)
    return Folded(scaling.bias >> scaling.power, tail, epilogue)


def fold_from_lowest(layer: LayerSpec, sums: Int64s) -> Folded:
    """`fold_epilogue` where codes are counted from the lowest one until they are clipped."""
    return fold_epilogue(layer, sums).lift()


def fold_rows(layer: LayerSpec, sums: Int64s) -> Folded:
    """`fold_epilogue` for an epilogue that may be raw: no multiplier then."""
    if layer.epilogue != RAW:
        return fold_epilogue(layer, sums)
    return Folded(remove_zero(layer, sums), np.zeros((len(sums), 0), np.int64), Epilogue())


@dataclass(frozen=True, slots=True)
class Folding:
    """How a core's kernels fold an epilogue.

    Attributes:
        refuse: Why an epilogue does not fit, for the largest |acc + bias| of each channel.
        fold: Its constants, for the sum of the weights of each channel.
    """

    refuse: Callable[[LayerSpec, Int64s], str]
    fold: Fold


SHIFTING = Folding(refuse_any_scaling, fold_epilogue)
FROM_LOWEST = Folding(refuse_from_lowest, fold_from_lowest)


def grow_weights(weights: Int64s, folded: Folded, most: int) -> tuple[Int64s, Folded]:
    """Multiply weights and bias by 2^power, where no weight's magnitude passes ``most`` then.

    Kernels have one instruction less for each output if ``power`` is 0.
    """
    power = folded.epilogue.power
    if int(np.abs(weights).max(initial=0)) << power > most:
        return weights, folded
    epilogue = replace(folded.epilogue, power=0)
    return weights << power, replace(folded, bias=folded.bias << power, epilogue=epilogue)


def common_shift(layer: LayerSpec) -> int | None:
    """The shift of all channels, None where they differ."""
    shifts = layer.constants["shift"]
    return None if np.ptp(shifts) else int(shifts.flat[0])


def _missing_power(shift: int, gain: int) -> int:
    return max(gain, _LEAST_SHIFT - shift)


def _describe_twice(layer: LayerSpec) -> tuple[Epilogue, Int64s]:
    """The clip range alone, and the addend of each channel."""
    epilogue = _describe(layer, _LEAST_SHIFT)
    zero = (epilogue.addend - 1) // 2
    shift = _settle_twice(layer)[1]
    addend: Int64s = (np.int64(1) << np.maximum(shift - 1, 0)) + zero * (np.int64(1) << shift)
    return replace(epilogue, shift=0, addend=0, twice=True), addend


def _settle_twice(layer: LayerSpec) -> tuple[Int64s, Int64s]:
    """Multiplier and s of each channel; those of a channel without effect are 0 and 1."""
    multiplier = layer.constants["multiplier"].astype(np.int64)
    shift = -layer.constants["exponent"].astype(np.int64)
    idle = (multiplier == 0) | (shift > _MOST_TWICE)
    return np.where(idle, 0, multiplier), np.maximum(np.where(idle, 1, shift), 0)


def describe_clip(layer: LayerSpec) -> tuple[Epilogue, int]:
    """The clip range alone, and the zero point as it is counted then."""
    lo, hi, zero = (layer.geometry[key] for key in ("lo", "hi", "zero_point"))
    bits = (hi - lo).bit_length()
    whole = hi - lo + 1 == 1 << bits
    if whole and bits and -lo == 1 << (bits - 1):
        return Epilogue(Clip.SIGNED, bits=bits, lo=lo, hi=hi), zero
    if whole and bits and lo == 0:
        return Epilogue(Clip.UNSIGNED, bits=bits, lo=lo, hi=hi), zero
    return Epilogue(Clip.RANGE, bits=bits, lo=lo, hi=hi), zero - lo


def _describe(layer: LayerSpec, shift: int) -> Epilogue:
    clip, zero = describe_clip(layer)
    addend = (1 << (shift - 33)) + zero * (1 << (shift - 32))
    return replace(clip, shift=shift - 32, addend=addend)
