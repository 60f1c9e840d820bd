"""An integer multiplier that rounds exactly as a float64 product does, proven at import.

TFLite's reference kernel of fully connected layers scales with ``round(double(acc) * scale)``.
Codes have few values, so the two functions of the accumulator are equal if they step from each
code to the next at the same accumulator. Each step bounds the multiplier from both sides.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import numpy as np
import numpy.typing as npt

from tinyq.errors import ModelError
from tinyq.numerics.rounding import INT32_MAX, MAX_SHIFT

Reaches = Callable[[int, int], bool]


def exact_multiplier(
    scale: float,
    least: int,
    most: int,
    reach: int = INT32_MAX,
    reaches: Reaches | None = None,
) -> tuple[int, int] | None:
    """Multiplier and shift with the same codes as the float64 product.

        clip(floor((a * multiplier + 2**(shift - 1)) / 2**shift), least, most)
            = clip(round_away(float64(a) * scale), least, most)      for all |a| <= reach

    Args:
        scale: Greater than 0.
        least: Smallest code, without the zero point.
        most: Largest code, without the zero point.
        reach: Largest absolute value that an accumulator can have.
        reaches: Whether an accumulator has at least a code, in the place of the float64 product:
            a step for each code, close to the product's.

    Returns:
        None where no 31-bit multiplier does that.
    """
    if scale < 2.0**-40:  # no int32 reaches half a code
        return 0, 1
    shift = min(max(31 - math.frexp(scale)[1], 1), MAX_SHIFT)
    lo, hi = 0, INT32_MAX
    for code in range(least + 1, most + 1):
        step = _first(code, scale, reaches or _product_reaches(scale))
        level = (2 * code - 1) << (shift - 1)
        if step <= reach:
            lo, hi = _at_least(max(step, -reach), level, lo, hi)
        if step > -reach:
            lo, hi = _below(min(step - 1, reach), level, lo, hi)
    if lo > hi:
        return None
    nearest = math.floor(math.ldexp(scale, shift) + 0.5)
    return min(max(nearest, lo), hi), shift


WIDE_BITS = 63


def exact_wide_multiplier(scale: float, least: int, most: int, reach: int) -> tuple[int, int]:
    """Like ``exact_multiplier`` with a mantissa of 63 bits, for many codes or long steps.

    Args:
        scale: Greater than 0, below 2**14.
        least: Smallest code.
        most: Largest code.
        reach: Largest absolute value of an accumulator, below 2**46.

    Returns:
        Mantissa below 2**63 and the shift that ``requantize_wide`` takes.

    Raises:
        ModelError: No such multiplier does that, or the scale is too large.
    """
    power = math.frexp(scale)[1]
    if power > 14:
        raise ModelError(f"the scale {scale} is too large")
    shift = min(31 - power, MAX_SHIFT)
    lo, hi = 0, (1 << WIDE_BITS) - 1
    for code, acc, below in _critical_steps(scale, least, most, reach):
        level = (2 * code - 1) << (shift + 31)
        lo, hi = (_below if below else _at_least)(acc, level, lo, hi)
    if lo > hi:
        raise ModelError(
            f"no integer multiplier equals the scale {scale} for every accumulator",
            remedy="import with rounding half_up",
        )
    nearest = math.floor(math.ldexp(scale, shift + 32) + 0.5)
    return min(max(nearest, lo), hi), shift


def _critical_steps(
    scale: float, least: int, most: int, reach: int
) -> Iterator[tuple[int, int, bool]]:
    """Codes and accumulators next to their steps, those alone that bound the multiplier most.

    Each is (code, accumulator, whether its product lies below the step to the code).
    """
    codes = np.arange(least + 1, most + 1, dtype=np.int64)
    codes = codes[np.abs((codes - 0.5) / scale) <= reach + 1.0]
    first = np.ceil((codes - 0.5) / scale).astype(np.int64)
    for _ in range(2):
        first = np.where(_all_reach(first - 1, scale, codes), first - 1, first)
        first = np.where(_all_reach(first, scale, codes), first, first + 1)
    for acc, below in ((first, False), (first - 1, True)):
        for sign in (-1, 0, 1):
            chosen = (np.sign(acc) == sign) & (np.abs(acc) <= reach)
            yield from _extremes(codes[chosen], acc[chosen], below)


def _all_reach(
    acc: npt.NDArray[np.int64], scale: float, codes: npt.NDArray[np.int64]
) -> np.ndarray:
    product = acc.astype(np.float64) * scale
    return np.asarray(np.copysign(np.floor(np.abs(product) + 0.5), product) >= codes)


def _extremes(
    codes: npt.NDArray[np.int64], acc: npt.NDArray[np.int64], below: bool
) -> Iterator[tuple[int, int, bool]]:
    """Of bounds on one side those near the tightest; a float64 quotient tells them well enough."""
    if codes.size == 0:
        return
    if acc[0] == 0:
        yield from ((int(code), 0, below) for code in codes)
        return
    ratio = (codes - 0.5) / acc
    from_above = below == bool(acc[0] > 0)
    tightest = ratio.min() if from_above else ratio.max()
    for place in np.flatnonzero(np.abs(ratio - tightest) <= 1e-14 * abs(tightest)):
        yield int(codes[place]), int(acc[place]), below


def _first(code: int, scale: float, reaches: Reaches) -> int:
    """Smallest integer that reaches ``code``."""
    guess = math.ceil((code - 0.5) / scale)
    while reaches(guess, code):
        guess -= 1
    while not reaches(guess, code):
        guess += 1
    return guess


def _product_reaches(scale: float) -> Reaches:
    def reaches(acc: int, code: int) -> bool:
        product = float(acc) * scale
        return math.copysign(math.floor(abs(product) + 0.5), product) >= code

    return reaches


def _at_least(acc: int, level: int, lo: int, hi: int) -> tuple[int, int]:
    """Bounds of m with m * acc >= level."""
    if acc > 0:
        return max(lo, -(-level // acc)), hi
    if acc < 0:
        return lo, min(hi, level // acc)
    return (lo, hi) if level <= 0 else (1, 0)


def _below(acc: int, level: int, lo: int, hi: int) -> tuple[int, int]:
    """Bounds of m with m * acc < level."""
    if acc > 0:
        return lo, min(hi, (level - 1) // acc)
    if acc < 0:
        return max(lo, level // acc + 1), hi
    return (lo, hi) if level > 0 else (1, 0)
