"""Level sets: the integers that weights may be, and how a real weight finds its own."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any

import numpy as np
from keras import ops

from tinyq.quantizers.parts.rounding import round_half_up
from tinyq.quantizers.parts.sorting import call_numpy


def sign(values: Any) -> Any:
    """Sign without a zero.

        y = -1 if x < 0 else +1

    Args:
        values: Real tensor of any shape.

    Returns:
        -1 or +1 in the dtype of ``values``.

    Reference: survey eq. 3; Courbariaux et al. 2016, arXiv:1602.02830.
    """
    return ops.where(values < 0, -ops.ones_like(values), ops.ones_like(values))


@dataclass(frozen=True, slots=True)
class Uniform:
    """Equally spaced integers.

        code = clip(floor(w / step + 1/2), lo, hi)

    Attributes:
        lo: Smallest code.
        hi: Largest code.

    Reference: survey eq. 5, with half rounded up; Jacob et al. 2018, arXiv:1712.05877.
    """

    lo: int
    hi: int

    @property
    def codes(self) -> tuple[int, ...]:
        """All codes, ascending."""
        return tuple(range(self.lo, self.hi + 1))

    def encode(self, weights: Any, step: Any) -> Any:
        """Codes, in the dtype of ``weights``; ``step`` is the real value of one code step."""
        return ops.clip(round_half_up(weights / step), self.lo, self.hi)


@dataclass(frozen=True, slots=True)
class Ternary:
    """Minus one, zero and one.

        code = sign(w) if |w| > step else 0

    Reference: survey eq. 4; Li et al. 2016, arXiv:1605.04711.
    """

    lo: int = -1
    hi: int = 1
    codes: tuple[int, ...] = (-1, 0, 1)

    def encode(self, weights: Any, step: Any) -> Any:
        """Codes, in the dtype of ``weights``; ``step`` is the threshold."""
        return ops.where(ops.abs(weights) > step, sign(weights), ops.zeros_like(weights))


@dataclass(frozen=True, slots=True)
class Binary:
    """Minus one and one.

        code = sign(w), sign(0) = +1

    Reference: survey eq. 3; Courbariaux et al. 2015, arXiv:1511.00363.
    """

    lo: int = -1
    hi: int = 1
    codes: tuple[int, ...] = (-1, 1)

    def encode(self, weights: Any, step: Any) -> Any:
        """Codes, in the dtype of ``weights``; ``step`` plays no part."""
        del step
        return sign(weights)


@dataclass(frozen=True, slots=True)
class OddUniform:
    """Equally spaced odd integers: an even number of levels without a zero.

        code = 2 * clip(floor((w / step + n) / 2 + 1/2), 0, n) - n,  n = 2**bits - 1

    With step = 1 / n and w in -1 .. 1 this is 2 * quantize_k((w + 1) / 2) - 1.

    Attributes:
        bits: Binary logarithm of the number of levels.

    Reference: survey eq. 6; Zhou et al. 2016, arXiv:1606.06160.
    """

    bits: int

    @property
    def hi(self) -> int:
        """Largest code."""
        return int(2**self.bits - 1)

    @property
    def lo(self) -> int:
        """Smallest code."""
        return -self.hi

    @property
    def codes(self) -> tuple[int, ...]:
        """All codes, ascending."""
        return tuple(range(self.lo, self.hi + 1, 2))

    def encode(self, weights: Any, step: Any) -> Any:
        """Codes, in the dtype of ``weights``; ``step`` is the real value of code 1."""
        index = round_half_up((weights * (1.0 / step) + self.hi) * 0.5)
        return 2.0 * ops.clip(index, 0.0, float(self.hi)) - self.hi


@dataclass(frozen=True, slots=True)
class Truncated(OddUniform):
    """Odd integers whose first bits are those of any wider set: what is rounded is cut off.

        code = 2 * clip(floor((w / step + 2**bits) / 2), 0, 2**bits - 1) + 1 - 2**bits

    With step = 2**-bits and w in -1 .. 1 the code of k bits is that of k + 1 bits without its last.

    Reference: Jin et al. 2020, arXiv:1912.09666, section 3.2.
    """

    def encode(self, weights: Any, step: Any) -> Any:
        """Codes, in the dtype of ``weights``; ``step`` is the real value of code 1."""
        index = ops.floor((weights * (1.0 / step) + 2.0**self.bits) * 0.5)
        return 2.0 * ops.clip(index, 0.0, float(self.hi)) - self.hi


@dataclass(frozen=True, slots=True)
class Balanced:
    """Odd integers that equally many weights have: the histogram is equalized.

        code = 2 * floor(rank(w) * 2**bits / count) - (2**bits - 1)

    The rank is taken over all weights of a kernel; of equal weights all have the highest of their
    ranks' codes.

    Attributes:
        bits: Binary logarithm of the number of levels.

    Reference: Zhou et al. 2017, arXiv:1706.07145.
    """

    bits: int

    @property
    def hi(self) -> int:
        """Largest code."""
        return int(2**self.bits - 1)

    @property
    def lo(self) -> int:
        """Smallest code."""
        return -self.hi

    @property
    def codes(self) -> tuple[int, ...]:
        """All codes, ascending."""
        return tuple(range(self.lo, self.hi + 1, 2))

    def encode(self, weights: Any, step: Any) -> Any:
        """Codes, in the dtype of ``weights``; ``step`` plays no part."""
        del step
        return call_numpy(self._rank, [weights], weights.shape)

    def _rank(self, weights: np.ndarray) -> np.ndarray:
        """Counting borders is quicker than searching among few of them."""
        count = weights.size
        firsts = (-(-level * count // 2**self.bits) for level in range(1, self.hi + 1))
        borders = np.sort(weights, axis=None)[[first for first in firsts if first < count]]
        index = np.zeros(weights.shape, np.uint8)
        for border in borders:
            index += weights >= border
        return 2.0 * index.astype(np.float32) - self.hi


@dataclass(frozen=True, slots=True)
class Listed:
    """Any symmetric set of integers with a zero, such as powers of two and their sums.

        code = sign(w) * the magnitude next to |w| / step

    Attributes:
        magnitudes: Positive codes, ascending.
        log: Whether distances are those of logarithms; else of the numbers themselves.

    Reference: survey eq. 11, with a bounded exponent and a zero; Miyashita et al. 2016,
        arXiv:1603.01025; Zhou et al. 2017, arXiv:1702.03044; Li et al. 2020, arXiv:1909.13144.
    """

    magnitudes: tuple[int, ...]
    log: bool = False

    @property
    def hi(self) -> int:
        """Largest code."""
        return self.magnitudes[-1]

    @property
    def lo(self) -> int:
        """Smallest code."""
        return -self.hi

    @property
    def codes(self) -> tuple[int, ...]:
        """All codes, ascending."""
        return (*(-magnitude for magnitude in reversed(self.magnitudes)), 0, *self.magnitudes)

    @property
    def bounds(self) -> tuple[float, ...]:
        """Where each magnitude begins."""
        if not self.log:
            pairs = itertools.pairwise((0, *self.magnitudes))
            return tuple((low + high) / 2.0 for low, high in pairs)
        # Below the smallest power half a bit counts as it, and what is less is 0.
        first = self.magnitudes[0] * 2.0**-0.5
        between = itertools.pairwise(self.magnitudes)
        return (first, *((low * high) ** 0.5 for low, high in between))

    def encode(self, weights: Any, step: Any) -> Any:
        """Codes, in the dtype of ``weights``; ``step`` is the real value of code 1."""
        positions = ops.abs(weights) * (1.0 / step)
        total, below = ops.zeros_like(weights), 0
        for bound, magnitude in zip(self.bounds, self.magnitudes, strict=True):
            total = total + ops.cast(positions >= bound, weights.dtype) * float(magnitude - below)
            below = magnitude
        return sign(weights) * total


def powers_of_two(count: int, log: bool = False) -> Listed:
    """Zero and signed powers of two.

        codes = 0, +-2**e for e = 0 .. count - 1

    Args:
        count: Number of exponents.
        log: Whether rounding takes place in the logarithm.
    """
    return Listed(tuple(2**exponent for exponent in range(count)), log)


def additive_powers(terms: int, bits: int) -> Listed:
    """Zero and signed sums of powers of two.

        level = sum_i p_i,  p_i in {0, 2**-i, 2**-(i + terms), ...},  2**bits choices each

    Args:
        terms: Powers per level.
        bits: Bits per power.

    Returns:
        The level set in multiples of its smallest power.

    Reference: Li et al. 2020, arXiv:1909.13144.
    """
    deepest = terms - 1 + (2**bits - 2) * terms
    choices = [
        (0, *(2 ** (deepest - term - step * terms) for step in range(2**bits - 1)))
        for term in range(terms)
    ]
    sums = {sum(parts) for parts in itertools.product(*choices)}
    return Listed(tuple(sorted(sums - {0})))


@dataclass(frozen=True, slots=True)
class Given:
    """Codes that a user's function gives, kept in a format.

        code = clip(floor(given + 1/2), lo, hi), or the sign where codes are two apart

    Attributes:
        lo: Smallest code.
        hi: Largest code.
        step: Distance of neighbouring codes, 1 or 2.
    """

    lo: int
    hi: int
    step: int = 1

    @property
    def codes(self) -> tuple[int, ...]:
        """All codes, ascending."""
        return tuple(range(self.lo, self.hi + 1, self.step))

    def encode(self, weights: Any, step: Any) -> Any:
        """Codes, in the dtype of ``weights``; ``step`` is what the function gave, codes first."""
        codes = ops.cast(ops.broadcast_to(step[0], weights.shape), weights.dtype)
        return sign(codes) if self.step == 2 else ops.clip(round_half_up(codes), self.lo, self.hi)


Levels = Uniform | Ternary | Binary | OddUniform | Truncated | Balanced | Listed | Given
