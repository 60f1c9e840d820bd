"""Sliding windows over images: output sizes, and patches for convolution and pooling."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tinyq.errors import ModelError
from tinyq.graph import Shape
from tinyq.numerics.formats import Codes

LARGEST = 2**15 - 1


@dataclass(frozen=True, slots=True)
class Window:
    """How a kernel slides over an image.

    Attributes:
        size: Height and width of the kernel, at least 1.
        stride: Steps down and across, at least 1.
        dilation: Distance of neighbouring taps, at least 1.
        padding: Rows and columns added at top, bottom, left, right.
    """

    size: tuple[int, int]
    stride: tuple[int, int] = (1, 1)
    dilation: tuple[int, int] = (1, 1)
    padding: tuple[int, int, int, int] = (0, 0, 0, 0)

    def extent(self) -> tuple[int, int]:
        """Height and width of the image part under the dilated kernel."""
        height, width = ((n - 1) * d + 1 for n, d in zip(self.size, self.dilation, strict=True))
        return height, width

    def output_size(self, shape: Shape) -> tuple[int, int]:
        """Height and width of the output for an image of ``shape`` (height, width, channels).

            out = floor((in + padding - extent) / stride) + 1

        Raises:
            ModelError: The image is no image, or smaller than the window, or a number of the
                window makes no sense.
        """
        steps = (*self.size, *self.stride, *self.dilation)
        if min(steps) < 1 or min(self.padding) < 0 or max(*steps, *self.padding) > LARGEST:
            raise ModelError(
                f"window of size {self.size}, stride {self.stride}, dilation {self.dilation}, "
                f"padding {self.padding}: sizes and steps are at least 1, padding at least 0, "
                f"all at most {LARGEST:,}"
            )
        if len(shape) != 3:
            raise ModelError(f"a window needs (height, width, channels), the input is {shape}")
        top, bottom, left, right = self.padding
        padded = (shape[0] + top + bottom, shape[1] + left + right)
        extent = self.extent()
        if padded[0] < extent[0] or padded[1] < extent[1]:
            raise ModelError(f"the window of {extent} is larger than the padded image {padded}")
        height, width = (
            (p - e) // s + 1 for p, e, s in zip(padded, extent, self.stride, strict=True)
        )
        return height, width

    def patches(self, image: np.ndarray, fill: int) -> np.ndarray:
        """All windows of a batch of images.

        Args:
            image: Shape (batch, height, width, channels).
            fill: Value of the padding.

        Returns:
            View-like array, shape (batch, out_height, out_width, size_h, size_w, channels).
        """
        height, width = self.output_size(image.shape[1:])
        top, bottom, left, right = self.padding
        padded = np.pad(image, ((0, 0), (top, bottom), (left, right), (0, 0)), constant_values=fill)
        batch, rows, columns, channels = padded.strides
        return np.lib.stride_tricks.as_strided(
            padded,
            (image.shape[0], height, width, *self.size, image.shape[3]),
            (
                batch,
                rows * self.stride[0],
                columns * self.stride[1],
                rows * self.dilation[0],
                columns * self.dilation[1],
                channels,
            ),
            writeable=False,
        )

    def require_taps(self, shape: Shape) -> None:
        """Check that every window has a tap inside the image.

        Raises:
            ModelError: One lies in the padding alone, so it has no largest value and no mean.
        """
        counts = self.output_size(shape)
        before = self.padding[0], self.padding[2]
        if not all(
            self._has_taps(axis, length, before[axis], counts[axis])
            for axis, length in enumerate(shape[:2])
        ):
            raise ModelError(
                f"a window of {self.size} lies in the padding {self.padding} alone",
                remedy="pad by less than the window's size",
            )

    def _has_taps(self, axis: int, length: int, before: int, count: int) -> bool:
        """Whether each of ``count`` windows along an axis has a tap in 0 .. length - 1."""
        stride, dilation, taps = self.stride[axis], self.dilation[axis], self.size[axis]
        outside = -(-before // stride)  # windows that begin in the padding
        within = max((length + before - self.extent()[axis]) // stride + 1, 0)
        border = {*range(min(outside, count)), *range(min(within, count), count)}
        first = np.asarray(sorted(border), np.int64) * stride - before
        tap = np.maximum(-(first // dilation), 0)  # the first one at or behind 0
        return bool(((tap < taps) & (first + tap * dilation < length)).all())

    def geometry(self, shape: Shape) -> dict[str, int]:
        """Integers that a kernel's call needs."""
        height, width = self.output_size(shape)
        return {
            "in_height": shape[0],
            "in_width": shape[1],
            "in_channels": shape[2],
            "out_height": height,
            "out_width": width,
            "kernel_height": self.size[0],
            "kernel_width": self.size[1],
            "stride_height": self.stride[0],
            "stride_width": self.stride[1],
            "dilation_height": self.dilation[0],
            "dilation_width": self.dilation[1],
            "pad_top": self.padding[0],
            "pad_left": self.padding[2],
        }


def same_padding(
    shape: Shape, size: tuple[int, int], stride: tuple[int, int], dilation: tuple[int, int]
) -> tuple[int, int, int, int]:
    """Padding (top, bottom, left, right) that Keras means by ``same``.

    total = max((ceil(in / stride) - 1) * stride + extent - in, 0), the larger half behind
    """
    before_after: list[int] = []
    extent = Window(size, stride, dilation).extent()
    for length, reach, step in zip(shape[:2], extent, stride, strict=True):
        total = max((-(-length // step) - 1) * step + reach - length, 0)
        before_after += [total // 2, total - total // 2]
    return (before_after[0], before_after[1], before_after[2], before_after[3])


def centered(codes: Codes, zero_point: int) -> np.ndarray:
    """Codes minus the zero point, as float64, in which sums below 2**53 are exact.

    Float64 is used for speed alone: a matrix product of integers runs many times faster there.
    """
    return codes.astype(np.float64) - zero_point
