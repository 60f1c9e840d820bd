"""The integers of an operation under their names, typed."""

from __future__ import annotations

from dataclasses import dataclass, fields

from tinyq.kernels.layer import LayerSpec


@dataclass(frozen=True, slots=True)
class WindowGeometry:
    """A convolution: sizes, steps and padding in codes."""

    in_height: int
    in_width: int
    in_channels: int
    out_height: int
    out_width: int
    out_channels: int
    kernel_height: int
    kernel_width: int
    stride_height: int
    stride_width: int
    dilation_height: int
    dilation_width: int
    pad_top: int
    pad_left: int
    x_zero: int

    @property
    def line_taps(self) -> int:
        """Codes of a line of a window."""
        return self.kernel_width * self.in_channels

    @property
    def window_height(self) -> int:
        """Lines from the first to the last of a window."""
        return (self.kernel_height - 1) * self.dilation_height + 1

    @property
    def out_pixels(self) -> int:
        """Pixels of the output."""
        return self.out_height * self.out_width


@dataclass(frozen=True, slots=True)
class DenseGeometry:
    """A dense layer."""

    rows: int
    in_channels: int
    out_channels: int
    x_zero: int


def read_window(layer: LayerSpec) -> WindowGeometry:
    """The geometry of a convolution."""
    return WindowGeometry(**{it.name: layer.geometry[it.name] for it in fields(WindowGeometry)})


def read_dense(layer: LayerSpec) -> DenseGeometry:
    """The geometry of a dense layer."""
    return DenseGeometry(**{it.name: layer.geometry[it.name] for it in fields(DenseGeometry)})


def round_up(value: int, step: int) -> int:
    """The least multiple of ``step`` that is not below ``value``."""
    return divide_up(value, step) * step


def divide_up(value: int, step: int) -> int:
    """How many steps cover ``value``."""
    return -(-value // step)
