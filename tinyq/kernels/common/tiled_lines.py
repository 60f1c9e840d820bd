"""Padded lines of an image that Winograd's transforms read, six at a time."""

from __future__ import annotations

from dataclasses import dataclass

from tinyq.kernels.geometry import WindowGeometry

LINES = 6  # of a line of tiles of 4 x 4 outputs
_ALL_BYTES = 0x01010101


@dataclass(frozen=True, slots=True)
class TiledLines:
    """What lines come to, in words where nothing else is said.

    Attributes:
        g: The layer.
    """

    g: WindowGeometry

    @property
    def line(self) -> int:
        """Bytes of a line of x."""
        return self.g.in_width * self.g.in_channels

    @property
    def line_words(self) -> int:
        """A line of x."""
        return self.line // 4

    @property
    def padded(self) -> int:
        """Bytes of a padded line."""
        return (self.g.in_width + 2) * self.g.in_channels

    @property
    def row(self) -> int:
        """A padded line."""
        return self.padded // 4

    @property
    def lines(self) -> int:
        """All padded lines."""
        return LINES * self.padded // 4

    @property
    def pixel(self) -> int:
        """A pixel of x."""
        return self.g.in_channels // 4

    @property
    def zeros(self) -> int:
        """Four zero points."""
        return self.g.x_zero % 256 * _ALL_BYTES
