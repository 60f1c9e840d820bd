"""Integer arithmetic of the deployed path: one rounding rule, kept bit for bit by the C twins.

The rule is stated in docs/decisions/0001-arithmetic-contract.md.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from tinyq.errors import TinyqError

Int32s = npt.NDArray[np.int32]
Int64s = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

INT32_MIN, INT32_MAX = -(2**31), 2**31 - 1
BIAS_LIMIT = 2**30
MAX_SHIFT = 62
ROUNDS_UP = 1.0 + 2.0**-32
"""A gain times this reaches the next power of two if its multiplier of 31 bits would."""


def requantize(acc: Int64s | Int32s, bias: Int32s, multiplier: Int32s, shift: Int32s) -> Int64s:
    """Scale accumulators to output codes with integers only.

        y = floor(((acc + bias) * multiplier + 2**(shift - 1)) / 2**shift)    (half rounds up)

    Args:
        acc: Accumulators, int32 range, shape (..., channels).
        bias: Added before scaling, int32, shape (channels,); acc + bias stays within int32.
        multiplier: Signed mantissa per channel, int32, shape (channels,).
        shift: Right shift per channel in bits, 1 .. 62, shape (channels,).

    Returns:
        Codes before zero point and saturation, int64, shape (..., channels).

    Twin: tq_requantize in templates/runtime/tq_arith.h, equal bit for bit.
    Reference: Jacob et al. 2018, arXiv:1712.05877, section 2.2.
    """
    wide = acc.astype(np.int64) + bias
    half = np.int64(1) << (shift.astype(np.int64) - 1)
    scaled = (wide * multiplier.astype(np.int64) + half) >> shift.astype(np.int64)
    return np.asarray(scaled, np.int64)


def requantize_even(
    acc: Int64s | Int32s, bias: Int32s, multiplier: Int32s, shift: Int32s, even: Int32s
) -> Int64s:
    """Scale accumulators to output codes; a half goes to the even code where ``even`` is 1.

        s = (acc + bias) * multiplier + 2**(shift - 1)
        y = floor(s / 2**shift) - (even if s is a multiple of 2**shift and the floor is odd else 0)

    Args:
        acc: Accumulators, int32 range, shape (..., channels).
        bias: Added before scaling, int32, shape (channels,); acc + bias stays within int32.
        multiplier: Signed mantissa per channel, int32, shape (channels,).
        shift: Right shift per channel in bits, 1 .. 62, shape (channels,).
        even: 1 per channel, or 0 where a half rounds up, int32, shape (channels,).

    Returns:
        Codes before zero point and saturation, int64, shape (..., channels).

    Twin: tq_requantize_even in templates/runtime/tq_arith.h, equal bit for bit.
    """
    wide = acc.astype(np.int64) + bias
    bits = shift.astype(np.int64)
    scaled = wide * multiplier.astype(np.int64) + (np.int64(1) << (bits - 1))
    nearest = scaled >> bits
    tie = (nearest << bits) == scaled
    return np.asarray(nearest - (nearest & tie & even), np.int64)


def requantize_wide(acc: Int64s, multiplier: Int32s, low: Int32s, shift: Int32s) -> Int64s:
    """Scale accumulators of 47 bits by a 63-bit mantissa.

        y = floor((acc * (multiplier * 2**32 + low) + 2**(shift + 31)) / 2**(shift + 32))

    Half rounds up.

    Args:
        acc: Accumulators and their bias, |acc| < 2**46, int64, shape (..., channels).
        multiplier: Upper bits of the mantissa per channel, 0 .. 2**31 - 1, shape (channels,).
        low: Lower 32 bits, as int32 has them, shape (channels,).
        shift: Right shift per channel in bits, 17 .. 62, shape (channels,).

    Returns:
        Codes before zero point and saturation, int64, shape (..., channels).

    Twin: tq_requantize_wide in templates/runtime/tq_arith.h, equal bit for bit.
    """
    upper, lower, bits = (one.astype(np.int64) for one in (multiplier, low, shift))
    lowest = (acc * (lower & 0xFFFF)) >> 16
    below = (acc * ((lower >> 16) & 0xFFFF) + lowest) >> 16
    middle = (acc * (upper & 0xFFFF) + below) >> 16
    above = acc * (upper >> 16) + middle
    return np.asarray((above + (np.int64(1) << (bits - 17))) >> (bits - 16), np.int64)


def compare(acc: Int64s | Int32s, threshold: Int32s, flip: Int32s) -> Int32s:
    """Turn accumulators into signs.

        y = -1 if (acc < threshold) xor flip else +1

    Args:
        acc: Accumulators, int32 range, shape (..., channels).
        threshold: int32, shape (channels,).
        flip: 0 or 1 per channel; 1 where a larger accumulator means -1.

    Returns:
        -1 or +1, int32, shape (..., channels).

    Twin: tq_threshold in templates/runtime/tq_arith.h.
    """
    below = acc < threshold
    return np.where(below ^ (flip != 0), -1, 1).astype(np.int32)


def count_steps(acc: Int64s | Int32s, threshold: Int32s, flip: Int32s) -> Int32s:
    """Count how many thresholds accumulators have reached.

        y = #{j : (acc >= threshold[j]) xor flip}

    Args:
        acc: Accumulators, int32 range, shape (..., channels).
        threshold: int32, shape (steps, channels).
        flip: 0 or 1 per channel; 1 where a smaller accumulator means more.

    Returns:
        0 .. steps, int32, shape (..., channels).

    Twin: tq_count_steps in templates/runtime/tq_arith.h.
    """
    count = np.zeros(acc.shape, np.int32)
    for row in threshold:
        count += (acc >= row) ^ (flip != 0)
    return count


@dataclass(frozen=True, slots=True)
class Affine:
    """Integer form of ``gain * acc + offset``: see ``fold_affine``."""

    bias: Int32s
    multiplier: Int32s
    shift: Int32s


def exponent(value: Floats) -> Int64s:
    """Floor of the binary logarithm, exact: ``2**e <= value < 2**(e + 1)``; value > 0."""
    return np.frexp(value)[1].astype(np.int64) - 1


def fold_affine(gain: npt.ArrayLike, offset: npt.ArrayLike) -> Affine:
    """Integers that stand for an affine map of the accumulators.

        gain * acc + offset  ~  (acc + bias) * multiplier / 2**shift

        shift      = min(30 - floor(log2(max |gain| (1 + 2**-32))), 59 - floor(log2(max |offset|))),
                     within 1 .. 62, one for all channels
        multiplier = floor(gain * 2**shift + 1/2)
        bias       = floor(offset * 2**shift / multiplier + 1/2)

    One shift for all channels lets a kernel keep it in the instruction. The factor is for gains
    that would round up to a multiplier of 2**31. Its second limit is for
    layers whose gains are all next to nothing: the offset alone then sets the scale. A channel
    whose gain is so small that its bias would leave int32 gets the smallest multiplier with
    |bias| <= 2**30: its output is then the offset, as it should be. The bias is computed from
    the rounded multiplier, so a coarse multiplier does not move the offset.

    Args:
        gain: Output codes per accumulator unit, float64, shape (channels,), finite.
        offset: Output codes at accumulator 0, without the zero point, shape (channels,), finite.

    Raises:
        TinyqError: A gain or an offset is not finite, a gain is 2**30 or more, or an offset is
            too large for int32.

    Twin: fold_affine in tinyq/training/integer.py, equal bit for bit.
    """
    gains, offsets = _finite(gain, "a gain"), _finite(offset, "an offset")
    gains, offsets = np.broadcast_arrays(gains, offsets)
    largest = np.maximum(np.abs(gains).max(initial=0.0), 2.0**-31)
    if largest * ROUNDS_UP >= 2.0**30:
        raise TinyqError(
            "an output gain is too large for the integer path",
            remedy="raise the output's scale, or look for a BatchNorm variance near 0",
        )
    farthest = np.maximum(np.abs(offsets).max(initial=0.0), 2.0**-31)
    top = exponent(largest * ROUNDS_UP)
    shift = np.clip(np.minimum(30 - top, 59 - exponent(farthest)), 1, MAX_SHIFT)
    scale = np.ldexp(1.0, shift)
    multiplier = np.floor(gains * scale + 0.5)
    multiplier = np.clip(multiplier, -INT32_MAX, INT32_MAX)
    with np.errstate(over="ignore"):  # infinity is refused below
        least = np.ceil(np.abs(offsets) * scale / BIAS_LIMIT)
    if (least > INT32_MAX).any():
        raise TinyqError(
            "an output offset is too large for the integer path",
            remedy="train the layer's bias or BatchNorm so that its output fits the format",
        )
    sign = np.where(multiplier < 0, -1.0, 1.0)
    multiplier = np.where(np.abs(multiplier) < least, sign * least, multiplier)
    divisor = np.where(multiplier == 0, 1.0, multiplier)
    bias = np.floor(offsets * scale / divisor + 0.5)
    return Affine(
        bias=bias.astype(np.int32),
        multiplier=multiplier.astype(np.int32),
        shift=np.full(gains.shape, shift, np.int32),
    )


def fold_even(gain: Floats, offset: Floats) -> tuple[Affine, Int32s]:
    """Integers that stand for an affine map whose halves go to the even code.

        y = round(gain * acc + offset)

    Where the gain is 2**-k with k >= 1, this is exact for any offset: with B + f = offset / gain,
    0 < f < 1, no accumulator gives a half, and floor((acc + B) / 2**k + 1/2) is the result.
    Elsewhere the offset is rounded as in ``fold_affine``.

    Args:
        gain: Output codes per accumulator unit, float64, shape (channels,).
        offset: Output codes at accumulator 0, float64, shape (channels,).

    Returns:
        Integers as those of ``fold_affine``, and ``even`` for ``requantize_even``, int32.

    Twin: tinyq.training.integer.fold_even
    """
    folded = fold_affine(gain, offset)
    multiplier = folded.multiplier.astype(np.int64)
    power = (multiplier > 0) & (multiplier & (multiplier - 1) == 0)
    exact = power & (gain <= 0.5) & (multiplier == gain * np.exp2(folded.shift.astype(np.float64)))
    place = offset / np.where(exact, gain, 1.0)
    bias = np.where(exact, np.floor(place), folded.bias)
    even = ~exact | (bias == place)
    return replace(folded, bias=bias.astype(np.int32)), even.astype(np.int32)


def fold_threshold(gain: npt.ArrayLike, offset: npt.ArrayLike) -> tuple[Int32s, Int32s]:
    """Integer threshold and direction of the sign of an affine map; sign(0) = +1.

        sign(gain * acc + offset) = compare(acc, threshold, flip)

        gain > 0: threshold = ceil(-offset / gain),      flip = 0
        gain < 0: threshold = floor(-offset / gain) + 1, flip = 1
        gain = 0: threshold = -2**31,                    flip = (offset < 0)

    The quotient is rounded to float64, so an accumulator within 2**-53 of the crossing, relative
    to it, may fall on the other side. Accumulators at the two ends of int32 count as the codes
    next to them.

    Args:
        gain: Real value per accumulator unit, float64, shape (channels,), finite.
        offset: Real value at accumulator 0, shape (channels,), finite.

    Returns:
        Threshold and flip, int32 each, shape (channels,).

    Twin: fold_threshold in tinyq/training/integer.py, equal bit for bit.
    """
    gains, offsets = _finite(gain, "a gain"), _finite(offset, "an offset")
    gains, offsets = np.broadcast_arrays(gains, offsets)
    with np.errstate(over="ignore"):  # infinity is clipped
        crossing = -offsets / np.where(gains == 0, 1.0, gains)
    crossing = np.clip(crossing, float(INT32_MIN), float(INT32_MAX) - 1.0)
    threshold = np.where(gains > 0, np.ceil(crossing), np.floor(crossing) + 1)
    threshold = np.where(gains == 0, float(INT32_MIN), threshold)
    flip = np.where(gains == 0, offsets < 0, gains < 0)
    return threshold.astype(np.int32), flip.astype(np.int32)


def fold_steps(
    gain: npt.ArrayLike, offset: npt.ArrayLike, borders: npt.ArrayLike
) -> tuple[Int32s, Int32s]:
    """Integer thresholds and direction of an affine map that is compared with several numbers.

        #{j : gain * acc + offset >= borders[j]} = count_steps(acc, threshold, flip)

    Each threshold is that of `fold_threshold` for ``offset - borders[j]``. A channel whose gain is
    0 has flip 0 and thresholds of -2**31 and 2**31 - 1, always and never.

    Args:
        gain: Real value per accumulator unit, float64, shape (channels,), finite.
        offset: Real value at accumulator 0, shape (channels,), finite.
        borders: float64, shape (steps,), finite.

    Returns:
        Thresholds, shape (steps, channels), and flip, shape (channels,), int32 each.

    Twin: fold_steps in tinyq/training/integer.py, equal bit for bit.
    """
    gains, offsets = np.broadcast_arrays(_finite(gain, "a gain"), _finite(offset, "an offset"))
    folded = [fold_threshold(gains, offsets - border) for border in _finite(borders, "a border")]
    threshold = np.stack([threshold for threshold, _ in folded])
    never = np.stack([(gains == 0) & (flip != 0) for _, flip in folded])
    return np.where(never, INT32_MAX, threshold).astype(np.int32), (gains < 0).astype(np.int32)


def divide_half_up(total: Int64s, count: Int64s | int) -> Int64s:
    """Mean of integers, half rounded up.

        y = floor((2 * total + count) / (2 * count))

    Args:
        total: Sums, int64.
        count: How many values each sum holds, at least 1.

    Twin: tq_divide_half_up in templates/runtime/tq_arith.h.
    """
    return np.asarray((2 * total + count) // (2 * np.asarray(count, np.int64)), np.int64)


def softmax_table(scale: float) -> Int32s:
    """Exponentials of all differences that two 8-bit codes can have.

        table[d] = floor(exp(-scale * d) * 65535 + 1/2)     for d = 0 .. 255

    Args:
        scale: Real value of one code, greater than 0.

    Returns:
        int32, shape (256,), values 0 .. 65535.
    """
    difference = np.arange(256, dtype=np.float64)
    return np.floor(np.exp(-scale * difference) * 65535.0 + 0.5).astype(np.int32)


def softmax(codes: Int32s, table: Int32s) -> Int32s:
    """Integer softmax over the last axis.

        e_i = table[max(x) - x_i]
        y_i = min(floor((256 * e_i + floor(sum(e) / 2)) / sum(e)) - 128, 127)

    Args:
        codes: 8-bit codes, shape (..., classes), at most 65,535 classes.
        table: See ``softmax_table``.

    Returns:
        Codes of scale 1/256 and zero point -128, int32, shape (..., classes).

    Twin: templates/kernels/generic/softmax.c.j2 with tinyq.kernels.generic.softmax.SOFTMAXES.
    """
    difference = codes.max(axis=-1, keepdims=True) - codes
    powers = table[difference].astype(np.int64)
    total = powers.sum(axis=-1, keepdims=True)
    shares = (256 * powers + total // 2) // total
    return np.asarray(np.minimum(shares - 128, 127), np.int32)


def _finite(values: npt.ArrayLike, what: str) -> Floats:
    array = np.atleast_1d(np.asarray(values, np.float64))
    if not np.isfinite(array).all():
        raise TinyqError(
            f"{what} is not a finite number (channel {int(np.argmin(np.isfinite(array)))})",
            remedy="look for NaN or infinity in the layer's weights and statistics",
        )
    return array
