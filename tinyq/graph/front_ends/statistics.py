"""Statistics of frames of signals that change slowly, such as those of an accelerometer."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from tinyq.errors import ModelError
from tinyq.graph.builder import GraphBuilder
from tinyq.graph.front_ends.base import FrontEnd, Remember
from tinyq.graph.ops.frames import STATISTICS, FrameStatistics

_LEVELS = 4  # mean, root of the mean square, lowest, highest


@dataclass(frozen=True, slots=True)
class StatisticsFrontEnd(FrontEnd):
    """Mean, root of the mean square, lowest and highest sample, changes of sign, peaks.

    Features of 8 bits are parts of the full scale, and counts are parts of the samples of a frame:
    changes of sign as they are, peaks twice.

    Attributes:
        signals: Signals that are sampled together.
    """

    rate: int = 50
    window_ms: float = 2000.0
    hop_ms: float = 1000.0
    signals: int = 3

    def __post_init__(self) -> None:
        """Check the settings."""
        super(StatisticsFrontEnd, self).__post_init__()
        if not 1 <= self.signals <= 64:
            raise ModelError(f"{self.signals} signals are not supported", remedy="use 1 to 64")

    @property
    def axes(self) -> int:
        """Signals that are sampled together."""
        return self.signals

    @property
    def features(self) -> int:
        """Features of a frame of one signal."""
        return len(STATISTICS)

    @property
    def ratios(self) -> tuple[Fraction, ...]:
        """Steps of 8 bits to one of 16, for each feature."""
        counts = Fraction(128, self.size), Fraction(256, self.size)
        return (Fraction(1, 256),) * _LEVELS + counts

    @property
    def scale(self) -> float:
        """Real value of a step of a feature of 8 bits."""
        return 1 / 128

    @property
    def zero_point(self) -> int:
        """The code of 8 bits that stands for 0."""
        return 0

    def add_wide(self, builder: GraphBuilder, frames: str, remember: Remember) -> str:
        """Statistics as they are."""
        del remember
        return builder.apply("statistics", FrameStatistics(), frames)
