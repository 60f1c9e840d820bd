"""An integer multiplier that rounds exactly as a float64 product does, proven at import.

TFLite's reference kernel of fully connected layers scales with ``round(double(acc) * scale)``.
Codes have few values, so the two functions of the accumulator are equal if they step from each
code to the next at the same accumulator. Each step bounds the multiplier from both sides.
"""

from __future__ import annotations

import math

from tinyq.arithmetic import INT32_MAX, MAX_SHIFT
from tinyq.errors import ModelError


def exact_multiplier(
    scale: float, least: int, most: int, reach: int = INT32_MAX
) -> tuple[int, int]:
    """Multiplier and shift with the same codes as the float64 product.

        clip(floor((a * multiplier + 2**(shift - 1)) / 2**shift), least, most)
            = clip(round_away(float64(a) * scale), least, most)      for all |a| <= reach

    Args:
        scale: Greater than 0.
        least: Smallest code, without the zero point.
        most: Largest code, without the zero point.
        reach: Largest absolute value that an accumulator can have.

    Raises:
        ModelError: No 31-bit multiplier does that.
    """
    if scale < 2.0**-40:  # no int32 reaches half a code
        return 0, 1
    shift = min(max(31 - math.frexp(scale)[1], 1), MAX_SHIFT)
    lo, hi = 0, INT32_MAX
    for code in range(least + 1, most + 1):
        step = _first(code, scale)
        level = (2 * code - 1) << (shift - 1)
        if step <= reach:
            lo, hi = _at_least(max(step, -reach), level, lo, hi)
        if step > -reach:
            lo, hi = _below(min(step - 1, reach), level, lo, hi)
    if lo > hi:
        raise ModelError(
            f"no integer multiplier equals the scale {scale} for every accumulator",
            remedy="import with rounding half_up",
        )
    nearest = math.floor(math.ldexp(scale, shift) + 0.5)
    return min(max(nearest, lo), hi), shift


def _first(code: int, scale: float) -> int:
    """Smallest integer whose product rounds to at least ``code``."""
    guess = math.ceil((code - 0.5) / scale)
    while _reaches(guess, scale, code):
        guess -= 1
    while not _reaches(guess, scale, code):
        guess += 1
    return guess


def _reaches(acc: int, scale: float, code: int) -> bool:
    product = float(acc) * scale
    return math.copysign(math.floor(abs(product) + 0.5), product) >= code


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
