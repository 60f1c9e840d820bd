"""Windows and padding of Keras layers, as the operations on images take them."""

from __future__ import annotations

from typing import Any

from tinyq.errors import ModelError
from tinyq.graph.ops.window import Window, same_padding
from tinyq.training.lowering.emission import NO_PADDING, Value
from tinyq.training.tracing import Step


def plain(value: Value, step: Step) -> str:
    """Name of a value that owes no padding.

    Raises:
        ModelError: It does, and the layer cannot add it.
    """
    if value.padding != NO_PADDING:
        raise ModelError(
            "the input is a binary image with zero padding, and signs have no zero",
            where=step.name,
            remedy="pad right before a convolution, or before the sign",
        )
    return value.name


def pair(values: Any, missing: int) -> tuple[int, int]:
    """Two numbers for height and width; ``missing`` is that of the height where there is one."""
    numbers = [int(value) for value in values]
    first, second = [missing, *numbers][-2:]
    return first, second


def image_shape(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Shape of a sequence as an image of height 1; that of an image as it is."""
    return (1, *shape) if len(shape) == 2 else shape


def join_padding(
    first: tuple[int, int, int, int], second: tuple[int, ...]
) -> tuple[int, int, int, int]:
    """Zeros on each side of both."""
    top, bottom, left, right = (a + b for a, b in zip(first, second, strict=True))
    return (top, bottom, left, right)


def window_of(step: Step, owed: tuple[int, int, int, int]) -> Window:
    """Window of a convolution, with the padding that its input owes."""
    layer = step.layer
    size, stride = pair(layer.kernel_size, 1), pair(layer.strides, 1)
    dilation = pair(layer.dilation_rate, 1)
    height, width, channels = image_shape(step.shapes[0])
    own = NO_PADDING
    if layer.padding == "same":
        # step.shapes is what Keras sees: the owed padding is part of it already.
        own = same_padding((height, width, channels), size, stride, dilation)
    elif layer.padding == "causal":
        own = (0, 0, (size[1] - 1) * dilation[1], 0)
    return Window(size, stride, dilation, join_padding(owed, own))


def whole_window(step: Step) -> Window:
    """The window that covers the input of a layer."""
    height, width, _ = image_shape(step.shapes[0])
    return Window((height, width), (1, 1))
