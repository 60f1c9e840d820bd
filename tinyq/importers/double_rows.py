"""Depthwise windows with weights of 9 bits: two halves over an image whose rows stand twice."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from tinyq.graph.ops.window import Window

Codes = npt.NDArray[np.int64]


def double_window(window: Window, halves: Sequence[Codes]) -> tuple[Window, Codes]:
    """The window over twice as many rows, and its weights.

    Every other row is the same as the one before, so that a tap of the one half and a tap of the
    other read the same code and their products add up to that of the whole weight.

    Args:
        window: Over the image as it is.
        halves: Weights that add up to the wanted ones, each (height, width, channels).
    """
    step = window.dilation[0]
    size = (2 * ((window.size[0] - 1) * step + 1), window.size[1])
    codes = np.zeros((*size, halves[0].shape[-1]), np.int64)
    for place, half in enumerate(halves):
        codes[place :: 2 * step] = half
    top, bottom, left, right = window.padding
    doubled = Window(
        size,
        (2 * window.stride[0], window.stride[1]),
        (1, window.dilation[1]),
        (2 * top, 2 * bottom, left, right),
    )
    return doubled, codes
