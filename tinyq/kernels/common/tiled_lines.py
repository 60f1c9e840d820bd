"""Padded lines of an image that Winograd's transforms read, six at a time."""

from __future__ import annotations

from dataclasses import dataclass

from tinyq.kernels.geometry import WindowGeometry

LINES = 6  # of a line of tiles of 4 x 4 outputs
_ALL_BYTES = 0x01010101


def refuse_window(g: WindowGeometry) -> str:
    """Why it is no window of 3 x 3 over an image as large as the output, empty where it is."""
    if (g.kernel_height, g.kernel_width, g.dilation_height, g.dilation_width) != (3, 3, 1, 1):
        return "the window is not 3 x 3"
    steps = (g.stride_height, g.stride_width, g.pad_top, g.pad_left)
    if steps != (1, 1, 1, 1) or (g.out_height, g.out_width) != (g.in_height, g.in_width):
        return "the output is not as large as the input"
    return ""


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
