"""What front ends have in common: frames of a signal in, rows of features out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction

from tinyq.errors import ModelError
from tinyq.graph.builder import GraphBuilder
from tinyq.graph.ops.noise import NoiseEstimate

Remember = Callable[[NoiseEstimate, str], str]
"""Adds an operation that goes on from one frame to the next; gives the name of its output."""


@dataclass(frozen=True, slots=True)
class FrontEnd:
    """How frames of a signal become features.

    Attributes:
        rate: Samples a second.
        window_ms: Length of a frame in milliseconds.
        hop_ms: From one frame to the next.
        bits: Of a feature, 8 or 16.
    """

    rate: int = 16000
    window_ms: float = 30.0
    hop_ms: float = 10.0
    bits: int = 8

    def __post_init__(self) -> None:
        """Check what all front ends share."""
        if self.bits not in (8, 16):
            raise ModelError(
                f"features of {self.bits} bits are not supported", remedy="use 8 or 16"
            )
        if not 1 <= self.size <= 4096 or not 1 <= self.hop <= 2**20:
            raise ModelError(
                f"frames of {self.size:,} samples every {self.hop:,} are not supported",
                remedy="use frames of 1 to 4,096 samples, and a hop of a sample at least",
            )

    @property
    def size(self) -> int:
        """Samples of a frame."""
        return int(self.window_ms * self.rate / 1000)

    @property
    def hop(self) -> int:
        """Samples from one frame to the next."""
        return int(self.hop_ms * self.rate / 1000)

    @property
    def points(self) -> int:
        """Of the Fourier transform: the power of two that holds a frame, 4 at least."""
        return max(1 << (self.size - 1).bit_length(), 4)

    @property
    def axes(self) -> int:
        """Signals that are sampled together; 0 for one without an axis of its own."""
        return 0

    @property
    def features(self) -> int:
        """Features of a frame."""
        raise NotImplementedError

    @property
    def ratios(self) -> tuple[Fraction, ...]:
        """Steps of 8 bits to one of 16, for each feature."""
        raise NotImplementedError

    @property
    def scale(self) -> float:
        """Real value of a step of a feature of 8 bits."""
        raise NotImplementedError

    @property
    def zero_point(self) -> int:
        """The code of 8 bits that stands for 0."""
        return -128

    def add_wide(self, builder: GraphBuilder, frames: str, remember: Remember) -> str:
        """Add the operations from frames s16 (..., size) to features s16 (..., features)."""
        raise NotImplementedError
