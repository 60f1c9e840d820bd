"""Requantization in two instructions: what it needs, and its constants.

    y = sat(((acc * M + 2^32 * addend) >> 32) >> (n - 32))        SMMLA; SSAT or USAT
    addend = 2^(n - 33) + zero * 2^(n - 32)

equals clip(zero + floor((acc * M + 2^(n-1)) / 2^n)) because nested floors compose. It needs
33 <= n <= 63, a result of SMMLA within int32, and a clip range that one saturation gives; for any
other range zero is counted from the lower end, and three more instructions do the rest. Where n is
less than 33, accumulators come multiplied by the missing power of two.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from tinyq.kernels.layer import LayerSpec

Int64s = npt.NDArray[np.int64]
Fold = Callable[["LayerSpec", Int64s], tuple[Int64s, Int64s, Mapping[str, int]]]
"""`fold_stage` or `fold_from_lowest`."""
Grown = tuple[Int64s, Int64s, Mapping[str, int]]

_LEAST_SHIFT, _MOST_SHIFT = 33, 63
_SATURATE, _SATURATE_UNSIGNED, _CLIP, _RAW = 0, 1, 2, 3


@dataclass(frozen=True, slots=True, eq=False)
class Scaling:
    """Constants of the output stage for accumulators of raw codes.

    Attributes:
        power: Accumulators, and so weights, come multiplied by 2^power.
        bias: To add to sum w * x * 2^power, without zero points; int64 per channel.
        multiplier: int64 per channel.
        numbers: ``shift`` (n - 32), ``addend``, ``clip`` (0 SSAT, 1 USAT, 2 neither), ``bits``,
            ``lo``, ``hi``.
    """

    power: int
    bias: Int64s
    multiplier: Int64s
    numbers: Mapping[str, int]


def sum_reach(layer: LayerSpec, weights: Int64s) -> Int64s:
    """Largest |acc + bias| of each channel, over all inputs.

    Args:
        layer: The node.
        weights: One row per channel.
    """
    entry, zero = layer.inputs[0].format, layer.geometry.get("x_zero", 0)
    ends = np.stack([weights * (entry.lo - zero), weights * (entry.hi - zero)])
    highest, lowest = ends.max(0).sum(1), ends.min(0).sum(1)
    bias = layer.constants["bias"].astype(np.int64)
    reach: Int64s = np.maximum(np.abs(highest + bias), np.abs(lowest + bias))
    return reach


def refuse_scaling(layer: LayerSpec, reach: Int64s, room: int = 8, gain: int = 0) -> str:
    """Why two instructions cannot requantize, empty where they can.

    Args:
        layer: The node.
        reach: Largest |acc + bias| of each channel.
        room: Bits by which weights may grow.
        gain: log2 of what the kernel's accumulators are multiplied by anyway.
    """
    reason = refuse_stage(layer)
    if reason:
        return reason
    if "bias" not in layer.constants:
        return "the constants of the output stage are no constants"
    shift = common_shift(layer)
    if shift is None:
        return "the channels have different shifts"
    power = _missing_power(shift, gain)
    if power - gain > room:
        return f"shift {shift} is too small"
    if shift + power > _MOST_SHIFT:
        return f"shift {shift} is too large"
    numbers = _number(layer, shift + power)
    multiplier = np.abs(layer.constants["multiplier"].astype(np.int64))
    scaled = [int(r) << power for r in reach]
    high = max((r * int(m) >> 32) + 1 for r, m in zip(scaled, multiplier, strict=True))
    if max(scaled) >= 2**31:
        return "accumulators are too large"
    if abs(numbers["addend"]) + high >= 2**31:
        return "the zero point does not fit beside the product"
    return ""


def refuse_scaling_twice(layer: LayerSpec, reach: Int64s) -> str:
    """Why TFLite's two roundings do not fit in four instructions, empty where they do.

    With a = 2 * (acc + bias), an exponent of -s and addend = 2^(s-1) + zero * 2^s,

        t = SMMLAR(a, M, addend);  t += a >> 31 (as signed);  t >>= s;  y = saturate(t)

    SMMLAR rounds a * M / 2^32 half up, as the first rounding does. The second rounds half away
    from zero: half up, less one for negative numbers before the shift. A negative a whose product
    rounds to 0 loses the one too, which the half absorbs, so s must be at least 1.
    """
    if layer.output.format.bits != 8 or "exponent" not in layer.constants:
        return "the constants are no constants"
    shift = -layer.constants["exponent"].astype(np.int64)
    if shift.min() < 1 or shift.max() > 22:
        return "an exponent leaves -22 .. -1"
    if reach.max() >= 2**30:
        return "accumulators are too large"
    multiplier = layer.constants["multiplier"].astype(np.int64)
    high = [(int(r) * int(m) >> 31) + 2 for r, m in zip(reach, multiplier, strict=True)]
    if (np.abs(_number_twice(layer)[1]) + np.array(high)).max() >= 2**31:
        return "the zero point does not fit beside the product"
    return ""


def fold_scaling_twice(layer: LayerSpec, sums: Int64s) -> tuple[Scaling, Int64s, Int64s]:
    """Constants for accumulators 2 * sum w * x of raw codes; then addend and s of each channel."""
    zero = layer.geometry.get("x_zero", 0)
    numbers, addend = _number_twice(layer)
    scaling = Scaling(
        1,
        (layer.constants["bias"].astype(np.int64) - zero * sums) * 2,
        layer.constants["multiplier"].astype(np.int64),
        MappingProxyType(numbers),
    )
    return scaling, addend, -layer.constants["exponent"].astype(np.int64)


def refuse_any_scaling(layer: LayerSpec, reach: Int64s) -> str:
    """Why kernels that shift the accumulators themselves cannot finish them, empty if they can."""
    if layer.epilogue == "requantizetwice":
        return refuse_scaling_twice(layer, reach)
    return refuse_scaling(layer, reach, _LEAST_SHIFT)


def fold_stage(layer: LayerSpec, sums: Int64s) -> tuple[Int64s, Int64s, Mapping[str, int]]:
    """Constants for accumulators of raw codes that the kernel shifts to the left by ``power``.

    Args:
        layer: A node that `refuse_any_scaling` does not refuse.
        sums: Sum of the weights of each channel.

    Returns:
        Bias of each channel, to add before the shift; (multiplier) or, where the stage rounds
        twice, (shift, multiplier, addend) of each; numbers, with ``power``.
    """
    if layer.epilogue == "requantizetwice":
        scaling, addend, shift = fold_scaling_twice(layer, sums)
        tail: Int64s = np.stack([shift, scaling.multiplier, addend], axis=1)
    else:
        scaling = fold_scaling(layer, sums)
        tail = scaling.multiplier[:, None]
    return scaling.bias >> scaling.power, tail, {**scaling.numbers, "power": scaling.power}


def grow_weights(weights: Int64s, bias: Int64s, numbers: Mapping[str, int], most: int) -> Grown:
    """Multiply weights and bias by 2^power, where no weight's magnitude passes ``most`` then.

    Kernels have one instruction less for each output if ``power`` is 0.
    """
    power = numbers["power"]
    if int(np.abs(weights).max(initial=0)) << power > most:
        return weights, bias, numbers
    return weights << power, bias << power, {**numbers, "power": 0}


def fold_from_lowest(layer: LayerSpec, sums: Int64s) -> tuple[Int64s, Int64s, Mapping[str, int]]:
    """`fold_stage` where codes are counted from the lowest one until they are clipped.

    It suits cores without a saturation: one comparison without sign finds both ends.
    """
    bias, tail, numbers = fold_stage(layer, sums)
    if not numbers["twice"]:
        return bias, tail, lift_addend(numbers)
    tail[:, 2] += _lift(numbers) << tail[:, 0]
    return bias, tail, numbers


def lift_addend(numbers: Mapping[str, int]) -> Mapping[str, int]:
    """Numbers of `fold_scaling` with the zero point counted from the lowest code."""
    return {**numbers, "addend": numbers["addend"] + (_lift(numbers) << numbers["shift"])}


def _lift(numbers: Mapping[str, int]) -> int:
    return -numbers["lo"] if numbers["clip"] == _SATURATE else 0


def refuse_from_lowest(layer: LayerSpec, reach: Int64s) -> str:
    """Why `fold_from_lowest` has no constants, empty where it has."""
    reason = refuse_any_scaling(layer, reach)
    if reason:
        return reason
    _, tail, numbers = fold_from_lowest(layer, np.zeros(len(reach), np.int64))
    scaled = reach << numbers["power"]
    multiplier = np.abs(layer.constants["multiplier"].astype(np.int64))
    high = max(int(r) * int(m) >> 32 for r, m in zip(scaled, multiplier, strict=True))
    addend = int(np.abs(tail[:, 2]).max()) if numbers["twice"] else abs(numbers["addend"])
    return "the zero point does not fit beside the product" if addend + high + 3 >= 2**31 else ""


def fold_rows(layer: LayerSpec, sums: Int64s) -> tuple[Int64s, Int64s, Mapping[str, int]]:
    """`fold_stage` for a stage that may be raw: no multiplier then, and ``clip`` is 3."""
    if layer.epilogue != "raw":
        return fold_stage(layer, sums)
    bias = layer.constants["bias"].astype(np.int64) - layer.geometry["x_zero"] * sums
    return bias, np.zeros((len(sums), 0), np.int64), {"clip": _RAW, "power": 0}


def refuse_stage(layer: LayerSpec) -> str:
    """Why the output stage is none that rounds once to at most 8 bits."""
    if layer.epilogue != "requantize":
        return f"the output stage is {layer.epilogue or 'missing'}"
    if layer.output.format.bits > 8:
        return f"outputs have {layer.output.format.bits} bits"
    if layer.output.format.planes > 1:
        return "outputs lie in bit planes, which are not stored code by code"
    return ""


def fold_scaling(layer: LayerSpec, sums: Int64s, gain: int = 0) -> Scaling:
    """Constants for accumulators sum w * x * 2^power of raw codes.

        bias = (bias - x_zero * sum w) * 2^power

    Args:
        layer: A node that `refuse_scaling` does not refuse.
        sums: Sum of the weights of each channel.
        gain: log2 of what the kernel's accumulators are multiplied by anyway.
    """
    shift = common_shift(layer)
    assert shift is not None
    power = _missing_power(shift, gain)
    zero = layer.geometry.get("x_zero", 0)
    return Scaling(
        power,
        (layer.constants["bias"].astype(np.int64) - zero * sums) << power,
        layer.constants["multiplier"].astype(np.int64),
        MappingProxyType(_number(layer, shift + power)),
    )


def common_shift(layer: LayerSpec) -> int | None:
    """The shift of all channels, None where they differ."""
    shifts = layer.constants["shift"]
    return None if np.ptp(shifts) else int(shifts.flat[0])


def to_words(values: npt.ArrayLike) -> npt.NDArray[np.uint32]:
    """Integers modulo 2^32."""
    return (np.asarray(values, np.int64) & 0xFFFFFFFF).astype(np.uint32)


def pair_words(low: npt.ArrayLike, high: npt.ArrayLike) -> npt.NDArray[np.uint32]:
    """Two int16 in a word."""
    one, two = np.asarray(low, np.int64), np.asarray(high, np.int64)
    return ((one & 0xFFFF) | (two & 0xFFFF) << 16).astype(np.uint32)


def _missing_power(shift: int, gain: int) -> int:
    return max(gain, _LEAST_SHIFT - shift)


def _number_twice(layer: LayerSpec) -> tuple[dict[str, int], Int64s]:
    """Numbers of the clip range alone, and the addend of each channel."""
    numbers = _number(layer, _LEAST_SHIFT)
    zero = (numbers["addend"] - 1) // 2
    shift = -layer.constants["exponent"].astype(np.int64)
    addend: Int64s = (np.int64(1) << (shift - 1)) + zero * (np.int64(1) << shift)
    return {**numbers, "shift": 0, "addend": 0, "twice": 1}, addend


def _number(layer: LayerSpec, shift: int) -> dict[str, int]:
    lo, hi = layer.geometry["lo"], layer.geometry["hi"]
    zero = layer.geometry["zero_point"]
    bits = (hi - lo).bit_length()
    whole = hi - lo + 1 == 1 << bits
    if whole and bits and -lo == 1 << (bits - 1):
        clip = _SATURATE
    elif whole and bits and lo == 0:
        clip = _SATURATE_UNSIGNED
    else:
        clip, zero = _CLIP, zero - lo
    addend = (1 << (shift - 33)) + zero * (1 << (shift - 32))
    return {
        "shift": shift - 32,
        "addend": addend,
        "clip": clip,
        "bits": bits,
        "lo": lo,
        "hi": hi,
        "twice": 0,
    }
